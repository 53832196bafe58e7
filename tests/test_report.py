"""A report is complete, ordered and self-contained, and explains what is missing."""

import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.metrics import confusion_matrix

from nlp_rnn.comparison.records import Comparison, Interval, Recommendation
from nlp_rnn.errors import DataError
from nlp_rnn.report.context import ReportContext
from nlp_rnn.report.figure_files import add_axes, new_figure
from nlp_rnn.report.page import (
    Figures,
    Page,
    Paragraph,
    Placeholder,
    Section,
    render_html,
    render_markdown,
)
from nlp_rnn.report.report import SECTIONS, Report, log_report, write_report
from nlp_rnn.report.section_calibration import reliability
from nlp_rnn.report.section_confidence import mean_rows
from nlp_rnn.report.section_confusion import confusion_shares
from nlp_rnn.report.section_disagreement import largest_disagreements
from nlp_rnn.report.section_text_length import length_bands
from nlp_rnn.scoring.predictions import Predictions
from tests.made_comparison import (
    configuration_of,
    made_comparison,
    made_curves,
    made_memory_horizons,
    made_predictions,
    made_risk_coverage,
    made_run,
    made_texts,
    without_metrics,
    without_predictions,
)

ORDER = [
    "verdict", "recommendation", "table", "ensemble", "seeds", "difference", "length", "cost",
    "latency", "curves", "calibration", "confidence", "disagreement", "confusion", "memory",
    "teacher", "inconclusive", "methods",
]  # fmt: skip
COST = {"parameters/total": 2.0, "train/seconds": 0.001}
VOID = {"meta", "link", "br", "hr", "img", "input"}


class ParsedPage(HTMLParser):
    """The page as a browser parses it: elements, attributes, and the text of each section."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sections: dict[str, str] = {}
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.current = ""
        self.feed(html)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag == "section":
            self.current = dict(attrs)["id"] or ""
            self.sections[self.current] = ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1:] == [tag], f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.current and self.open:
            self.sections[self.current] += data


def parsed_report(folder: Path, comparison: Comparison, **options: object) -> ParsedPage:
    report = write_report(comparison, folder, **options)  # type: ignore[arg-type]
    return ParsedPage(report.page.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def full_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of two cells with everything that a report can contain."""
    folder = tmp_path_factory.mktemp("full") / "report"
    comparison = made_comparison()
    write_report(
        comparison,
        folder,
        curves=made_curves(comparison),
        texts=made_texts(),
        memory_horizons=made_memory_horizons(comparison),
        risk_coverage=made_risk_coverage(comparison),
    )
    return folder


def test_the_methods_say_how_many_configurations_were_scored_on_the_split(tmp_path: Path) -> None:
    page = parsed_report(tmp_path, made_comparison(), scored_configurations=14)
    assert "has been scored by 14 configurations so far" in page.sections["methods"]


def test_the_confidence_section_has_means_over_the_seeds(tmp_path: Path) -> None:
    assert mean_rows([[(0.5, 0.8, 0.7), (0.9, 0.2, None)], [(0.5, 0.6, 0.9), (0.9, 0.4, 1.0)]]) == [
        (0.5, pytest.approx(0.7), pytest.approx(0.8))
    ]
    comparison = made_comparison()
    page = parsed_report(tmp_path, comparison, risk_coverage=made_risk_coverage(comparison))
    assert "20 % of texts: 82.0 %" in page.sections["confidence"]
    without = parsed_report(tmp_path / "without", comparison)
    assert "have not logged risk_coverage.json" in without.sections["confidence"]


def test_the_sections_are_in_order_and_none_is_empty(full_report: Path) -> None:
    page = ParsedPage((full_report / "report.html").read_text(encoding="utf-8"))
    assert list(page.sections) == ORDER
    for name, text in page.sections.items():
        assert len(text.split()) > 15, name
    assert "Inconclusive: lstm h128 is 1.20 points ahead" in page.sections["verdict"]
    assert "With a ROPE of ±0.25 points" in page.sections["verdict"]
    assert "No pair is matched by parameters or latency" in page.sections["verdict"]
    assert "81.3" in page.sections["recommendation"]
    rows = page.sections["table"]
    assert rows.index("majority class") < rows.index("linear") < rows.index("lstm h128")
    assert "12 seeds, or 4,000 texts" in page.sections["inconclusive"]
    assert "1,000 calls" in page.sections["methods"]
    assert "d1ge57" in page.sections["methods"]
    assert "1 run left out" in page.sections["methods"]
    assert page.tags.count("blockquote") == 20
    assert "lstm h128, layer 1, left to right5.74.0, 8.0" in page.sections["memory"]
    assert "n = 120 test texts" in page.sections["memory"]


