"""A report says all of it, in order, explains what is missing, and stands alone."""

import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from nlp_rnn.comparison.records import Comparison, Interval, Recommendation
from nlp_rnn.errors import DataError
from nlp_rnn.report.page import Missing, Page, Section, Words, render_html, render_markdown
from nlp_rnn.report.report import Report, log_report, write_report
from nlp_rnn.report.section_calibration import reliability
from nlp_rnn.report.section_confusion import confusion_shares
from nlp_rnn.report.section_disagreement import telling_rows
from nlp_rnn.report.section_text_length import length_bands
from nlp_rnn.scoring.predictions import Predictions
from tests.made_comparison import (
    group_of,
    made_comparison,
    made_curves,
    made_predictions,
    made_remembered,
    made_run,
    made_texts,
    without_metrics,
    without_predictions,
)

ORDER = [
    "verdict", "recommendation", "table", "seeds", "difference", "length", "cost", "speed",
    "curves", "calibration", "disagreement", "confusion", "memory", "undecided", "measured",
]  # fmt: skip
COST = {"parameters/total": 2.0, "train/seconds": 0.001}
VOID = {"meta", "link", "br", "hr", "img", "input"}


class Seen(HTMLParser):
    """What a browser would make of a page: elements, attributes, and words by section."""

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


