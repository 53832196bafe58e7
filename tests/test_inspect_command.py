"""`nlp-rnn inspect`: a self-contained page for any text, and errors for wrong arguments."""

import os
import re
import shutil
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

import nlp_rnn
from nlp_rnn.classifier.classifier_saving import save_classifier
from nlp_rnn.cli import main
from nlp_rnn.errors import ClassifierError
from nlp_rnn.inspection.inspection import (
    inspect_text,
    load_model,
    probabilities_over_time,
)
from tests.tiny_classifier import save_tiny, tiny_parts

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    save_tiny(tmp_path / "both")
    save_tiny(tmp_path / "one", cell="lstm", bidirectional=False, pooling="last")
    return tmp_path


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace figures by empty files, because drawing takes most of the time of a page."""
    from nlp_rnn.inspection import figures

    for name in figures.__all__:
        if name.startswith("draw_"):
            monkeypatch.setattr(figures, name, lambda *_: b"\x89PNG")


class Page(HTMLParser):
    """Tags and text of the page, and the texts of the boxes that hold coloured text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.text = ""
        self.boxes: list[str] = []
        self._depth = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag == "div" and ("class", "text") in attributes:
            self.boxes.append("")
            self._depth = 1

    def handle_endtag(self, tag: str) -> None:
        if tag == "div":
            self._depth = 0

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._depth:
            self.boxes[-1] += data


def page(folder: str = "inspection") -> Page:
    return Page(Path(folder, "inspection.html").read_text(encoding="utf-8"))


def test_a_page_and_its_figures(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "both", "w3 w4 w5", "w6"]) == 0
    output = capsys.readouterr().out
    predictions = nlp_rnn.load("both").predict(["w3 w4 w5", "w6"])
    assert [line.split()[0] for line in output.splitlines()[:2]] == predictions
    files = {path.name for path in (here / "inspection").iterdir()}
    assert files == {
        "inspection.html",
        *(f"text{n}_{what}.png" for n in (1, 2) for what in ("gradient", "half_lives")),
        *(f"text{n}_gates_l1{way}.png" for n in (1, 2) for way in ("", "_reverse")),
        *(f"text{n}_attribution.png" for n in (1, 2)),
    }
    for path in (here / "inspection").glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
    made = page()
    assert {tag for tag, _ in made.tags} & {"script", "link", "iframe", "object"} == set()
    for tag, attributes in made.tags:
        if tag == "img":
            assert attributes["src"].startswith("data:image/png;base64,")
            assert attributes["alt"]
    assert "http" not in re.sub(r"http-equiv", "", Path("inspection/inspection.html").read_text())
    # the predicted label, two others and occlusion
    assert made.boxes == ["w3 w4 w5"] * 4 + ["w6"] * 4
    # another page replaces this one and its figures
    assert main(["inspect", "one", "w3", "--over-time"]) == 0
    files = {path.name for path in (here / "inspection").iterdir()}
    assert "text1_over_time.png" in files
    assert not [name for name in files if name.startswith("text2") or "reverse" in name]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("w3", "1 token."),
        ("", "1 token, 1 of them unknown"),
        ("nothing is known", "3 tokens, 3 of them unknown"),
        (" ".join(["w7", "w8"] * 2500), "40 tokens, truncated from 5000"),
        ("שלום w3 עולם", "3 tokens, 2 of them unknown"),
        ("今天天气很好 w4", "2 tokens"),
        ("w5 $\\frac{1}{2}$ % \x00 \ud800", "tokens"),
    ],
    ids=["one token", "empty", "unknown", "5000", "right to left", "chinese", "odd"],
)
def test_any_text(here: Path, text: str, expected: str) -> None:
    assert main(["inspect", "one", "--text", text]) == 0
    made = page()
    assert expected in made.text
    if text.isprintable() and text:
        assert made.boxes[0] == text