def test_latency_is_shown_by_length_and_runtime_with_its_conditions(full_report: Path) -> None:
    text = ParsedPage((full_report / "report.html").read_text(encoding="utf-8")).sections["latency"]
    assert "10 tokens, ONNX, ms0.28 / 0.340.20 / 0.24" in text
    assert "100 tokens, torch, ms2.00 / 2.401.43 / 1.72" in text
    assert "400 tokens" not in text
    assert "32 texts per batch, ONNX, texts/s1,6752,345" in text
    assert "memory beyond the libraries, MB17.212.3" in text
    assert "cold start to the first prediction, ms432432" in text
    assert "stream" not in text  # both are bidirectional
    assert "n = 5 lstm h128, 5 gru h128 runs" in text
    assert "Processor: Processor 9." in text
    assert "Measured: quick, 1 thread." in text
    assert "Kernel of torch: oneDNN (lstm h128); torch (gru h128)." in text
    assert "Load average of the machine: 0.5 to 2.5; on a busy machine all times are" in text
    table = pq.read_table(full_report / "data" / "latency.parquet")
    assert table.num_rows == 2 * 2 * 3


def test_a_linear_baseline_is_timed_on_scikit_learn(tmp_path: Path) -> None:
    comparison = made_comparison()
    timed = {"test/accuracy": 0.61, "latency/sklearn_batch1_p50_ms": 0.11}
    timed |= {"latency/sklearn_batch1_p95_ms": 0.17}
    run = made_run("linear", None, None, kind="baseline", metrics=timed)
    baselines = (comparison.baselines[0], configuration_of("linear", (run,), is_baseline=True))
    page = parsed_report(tmp_path, replace(comparison, baselines=baselines))
    assert "linear–––––0.110.17" in page.sections["table"].replace(" ", "")
    assert (
        "latency (one text), p95 (ms) on onnxruntime (linear: scikit-learn)."
        in page.sections["cost"]
    )


def test_no_figure_lacks_its_units_or_its_n(full_report: Path) -> None:
    html = (full_report / "report.html").read_text(encoding="utf-8")
    figures = re.findall(r"(<svg.*?</svg>)\s*<figcaption>(.*?)</figcaption>", html, re.DOTALL)
    assert len(figures) == 15
    for svg, caption in figures:
        text = " ".join(re.findall(r"<text[^>]*>(.*?)</text>", svg))
        assert re.search(
            r"\(%\)|\(points\)|\(ms\)|\(s\)|tokens|updates|parameters|of the true", text
        )
        assert re.search(r"n\s*=", caption), caption


def test_the_page_loads_nothing_and_runs_nothing(full_report: Path) -> None:
    html = (full_report / "report.html").read_text(encoding="utf-8")
    assert "http" not in html.replace("http-equiv", "")
    assert not re.search(r"url\((?!#)|@import|//[a-z]+\.", html)
    page = ParsedPage(html)
    assert not {"script", "link", "iframe", "object", "img", "base", "form"} & set(page.tags)
    for name, value in page.attributes:
        assert not name.startswith("on"), name
        if name in ("href", "xlink:href", "src"):
            assert value.startswith(("#", "data:image/png;base64,")), value
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) > 50
    assert len(set(ids) & set(ORDER)) == len(ORDER)
    clips = re.findall(r"url\(#(\w+)\)", html)
    assert clips
    assert all(ids.count(clip) == 1 for clip in clips)