def seen(folder: Path, comparison: Comparison, **given: object) -> Seen:
    report = write_report(comparison, folder, **given)  # type: ignore[arg-type]
    return Seen(report.page.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of two cells with all that a report can hold."""
    folder = tmp_path_factory.mktemp("whole") / "report"
    comparison = made_comparison()
    write_report(
        comparison,
        folder,
        curves=made_curves(comparison),
        texts=made_texts(),
        remembered=made_remembered(comparison),
    )
    return folder


def test_the_sections_stand_in_their_order_and_none_is_blank(whole: Path) -> None:
    page = Seen((whole / "report.html").read_text(encoding="utf-8"))
    assert list(page.sections) == ORDER
    for name, words in page.sections.items():
        assert len(words.split()) > 15, name
    assert "Undecided: lstm h128 is 1.20 points ahead" in page.sections["verdict"]
    assert "With a ROPE of ±0.25 points" in page.sections["verdict"]
    assert "No pair here has the same parameters or latency" in page.sections["verdict"]
    assert "81.3" in page.sections["recommendation"]
    rows = page.sections["table"]
    assert rows.index("majority class") < rows.index("linear") < rows.index("lstm h128")
    assert "12 seeds, or 4,000 texts" in page.sections["undecided"]
    assert "1,000 calls" in page.sections["measured"]
    assert "d1ge57" in page.sections["measured"]
    assert "1 run left out" in page.sections["measured"]
    assert page.tags.count("blockquote") == 20
    assert "lstm h128, layer 1, left to right5.74.0, 8.0" in page.sections["memory"]
    assert "n = 120 test texts" in page.sections["memory"]


def test_speed_is_told_by_length_and_runtime_with_what_it_depends_on(whole: Path) -> None:
    words = Seen((whole / "report.html").read_text(encoding="utf-8")).sections["speed"]
    assert "10 tokens, ONNX, ms0.28 / 0.340.20 / 0.24" in words
    assert "100 tokens, torch, ms2.00 / 2.401.43 / 1.72" in words
    assert "400 tokens" not in words
    assert "32 texts at once, ONNX, texts/s1,6752,345" in words
    assert "memory beyond the libraries, MB17.212.3" in words
    assert "cold start to the first answer, ms432432" in words
    assert "stream" not in words  # both read in two directions
    assert "n = 5 lstm h128, 5 gru h128 runs" in words
    assert "Processor: Processor 9." in words
    assert "Measured: quick, 1 thread." in words
    assert "Kernel of torch: oneDNN (lstm h128); torch (gru h128)." in words
    assert "(load average): 0.5 to 2.5; on a busy machine every figure is too high." in words
    table = pq.read_table(whole / "data" / "speed.parquet")
    assert table.num_rows == 2 * 2 * 3


def test_a_linear_control_is_timed_on_scikit_learn(tmp_path: Path) -> None:
    comparison = made_comparison()
    timed = {"test/accuracy": 0.61, "latency/sklearn_batch1_p50_ms": 0.11}
    timed |= {"latency/sklearn_batch1_p95_ms": 0.17}
    run = made_run("linear", None, None, kind="baseline", metrics=timed)
    controls = (comparison.baselines[0], group_of("linear", (run,), control=True))
    page = seen(tmp_path, replace(comparison, baselines=controls))
    assert "linear–––––0.110.17" in page.sections["table"].replace(" ", "")
    assert "one answer, p95 (ms); on onnxruntime, linear on scikit-learn;" in page.sections["cost"]


def test_no_picture_lacks_its_units_or_its_n(whole: Path) -> None:
    html = (whole / "report.html").read_text(encoding="utf-8")
    pictures = re.findall(r"(<svg.*?</svg>)\s*<figcaption>(.*?)</figcaption>", html, re.DOTALL)
    assert len(pictures) == 14
    for svg, caption in pictures:
        words = " ".join(re.findall(r"<text[^>]*>(.*?)</text>", svg))
        assert re.search(
            r"\(%\)|\(points\)|\(ms\)|\(s\)|tokens|updates|parameters|of the true", words
        )
        assert re.search(r"n\s*=", caption), caption


def test_the_page_fetches_nothing_and_runs_nothing(whole: Path) -> None:
    html = (whole / "report.html").read_text(encoding="utf-8")
    assert "http" not in html.replace("http-equiv", "")
    assert not re.search(r"url\((?!#)|@import|//[a-z]+\.", html)
    page = Seen(html)
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


def test_pictures_and_tables_lie_beside_the_page(whole: Path) -> None:
    pictures = sorted(path.stem for path in (whole / "pictures").iterdir())
    assert pictures == [
        "calibration", "confusion", "cost_latency", "cost_parameters", "cost_training_time",
        "curves_seconds", "curves_updates", "difference", "latency_onnx", "latency_torch", "length",
        "seeds", "shown_first", "shown_last",
    ]  # fmt: skip
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in (whole / "pictures").iterdir())
    runs = pq.read_table(whole / "data" / "runs.parquet").to_pylist()
    assert [row["group"] for row in runs].count("gru h128") == 5
    differences = pq.read_table(whole / "data" / "differences.parquet").to_pylist()
    assert differences[0]["adjusted_bootstrap"] == 0.04
    curves = pq.read_table(whole / "data" / "curves.parquet").to_pylist()
    assert len(curves) == 2 * 5 * 4
    assert sorted(path.name for path in whole.iterdir()) == [
        "data", "pictures", "report.html", "summary.md",
    ]  # fmt: skip


def test_the_summary_is_the_short_of_it(whole: Path) -> None:
    summary = (whole / "summary.md").read_text(encoding="utf-8")
    heads = re.findall(r"^### (.*)", summary, re.MULTILINE)
    assert heads[:3] == ["Verdict", "Recommendation by use", "All groups, controls first"]
    assert "| majority class" in summary
    assert len(summary) < 8000


def test_nothing_of_the_data_becomes_a_part_of_the_page(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    labels = (evil, '$\\frac$ & "q"', "]]><svg onload=alert(2)>", "| `pipe` *star*")
    comparison = made_comparison(labels=labels, texts=120, seeds=3)
    texts = {2 * row: f"{evil}<img src=x onerror=alert(3)>\x00\x1b {row}" for row in range(120)}
    found = replace(
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
    page = seen(tmp_path, found, texts=texts, curves=made_curves(comparison))
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


def test_one_group_only_is_a_page_that_says_what_is_missing(tmp_path: Path) -> None:
    page = seen(tmp_path, made_comparison(groups=1, texts=60, seeds=2))
    assert list(page.sections) == ORDER
    assert "Only one group" in page.sections["verdict"]
    assert "Nothing is recommended" in page.sections["recommendation"]
    assert "needs two groups" in page.sections["difference"]
    assert "needs two comparable groups" in page.sections["disagreement"]
    assert "needs two comparable groups" in page.sections["confusion"]
    assert "no validation accuracy" in page.sections["curves"]
    assert "ECE" in page.sections["calibration"]
    assert not (tmp_path / "pictures" / "difference.png").exists()


def test_four_groups_are_all_told_and_refused_pairs_named(tmp_path: Path) -> None:
    comparison = made_comparison(groups=4, seeds=2, texts=80)
    page = seen(tmp_path, comparison, curves=made_curves(comparison), texts=made_texts(80))
    for group in comparison.configurations:
        assert group.name in page.sections["table"]
        assert group.name in page.sections["seeds"]
    assert "rnn h128 and gru h155 are not compared" in page.sections["difference"]
    assert "other budget: 3 and 4 epochs" in page.sections["difference"]


def test_what_runs_do_not_hold_is_named_and_not_left_blank(tmp_path: Path) -> None:
    bare = without_metrics(without_predictions(made_comparison(seeds=2, texts=50)), "latency/")
    bare = without_metrics(bare, "parameters/")
    page = seen(tmp_path, replace(bare, same_machine=False))
    assert "latency and the number of parameters are missing" in page.sections["cost"]
    assert "several machines" in page.sections["cost"]
    assert "several machines" in page.sections["measured"]
    assert "did not time their classifiers" in page.sections["speed"]
    for name in ("length", "calibration"):
        assert "has its answers" in page.sections[name]
    for name in ("disagreement", "confusion"):
        assert "two comparable groups" in page.sections[name]
    none = seen(tmp_path / "none", without_metrics(bare, "train/"))
    assert "cost_training_time" not in str(list((tmp_path / "none" / "pictures").iterdir()))
    assert "training time are missing" in none.sections["cost"]


def test_one_answer_for_every_use_is_given_once_and_far_controls_leave_the_scale(
    tmp_path: Path,
) -> None:
    comparison = made_comparison()
    uses = ("most accurate", "long texts", "small memory")
    none = tuple(Recommendation(use, None, "No group passes.", "Both below.") for use in uses)
    run = made_run("majority", None, None, kind="baseline", metrics={"test/accuracy": 0.2} | COST)
    far = replace(group_of("majority", (run,), control=True), score=Interval(20.0, 19.0, 21.0))
    changed = replace(comparison, recommendations=none, baselines=(far, comparison.baselines[1]))
    page = seen(tmp_path, changed)
    assert "For every use: none of them" in page.sections["recommendation"]
    assert page.sections["recommendation"].count("No group passes.") == 1
    assert "Far off the scale: majority (20.0\u00a0%)." in page.sections["cost"]


def test_a_table_without_controls_is_not_printed(tmp_path: Path) -> None:
    few = without_metrics(without_metrics(made_comparison(seeds=2, texts=50), "l"), "train/")
    comparison = replace(without_metrics(few, "parameters/"), baselines=())
    page = seen(tmp_path, comparison)
    assert "No table is shown" in page.sections["table"]
    assert "Only the rows are shown" in page.sections["disagreement"]


def test_sections_of_others_come_before_the_open_questions(tmp_path: Path) -> None:
    more = [Section("more", "What they forget", [Words("<b>Much</b>")])]
    page = seen(tmp_path, made_comparison(groups=1, seeds=1, texts=20), more=more)
    assert list(page.sections)[-3:] == ["more", "undecided", "measured"]
    assert "<b>Much</b>" in page.sections["more"]
    with pytest.raises(ValueError, match="blank"):
        render_html(Page("a", "b", [Section("c", "d", [])]))


def test_a_folder_is_changed_by_a_whole_report_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.csv").write_text("a,b")
    comparison = made_comparison(groups=1, seeds=1, texts=20)
    broken = [Section("memory", "What they remember", [])]
    with pytest.raises(ValueError, match="blank"):
        write_report(comparison, tmp_path, more=broken)
    assert [path.name for path in tmp_path.rglob("*")] == ["data", "mine.csv"]
    write_report(comparison, tmp_path)
    assert (tmp_path / "data" / "mine.csv").read_text() == "a,b"
    assert not list(tmp_path.glob(".*"))
    with pytest.raises(DataError, match="cannot be written"):
        write_report(comparison, tmp_path / "report.html" / "below")


def test_the_report_is_logged_under_comparison(whole: Path) -> None:
    class Run:
        def __init__(self) -> None:
            self.files: list[str] = []
            self.note = ""

        def log_file(self, path: Path, folder: str | None = None) -> None:
            self.files.append(f"{folder}/{path.name}")

        def set_note(self, markdown: str) -> None:
            self.note = markdown

    report = Report(
        whole / "report.html",
        whole / "summary.md",
        tuple((whole / "pictures").iterdir()),
        tuple((whole / "data").iterdir()),
    )
    run = Run()
    log_report(run, report)  # type: ignore[arg-type]
    assert "comparison/report.html" in run.files
    assert "comparison/pictures/seeds.png" in run.files
    assert "comparison/data/runs.parquet" in run.files


def test_markdown_means_what_it_says() -> None:
    page = Page("a|b", "*c*", [Section("x", "#d", [Words("_e_ <b>"), Missing("[f](g)")])])
    assert render_markdown(page, ["x"]) == (
        "**a\\|b**\n\n\\*c\\*\n\n### \\#d\n\n\\_e\\_ &lt;b&gt;\n\n*\\[f\\](g)*\n"
    )


def answers(truth: list[int], probabilities: list[list[float]], lengths: list[int]) -> Predictions:
    table = np.array(probabilities, dtype=np.float32)
    return Predictions(
        np.arange(len(truth)), np.array(truth), table.argmax(axis=1), table, np.array(lengths),
        ("a", "b"),
    )  # fmt: skip


def test_calibration_is_that_of_the_definition() -> None:
    found = reliability([answers([0, 0, 1, 1], [[0.9, 0.1]] * 2 + [[0.6, 0.4]] * 2, [1] * 4)])
    # two sure and right: gap 0.1; two less sure and wrong: gap 0.6
    assert found.error == pytest.approx(0.5 * 0.1 + 0.5 * 0.6, abs=1e-6)
    assert found.brier == pytest.approx((2 * 0.02 + 2 * 0.72) / 4, abs=1e-6)
    assert found.counts.sum() == 4


def test_telling_texts_are_those_one_group_reads_and_the_other_does_not() -> None:
    sure, torn, wrong = [0.9, 0.1], [0.45, 0.55], [0.2, 0.8]
    first = answers([0, 0, 0, 1], [sure, sure, sure, sure], [3] * 4)
    second = answers([0, 0, 0, 1], [sure, torn, wrong, wrong], [3] * 4)
    rows = telling_rows([first], [second])
    assert [row.row for row in rows] == [2, 1, 3]
    assert rows[0].first > rows[0].second
    assert (rows[2].first_right, rows[2].second_right) == (0, 1)
    assert telling_rows([first], [first]) == []
    many = [made_predictions(seed, share, 400) for seed, share in ((1, 0.7), (2, 0.6))]
    assert len(telling_rows(many[:1], many[1:])) == 20


def test_bands_of_length_hold_every_text_once() -> None:
    run = made_predictions(1, 0.7, 230)
    (row,) = length_bands([[run]])
    assert sum(band.texts for band in row) == 230
    assert all(one.longest < two.shortest for one, two in itertools.pairwise(row))
    right = (run.predictions == run.labels).mean()
    assert sum(band.share * band.texts for band in row) / 230 == pytest.approx(right)
    same = answers([0] * 20, [[0.9, 0.1]] * 20, [7] * 20)
    (only,) = length_bands([[same]])
    assert [(band.shortest, band.longest, band.texts) for band in only] == [(7, 7, 20)]


def test_confusions_are_shares_of_the_true_class() -> None:
    run = answers([0, 0, 0, 0], [[0.9, 0.1]] * 3 + [[0.1, 0.9]], [1] * 4)
    shares = confusion_shares([run])
    assert shares[0].tolist() == [75.0, 25.0]
    assert np.isnan(shares[1]).all()  # no text of that class
