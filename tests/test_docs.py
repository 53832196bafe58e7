"""Every command of the README and the docs runs, in order, in a folder of its own."""

import json
import os
import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path

import pandas as pd
import psutil
import pytest

from nlp_rnn.config.compose import compose
from nlp_rnn.errors import NlpRnnError
from nlp_rnn.sweeps.sweep_arguments import compose_sweep
from tests.warm import run

ROOT = Path(__file__).parent.parent
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))  # tests/test_tutorials_slow.py
PAGES = [ROOT / "README.md", *sorted({*(ROOT / "docs").rglob("*.md")} - {*TUTORIALS})]
LINKING = [*PAGES, *TUTORIALS, ROOT / "CONTRIBUTING.md"]
# Pages that scripts/reference writes, wholly or in part.
GENERATED = ("commands.md", "configuration.md", "architecture.md")
LONGEST = 150
# What needs minutes, a browser or a server has tests of its own.
ELSEWHERE = ("scripts/", "nlp-rnn ui", "mlflow models serve", "curl ", "nlp-rnn train -m resume=")
RUN_DIR = ("output_dir=", "hydra.")  # not part of the configuration of a run


def commands(page: Path) -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture
def here(tmp_path: Path, store_uri: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    reviews = [("Warm, quick and on time.", 5), ("Cold and late, never again.", 1)]
    frame = pd.DataFrame(reviews * 30, columns=["review", "stars"])
    frame.to_csv("reviews.csv", index=False)
    unlabelled = [f"{text} Visit {number}." for number in range(10) for text, _ in reviews]
    pd.DataFrame({"review": unlabelled}).to_csv("unlabelled.csv", index=False)
    talk = [("The team scored.", ["sport"]), ("A bank lost.", ["money"]), ("Rain.", [])]
    talk.append(("The team bought a bank.", ["sport", "money"]))
    frame = pd.DataFrame(talk * 20, columns=["text", "tags"])
    frame.to_json("talk.jsonl", orient="records", lines=True)
    write_data_files()
    write_presets()
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    return tmp_path


def write_data_files() -> None:
    """Write a file of each kind that docs/how-to/load-data.md names."""
    messages = ["I was charged twice; why?", "Das Paket ist für uns zu spät"] * 30
    teams = ["billing", "delivery"] * 30
    tickets = pd.DataFrame({"message": messages, "team": teams})
    tickets.drop(index=range(0, 20, 2)).to_csv("tickets.csv", sep=";", index=False)
    plain = tickets.set_axis(["text", "label"], axis=1)
    plain.to_csv("windows.csv", index=False, encoding="cp1252")
    for folder, files in {"splits": ("train", "test"), "parts": ("one", "two")}.items():
        Path(folder).mkdir()
        for start, name in enumerate(files):
            plain[30 * start : 30 * start + 30].to_csv(f"{folder}/{name}.csv", index=False)
    news = pd.DataFrame({"label": teams, "title": messages, "body": messages})
    news.to_csv("news.csv", header=False, index=False)
    news.rename(columns={"title": "premise", "body": "hypothesis"}).to_csv("pairs.csv", index=False)
    records = [
        {"utterance": {"text": text}, "intent": team}
        for text, team in zip(messages, teams, strict=True)
    ]
    Path("records.jsonl").write_text("".join(f"{json.dumps(record)}\n" for record in records))
    lines = [f"{team} {text}\n" for text, team in zip(messages, teams, strict=True)]
    Path("questions.txt").write_text("".join(lines), encoding="utf-8")
    Path("fasttext.txt").write_text("".join(f"__label__{line}" for line in lines), encoding="utf-8")


def write_presets() -> None:
    """Write the files of docs/how-to/own-presets.md, which names each before it shows it."""
    page = (ROOT / "docs" / "how-to" / "own-presets.md").read_text(encoding="utf-8")
    presets = re.findall(r"`(mine/[\w/]+\.yaml)`(?:(?!```).)*```yaml\n(.*?)```", page, re.DOTALL)
    assert len(presets) == 3
    for path, content in presets:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(content, encoding="utf-8")


@pytest.mark.parametrize(
    "page",
    [PAGES[0], *(pytest.param(page, marks=pytest.mark.slow) for page in PAGES[1:])],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_every_command_runs(page: Path, here: Path) -> None:
    for command in commands(page):
        if command.startswith(ELSEWHERE) or "RUN_FOLDER" in command:
            continue
        words = shlex.split(command)
        assert words[0] in ("nlp-rnn",), command
        if words[:2] == ["nlp-rnn", "train"] and "--cfg" not in words:
            # the stories take half a minute; fewer rows and epochs show as much
            words += ["tracking.system_metrics=false", "tracking.speed=none"]
            if "model=ngrams" not in words:  # which has no epochs
                words.append("trainer.max_epochs=1")
            words = ["seed=1" if word.startswith("seed=1,") else word for word in words]
            if "-m" in words and page.name != "README.md":
                words.append("sweep.compare=false")  # the README's is compared
            if not any(word.startswith(("data", "experiment=tickets")) for word in words):
                words += ["data.train_rows=100", "data.test_rows=20"]
        if words[1] == "pretrain" or "experiment=pretrained" in words:
            words.append("pretraining.max_epochs=1")
        done = run(words)
        assert done.returncode == 0, f"{command}\n{done.stderr}"


def test_every_training_that_is_shown_can_be_asked_for(here: Path) -> None:
    for command in (command for page in PAGES for command in commands(page)):
        words = shlex.split(command)
        if words[:2] != ["nlp-rnn", "train"] or "resume=" in command or "--" in command:
            continue
        options = [word for word in words[2:] if not word.startswith(("-m", *RUN_DIR))]
        try:
            if "-m" in words or any(word.startswith("sweep=") for word in words):
                with compose_sweep(options):
                    pass
            else:
                compose(options)
        except NlpRnnError as error:
            raise AssertionError(f"{command}\n{error}") from error


def test_the_python_of_the_readme_gives_what_it_says(here: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    train = next(line for line in commands(ROOT / "README.md") if "output_dir=tickets" in line)
    words = [*shlex.split(train), "tracking.system_metrics=false", "tracking.speed=none"]
    assert run(words).returncode == 0
    (block,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    program = block.replace("classifier.predict([", "print(classifier.predict([", 1)
    program = re.sub(r"^(print\(.*?\]\))", r"\1)", program, count=1, flags=re.MULTILINE)
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert answer.stdout.strip() == "['billing']", answer.stderr


@pytest.mark.slow
def test_the_ui_opens_on_the_store(here: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with subprocess.Popen(
        ["nlp-rnn", "ui", "--port", str(port)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while time.monotonic() < deadline:
                with suppress(OSError):
                    page = urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5)
                    with page:
                        assert b"MLflow" in page.read()
                    break
                time.sleep(0.5)
            else:
                pytest.fail("the UI did not answer within a minute")
        finally:
            for child in psutil.Process(process.pid).children(recursive=True):
                child.terminate()
            process.terminate()
        assert process.stdout is not None
        assert f"http://127.0.0.1:{port}/#/experiments/" in process.stdout.read().decode()


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".venv").is_dir(), reason="scripts/install makes .venv")
def test_the_demo_sets_both_cells_side_by_side() -> None:
    started = time.monotonic()
    done = subprocess.run([ROOT / "scripts" / "demo"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - started < 180
    for word in ("lstm", "gru", "test accuracy", "mlflow.db", "nlp_rnn.load("):
        assert word in done.stdout


def anchors(page: Path) -> set[str]:
    """The anchors of a page: those that GitHub makes of its headings, and those that it sets."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return slugs | set(re.findall(r'<a id="([^"]+)">', text))


def test_links_lead_to_files_and_headings_that_exist() -> None:
    for page in LINKING:
        links = re.findall(r"\]\(([^)#\s]*)(?:#([^)]+))?\)", page.read_text(encoding="utf-8"))
        for target, anchor in links:
            if not target.startswith("http"):
                linked = page.parent / target if target else page
                assert linked.exists(), f"{page.name}: {target}"
                assert not anchor or anchor in anchors(linked), f"{page.name}: {target}#{anchor}"


def test_a_page_is_short_enough_to_be_read_at_once() -> None:
    long = {
        str(page.relative_to(ROOT)): lines
        for page in LINKING
        if "research" not in page.parts and page.name not in GENERATED
        for lines in [len(page.read_text(encoding="utf-8").splitlines())]
        if lines > LONGEST
    }
    assert not long, "Split these pages: a page answers one question."