def test_figures_and_tables_are_beside_the_page(full_report: Path) -> None:
    figures = sorted(path.stem for path in (full_report / "figures").iterdir())
    assert figures == [
        "calibration", "confidence", "confusion", "cost_latency", "cost_parameters",
        "cost_training_time",
        "curves_seconds", "curves_updates", "difference", "excerpt_first", "excerpt_last",
        "latency_onnx", "latency_torch", "length", "seeds",
    ]  # fmt: skip
    assert all(
        path.read_bytes().startswith(b"\x89PNG") for path in (full_report / "figures").iterdir()
    )
    runs = pq.read_table(full_report / "data" / "runs.parquet").to_pylist()
    assert [row["configuration"] for row in runs].count("gru h128") == 5
    differences = pq.read_table(full_report / "data" / "differences.parquet").to_pylist()
    assert differences[0]["adjusted_bootstrap"] == 0.04
    curves = pq.read_table(full_report / "data" / "curves.parquet").to_pylist()
    assert len(curves) == 2 * 5 * 4
    assert sorted(path.name for path in full_report.iterdir()) == [
        "data", "figures", "report.html", "summary.md",
    ]  # fmt: skip


def test_the_summary_has_the_conclusions(full_report: Path) -> None:
    summary = (full_report / "summary.md").read_text(encoding="utf-8")
    heads = re.findall(r"^### (.*)", summary, re.MULTILINE)
    assert heads[:3] == ["Verdict", "Recommendation by use", "All configurations, baselines first"]
    assert "| majority class" in summary
    assert len(summary) < 8000