def test_html_in_a_text_is_only_text(here: Path, undrawn: None) -> None:
    text = "<script>alert(1)</script> <img src=x onerror=alert(2)> &amp; \" ' <b>w3</b>"
    assert main(["inspect", "one", text]) == 0
    made = page()
    assert made.boxes[0] == text
    assert "script" not in [tag for tag, _ in made.tags]
    assert not [attributes for _, attributes in made.tags if "onerror" in attributes]
    html = Path("inspection/inspection.html").read_text()
    assert "<script" not in html
    assert "<b>" not in html


def test_labels_are_only_text_too(here: Path) -> None:
    parts = tiny_parts() | {"labels": ["<script>1</script>", "$x^2$", "好"]}
    save_classifier(here / "odd", **parts)
    assert main(["inspect", "odd", "w3 w4"]) == 0
    assert "script" not in [tag for tag, _ in page().tags]
    assert "<script>1</script>" in page().text


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn", "average"])
def test_every_cell(here: Path, undrawn: None, cell: str) -> None:
    changes = {} if cell == "average" else {"num_layers": 2}
    save_tiny(here / "model", cell=cell, pooling="mean", **changes)
    assert main(["inspect", "model", "w3 w4 w5 w6"]) == 0
    gates = len(list((here / "inspection").glob("*gates*")))
    assert gates == (4 if cell in ("lstm", "gru") else 0)
    assert (here / "inspection" / "text1_half_lives.png").exists() == (gates > 0)
    assert ("No half-lives" in page().text) == (gates == 0)


def two_tokenizers(here: Path) -> None:
    """Save a second model whose tokens are characters; those of the first are words."""
    from nlp_rnn.tokens.tokenizer import train_tokenizer
    from tests.composing import compose

    config = compose(["tokenizer=char"]).tokenizer
    tokenizer = train_tokenizer(["w0 w1 w2 w3 w4 w5 w6 w7 w8 w9 <b>"] * 3, config)
    parts = tiny_parts(seed=5, cell="lstm", vocab_size=tokenizer.get_vocab_size())
    save_classifier(here / "letters", **parts | {"tokenizer_json": tokenizer.to_str()})


def test_two_models_with_different_tokenizers_are_aligned_by_characters(here: Path) -> None:
    two_tokenizers(here)
    assert main(["inspect", "both", "letters", "--text", "w3  w4 w12"]) == 0
    made = page()
    assert made.boxes == ["w3  w4 w12"] * 8
    assert "A" in made.text
    assert "GRU h5, bidirectional" in made.text
    assert "LSTM h5, bidirectional" in made.text
    files = {path.name for path in (here / "inspection").glob("*.png")}
    assert {"text1_a_attribution.png", "text1_b_attribution.png", "text1_gradient.png"} <= files
    titles = [attributes["title"] for tag, attributes in made.tags if "title" in attributes]
    # 3 words; 8 characters and two spaces as one token: for three labels and for occlusion
    assert len(titles) == 4 * 3 + 4 * 9


def test_both_models_share_one_scale(here: Path, undrawn: None) -> None:
    """A model whose prediction hardly depends on the text is hardly coloured."""
    flat = tiny_parts(seed=5)
    flat["state"]["head.weight"] *= 1e-3
    save_classifier(here / "flat", **flat)
    assert main(["inspect", "both", "flat", "--text", "w3 w4 w9 w10"]) == 0
    html = Path("inspection/inspection.html").read_text()
    left, right = html.split("Token attributions")[1].split("<h3>")[0].split("B · ")
    coloured = 'style="background:rgba'
    assert left.count(coloured) > 0
    check = right.index("Comparison with occlusion")
    assert right[:check].count(coloured) == 0