def test_data_is_escaped_in_the_page(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    labels = (evil, '$\\frac$ & "q"', "]]><svg onload=alert(2)>", "| `pipe` *star*")
    comparison = made_comparison(labels=labels, texts=120, seeds=3)
    texts = {2 * row: f"{evil}<img src=x onerror=alert(3)>\x00\x1b {row}" for row in range(120)}
    escaped = replace(
        comparison,
        data=evil,
        verdict=f"{evil} is better.",
        configurations=tuple(replace(g, name=f"{g.name}{evil}") for g in comparison.configurations),
        differences=tuple(
            replace(d, first=f"{d.first}{evil}", second=f"{d.second}{evil}")
            for d in comparison.differences
        ),
        notes=(evil,),
    )
    page = parsed_report(tmp_path, escaped, texts=texts, curves=made_curves(comparison))
    assert "script" not in page.tags
    assert "img" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert evil in page.sections["disagreement"]
    assert evil in page.sections["verdict"]
    html = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "\x00" not in html
    assert "\x1b" not in html
    summary = (tmp_path / "summary.md").read_text(encoding="utf-8")
    assert "<script" not in summary


def test_the_page_of_one_configuration_explains_what_is_missing(tmp_path: Path) -> None:
    page = parsed_report(tmp_path, made_comparison(configurations=1, texts=60, seeds=2))
    assert list(page.sections) == ORDER
    assert "Only one configuration" in page.sections["verdict"]
    assert "There is no recommendation" in page.sections["recommendation"]
    assert "needs two configurations" in page.sections["difference"]
    assert "needs two comparable configurations" in page.sections["disagreement"]
    assert "needs two comparable configurations" in page.sections["confusion"]
    assert "not logged the validation accuracy" in page.sections["curves"]
    assert "ECE" in page.sections["calibration"]
    assert not (tmp_path / "figures" / "difference.png").exists()


def test_four_configurations_and_pairs_that_are_not_comparable_are_shown(
    tmp_path: Path,
) -> None:
    comparison = made_comparison(configurations=4, seeds=2, texts=80)
    page = parsed_report(tmp_path, comparison, curves=made_curves(comparison), texts=made_texts(80))
    for configuration in comparison.configurations:
        assert configuration.name in page.sections["table"]
        assert configuration.name in page.sections["seeds"]
    assert "rnn h128 and gru h155 are not compared" in page.sections["difference"]
    assert "other budget: 3 and 4 epochs" in page.sections["difference"]


def test_what_the_runs_have_not_logged_is_named(tmp_path: Path) -> None:
    sparse = without_metrics(without_predictions(made_comparison(seeds=2, texts=50)), "latency/")
    sparse = without_metrics(sparse, "parameters/")
    page = parsed_report(tmp_path, replace(sparse, same_machine=False))
    assert "not logged the latency and the number of parameters" in page.sections["cost"]
    assert "several machines" in page.sections["cost"]
    assert "several machines" in page.sections["methods"]
    assert "did not measure the speed" in page.sections["latency"]
    for name in ("length", "calibration"):
        assert "needs the predictions" in page.sections[name]
    for name in ("disagreement", "confusion"):
        assert "two comparable configurations" in page.sections[name]
    none = parsed_report(tmp_path / "none", without_metrics(sparse, "train/"))
    assert "cost_training_time" not in str(list((tmp_path / "none" / "figures").iterdir()))
    assert "and the training time" in none.sections["cost"]


def test_one_recommendation_for_every_use_is_shown_once_and_far_baselines_leave_the_scale(
    tmp_path: Path,
) -> None:
    comparison = made_comparison()
    uses = ("most accurate", "long texts", "small memory")
    none = tuple(Recommendation(use, None, "None passes.", "Both below.") for use in uses)
    run = made_run("majority", None, None, kind="baseline", metrics={"test/accuracy": 0.2} | COST)
    far = replace(
        configuration_of("majority", (run,), is_baseline=True), score=Interval(20.0, 19.0, 21.0)
    )
    changed = replace(comparison, recommendations=none, baselines=(far, comparison.baselines[1]))
    page = parsed_report(tmp_path, changed)
    assert "For every use: no recommendation" in page.sections["recommendation"]
    assert page.sections["recommendation"].count("None passes.") == 1
    assert "Outside the range of the axis: majority (20.0\u00a0%)." in page.sections["cost"]


def test_a_table_without_baselines_is_not_shown(tmp_path: Path) -> None:
    few = without_metrics(without_metrics(made_comparison(seeds=2, texts=50), "l"), "train/")
    comparison = replace(without_metrics(few, "parameters/"), baselines=())
    page = parsed_report(tmp_path, comparison)
    assert "No table is shown" in page.sections["table"]
    assert "Only the rows are shown" in page.sections["disagreement"]


def test_a_section_of_the_caller_is_one_function_in_the_list(tmp_path: Path) -> None:
    def longest_text(context: ReportContext) -> Section:
        figure = new_figure(2.0)
        add_axes(figure, "tokens").plot([1, 2])
        saved = context.save_figure(figure, "longest", "Longest text")
        context.tables["longest"] = [{"tokens": 59}]
        blocks = [Paragraph("<b>Long</b>"), Figures([(saved, "n = 1")])]
        return Section("longest", "The longest text", blocks)

    sections = (*SECTIONS[:-2], longest_text, *SECTIONS[-2:])
    comparison = made_comparison(configurations=1, seeds=1, texts=20)
    page = parsed_report(tmp_path, comparison, sections=sections)
    assert list(page.sections)[-3:] == ["longest", "inconclusive", "methods"]
    assert "<b>Long</b>" in page.sections["longest"]
    assert (tmp_path / "figures" / "longest.png").is_file()
    assert pq.read_table(tmp_path / "data" / "longest.parquet").to_pylist() == [{"tokens": 59}]
    with pytest.raises(ValueError, match="has no blocks"):
        render_html(Page("a", "b", [Section("c", "d", [])]))


def test_the_section_of_the_contributors_page_works(tmp_path: Path) -> None:
    page = Path(__file__).parent.parent / "docs" / "how-to" / "add-a-report-section.md"
    code = page.read_text(encoding="utf-8").split("```python\n")[1].split("```")[0]
    names: dict[str, Any] = {}
    exec(code, names)
    section = names["updates_section"]
    report = parsed_report(tmp_path, made_comparison(), sections=[*SECTIONS, section])
    assert "n = 10 runs." in report.sections["updates"]
    assert pq.read_table(tmp_path / "data" / "updates.parquet").num_rows == 10
    without = without_metrics(made_comparison(), "train/updates")
    assert (
        "Train them again"
        in parsed_report(tmp_path, without, sections=[section]).sections["updates"]
    )


def test_a_folder_is_changed_by_a_complete_report_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.csv").write_text("a,b")
    comparison = made_comparison(configurations=1, seeds=1, texts=20)
    with pytest.raises(ValueError, match="has no blocks"):
        write_report(comparison, tmp_path, sections=[lambda _: Section("memory", "Memory", [])])
    assert [path.name for path in tmp_path.rglob("*")] == ["data", "mine.csv"]
    write_report(comparison, tmp_path)
    assert (tmp_path / "data" / "mine.csv").read_text() == "a,b"
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(DataError, match="cannot be written"):
        write_report(comparison, tmp_path / "report.html" / "below")


def test_the_report_is_logged_under_comparison(full_report: Path) -> None:
    class Run:
        def __init__(self) -> None:
            self.files: list[str] = []
            self.note = ""

        def log_file(self, path: Path, folder: str | None = None) -> None:
            self.files.append(f"{folder}/{path.name}")

        def set_note(self, markdown: str) -> None:
            self.note = markdown

    report = Report(
        full_report / "report.html",
        full_report / "summary.md",
        tuple((full_report / "figures").iterdir()),
        tuple((full_report / "data").iterdir()),
    )
    run = Run()
    log_report(run, report)  # type: ignore[arg-type]
    assert "comparison/report.html" in run.files
    assert "comparison/figures/seeds.png" in run.files
    assert "comparison/data/runs.parquet" in run.files


def test_markdown_is_escaped() -> None:
    page = Page("a|b", "*c*", [Section("x", "#d", [Paragraph("_e_ <b>"), Placeholder("[f](g)")])])
    assert render_markdown(page, ["x"]) == (
        "**a\\|b**\n\n\\*c\\*\n\n### \\#d\n\n\\_e\\_ &lt;b&gt;\n\n*\\[f\\](g)*\n"
    )


def predictions(
    truth: list[int], probabilities: list[list[float]], lengths: list[int]
) -> Predictions:
    table = np.array(probabilities, dtype=np.float32)
    return Predictions(
        np.arange(len(truth)), np.array(truth), table.argmax(axis=1), table, np.array(lengths),
        ("a", "b"),
    )  # fmt: skip


def test_calibration_is_that_of_the_definition() -> None:
    diagram = reliability([predictions([0, 0, 1, 1], [[0.9, 0.1]] * 2 + [[0.6, 0.4]] * 2, [1] * 4)])
    # two confident and correct: gap 0.1; two less confident and wrong: gap 0.6
    assert diagram.ece == pytest.approx(0.5 * 0.1 + 0.5 * 0.6, abs=1e-6)
    assert diagram.brier == pytest.approx((2 * 0.02 + 2 * 0.72) / 4, abs=1e-6)
    assert diagram.counts.sum() == 4


def test_disagreements_are_texts_that_only_one_configuration_labels_correctly() -> None:
    sure, torn, wrong = [0.9, 0.1], [0.45, 0.55], [0.2, 0.8]
    first = predictions([0, 0, 0, 1], [sure, sure, sure, sure], [3] * 4)
    second = predictions([0, 0, 0, 1], [sure, torn, wrong, wrong], [3] * 4)
    rows = largest_disagreements([first], [second])
    assert [row.row for row in rows] == [2, 1, 3]
    assert rows[0].first_probability > rows[0].second_probability
    assert (rows[2].first_correct, rows[2].second_correct) == (0, 1)
    assert largest_disagreements([first], [first]) == []
    many = [made_predictions(seed, share, 400) for seed, share in ((1, 0.7), (2, 0.6))]
    assert len(largest_disagreements(many[:1], many[1:])) == 20


def test_length_bands_contain_every_text_once() -> None:
    run = made_predictions(1, 0.7, 230)
    (row,) = length_bands([[run]])
    assert sum(band.texts for band in row) == 230
    assert all(one.longest < two.shortest for one, two in itertools.pairwise(row))
    right = (run.predictions == run.labels).mean()
    assert sum(band.accuracy * band.texts for band in row) / 230 == pytest.approx(right)
    same = predictions([0] * 20, [[0.9, 0.1]] * 20, [7] * 20)
    (only,) = length_bands([[same]])
    assert [(band.shortest, band.longest, band.texts) for band in only] == [(7, 7, 20)]


def test_confusions_are_shares_of_the_true_label() -> None:
    run = predictions([0, 0, 0, 0], [[0.9, 0.1]] * 3 + [[0.1, 0.9]], [1] * 4)
    cells, shares = confusion_shares([run])
    assert cells.tolist() == [0, 1]  # of the first row: no text has the other label
    assert shares.tolist() == [75.0, 25.0]
    random = np.random.default_rng(0)
    runs = [
        Predictions.from_probabilities(
            range(90), random.integers(0, 4, 90), random.random((90, 4)), np.ones(90), "abcd"
        )
        for _ in range(3)
    ]
    cells, shares = confusion_shares(runs)
    labels, predicted = (
        np.concatenate([getattr(r, n) for r in runs]) for n in ("labels", "predictions")
    )
    expected = 100 * confusion_matrix(labels, predicted, normalize="true")
    np.testing.assert_allclose(shares, expected.ravel()[cells])
    assert not np.delete(expected.ravel(), cells).any()