def test_probabilities_over_time(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "w3 w9 w4 w11 w5"
    inspection = inspect_text(load_model("one"), text)
    assert inspection.over_time is not None
    for length in range(1, 6):
        expected = nlp_rnn.load("one").predict_proba([" ".join(text.split()[:length])])[0]
        np.testing.assert_allclose(inspection.over_time[length - 1], expected, atol=1e-5)
    assert inspect_text(load_model("both"), text).over_time is None
    with pytest.raises(ClassifierError, match="is bidirectional"):
        probabilities_over_time(load_model("both"), np.array([3]))
    assert main(["inspect", "both", "w3", "--over-time"]) == 1
    error = capsys.readouterr().err
    assert "both is bidirectional" in error
    assert "experiment=streaming" in error
    assert len(error.splitlines()) == 2
    assert not (here / "inspection").exists()


def test_rows_of_files_and_data(here: Path, undrawn: None) -> None:
    frame = pd.DataFrame({"review": ["w3 w4", None, "w9"], "stars": ["good", "bad", "good"]})
    frame.to_csv("r.csv", index=False)
    frame.to_parquet("r.parquet")
    Path("r.txt").write_text("w5\nw6 w7\n")
    column = ["--input", "r.csv", "--column", "review"]
    assert main(["inspect", "one", *column, "--rows", "3,1"]) == 0
    assert [page().boxes[0], page().boxes[4]] == ["w9", "w3 w4"]
    assert main(["inspect", "one", "--input", "r.csv", "data.text=review", "--rows", "3"]) == 0
    assert page().boxes[0] == "w9"
    assert main(["inspect", "one", "--input", "r.txt", "--rows", "2"]) == 0
    assert page().boxes[0] == "w6 w7"
    overrides = ["data=stories", "data.train_rows=20", "data.test_rows=4"]
    assert main(["inspect", "one", *overrides, "--rows", "4"]) == 0
    assert "letter" in page().boxes[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "inspect needs a classifier and a text"),
        (["one"], "inspect needs a classifier and a text"),
        (["--text", "w3"], "found none"),
        (["one", "both", "one", "--text", "w3"], "needs one or two models"),
        (["one", "--text", "w3", "--input", "r.csv"], "--text and --input both select texts"),
        (["one", "--text", "w3", "data=stories"], "--text and data=… both select texts"),
        (["one", "w3", "--rows", "2"], "--rows has no effect without --input or data=…"),
        (["one", "data=stories", "--column", "x"], "--column has no effect without --input"),
        (["one", "--input", "r.csv", "--rows", "0"], "not row numbers from 1"),
        (["one", "--input", "r.csv", "--rows", "x"], "--rows is 'x'"),
        (["one", "--input", "r.csv", "--rows", "9"], "row 9 does not exist; there are 2"),
        (["one", "--input", "r.csv", "--rows", "2", "--column", "b"], "row 2 has no text (null)"),
        (["one", "--input", "nowhere.csv"], "nowhere.csv"),
        (["one", "--input", "r.txt", "--column", "a"], "where every line is one text"),
        (
            ["one", "data=stories", "data.train_rows=20", "data.test_rows=3", "--rows", "4"],
            "are 3.",
        ),
        (["one", "data=nothing"], "There is no data=nothing"),
        (["nowhere", "w3"], "nowhere does not exist"),
        (["one", "w3", "--output", "r.csv"], "--output r.csv is a file"),
        (["one", *["w3"] * 21], "at most 20 texts, but 21 were selected"),
        (["one", "w3", "--windows"], "inspect has no option --windows"),
    ],
)
def test_wrong_arguments(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    pd.DataFrame({"a": ["w3", "w4"], "b": ["w3", None]}).to_json(
        "r.jsonl", orient="records", lines=True
    )
    if "--rows" in arguments:
        arguments = [argument.replace("r.csv", "r.jsonl") for argument in arguments]
    pd.DataFrame({"text": ["w3", "w4"]}).to_csv("r.csv", index=False)
    Path("r.txt").write_text("w5\n")
    if "--rows" in arguments and "--column" not in arguments and "r.jsonl" in arguments:
        arguments = [*arguments, "--column", "a"]
    before = sorted(os.listdir(here))
    assert main(["inspect", *arguments]) in (1, 2)
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) <= 2
    assert sorted(set(os.listdir(here)) - {"cache"}) == before


@pytest.mark.slow
def test_the_page_goes_into_the_run_of_the_model(
    here: Path, undrawn: None, store_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    client = MlflowClient(tracking_uri=store_uri)
    experiment = client.create_experiment("e", artifact_location=(here / "art").as_uri())
    run = client.create_run(experiment).info.run_id
    parts = tiny_parts()
    save_classifier(here / "known", **parts | {"provenance": {"mlflow_run_id": run}})
    save_classifier(here / "lost", **parts | {"provenance": {"mlflow_run_id": "0" * 32}})
    assert main(["inspect", "known", "w3", "--no-log"]) == 0
    assert client.list_artifacts(run) == []
    assert main(["inspect", "known", "lost", "--text", "w3"]) == 0
    output = capsys.readouterr()
    assert f"MLflow run    {run}" in output.out
    assert output.err.startswith("not logged    MLflow at")
    names = {Path(file.path).name for file in client.list_artifacts(run, "inspection")}
    assert "inspection.html" in names
    assert "text1_gradient.png" in names
    (here / "mlflow.db").unlink()
    assert main(["inspect", "known", "w3"]) == 0
    assert "There is no MLflow store at" in capsys.readouterr().err
    assert not (here / "mlflow.db").exists()


@pytest.mark.slow
def test_a_page_of_400_tokens_is_made_within_five_seconds(here: Path) -> None:
    parts = tiny_parts(cell="lstm", hidden_size=128, embedding_size=128)
    tokenizer = parts["tokenizer_json"].replace('"max_length":40', '"max_length":400')
    parts["tokenizer_json"] = tokenizer.replace('"max_length": 40', '"max_length": 400')
    save_classifier(here / "large", **parts)
    text = " ".join(f"w{number}" for number in np.random.default_rng(0).integers(2, 30, 400))
    command = [sys.executable, "-m", "nlp_rnn", "inspect", "large", text]
    seconds = []
    for _ in range(3):
        begin = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True)
        seconds.append(time.perf_counter() - begin)
    assert sorted(seconds)[1] < 5, seconds  # the median
    assert "400 tokens." in page().text


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
def test_a_script_in_a_text_does_not_run_in_a_browser(here: Path) -> None:
    """Also without the page's Content-Security-Policy, so that the escaping itself is tested."""
    spell = "document.documentElement.setAttribute('data-ran','yes')"
    text = f'<script>{spell}</script> <img src=x onerror="{spell}"> w3'
    assert main(["inspect", "one", text]) == 0
    html = Path("inspection/inspection.html").read_text()
    open_page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
    assert open_page != html
    for name, content, runs in (
        ("page", html, False),
        ("open", open_page, False),
        ("trap", open_page.replace("</body>", f"{text}</body>"), True),
    ):
        Path(f"{name}.html").write_text(content)
        command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
        command += [f"--user-data-dir={here / 'profile'}", (here / f"{name}.html").as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert "Token attributions" in done.stdout
        assert ('data-ran="yes"' in done.stdout) == runs, name


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_is_not_wider_than_the_screen(here: Path, width: int) -> None:
    two_tokenizers(here)
    long_word = "w3 " + "x" * 300 + " w4"
    assert main(["inspect", "both", "letters", "--text", long_word]) == 0
    frame = f"""<iframe src="inspection/inspection.html" style="width:{width}px;height:900px"
      onload="document.title = this.contentDocument.documentElement.scrollWidth"></iframe>"""
    Path("frame.html").write_text(f"<!doctype html><title>0</title>{frame}")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    command += ["--allow-file-access-from-files", f"--user-data-dir={here / 'profile'}"]
    command += [(here / "frame.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    (title,) = re.findall(r"<title>(\d+)</title>", done.stdout)
    assert 0 < int(title) <= width
