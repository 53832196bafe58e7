"""The page of the service, in a headless Chromium: every feature, hostile texts, small screens."""

import csv
import io
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nlp_rnn
from nlp_rnn.classifier.classifier_saving import save_classifier
from nlp_rnn.classifier.risk_coverage import risk_coverage, write_table
from tests.browser import Page, browser
from tests.service import Service, require_service, running_service
from tests.tiny_classifier import save_tiny, tiny_parts, tiny_texts

require_service()
pytestmark = pytest.mark.slow

TEXTS = [
    "w2 <script>window.hacked = true</script> <img src=x onerror='window.hacked = true'> w3",
    "\u0645\u0631\u062d\u0628\u0627 w2 \u05e2\u05d5\u05dc\u05dd w3",  # right-to-left
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 w2 \U0001f1e8\U0001f1ed",  # emoji
    "\u202ew2 \u200fw3",  # characters that change the direction
    "w2 " * 5000,
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("page")
    save_tiny(folder / "gru" / "classifier")
    save_tiny(folder / "lstm" / "classifier", seed=1, cell="lstm")
    save_tiny(folder / "stream" / "classifier", seed=2, bidirectional=False, pooling="last")
    save_classifier(folder / "many", **tiny_parts(seed=3), thresholds=[0.2, 0.5, 0.9])
    pair = tiny_parts(seed=4)
    save_classifier(folder / "pair", **pair)
    random = np.random.default_rng(0)
    probabilities = random.dirichlet([0.5] * 3, 200)
    labels = np.where(random.random(200) < 0.8, probabilities.argmax(1), 0)
    table = risk_coverage(labels, probabilities.astype(np.float32))
    write_table(folder / "gru" / "classifier", table)
    return folder


@pytest.fixture(scope="module")
def service(folder: Path) -> Iterator[Service]:
    names = [f"{name}={folder / name / 'classifier'}" for name in ("gru", "lstm", "stream")]
    with running_service(*names, f"many={folder / 'many'}") as service:
        yield service


@pytest.fixture(scope="module")
def chromium() -> Iterator[Page]:
    with browser() as page:
        yield page


@pytest.fixture
def page(chromium: Page, service: Service) -> Iterator[Page]:
    chromium.events.clear()
    open_page(chromium, service)
    yield chromium
    assert chromium.problems() == []


def open_page(page: Page, service: Service, **options: Any) -> None:
    page.open(f"http://127.0.0.1:{service.port}/", **options)
    page.wait("document.querySelectorAll('.view').length")


def predicted(page: Page) -> list[str]:
    texts: list[str] = page.wait(
        "(() => { const best = [...document.querySelectorAll('.best strong')];"
        " return best.length && best.every((node) => node.textContent) &&"
        " best.map((node) => node.textContent); })()"
    )
    return texts


def test_two_classifiers_predict_while_a_text_is_typed(page: Page, folder: Path) -> None:
    page.evaluate("document.querySelector('#text').focus()")
    page.type("w2 w3")
    expected = [nlp_rnn.load(folder / name / "classifier") for name in ("gru", "lstm")]
    assert predicted(page) == [classifier.predict(["w2 w3"])[0] for classifier in expected]
    for text in ("w2 w3 w9", "w2 w3 w9 w9 w7"):
        page.type(text[len("w2 w3") :] if text.count("w9") == 1 else " w9 w7")
        shares = [f"{100 * c.predict_proba([text]).max():.1f} %" for c in expected]
        page.wait(
            f"JSON.stringify([...document.querySelectorAll('.share')].map((n) => n.textContent))"
            f" === {json.dumps(json.dumps(shares, separators=(',', ':')))}"
        )
    page.wait("document.querySelector('#announcement').textContent.startsWith('gru: ')")
    page.fill("#text", "")
    page.wait("document.querySelectorAll('.best strong').length === 0")


def test_tokens_gates_and_prefixes_are_shown(page: Page, folder: Path) -> None:
    page.fill("#second", "stream")
    page.wait("document.querySelectorAll('.view h2')[1]?.textContent === 'stream'")
    page.fill("#text", "w2 w3 w4")
    page.wait("document.querySelectorAll('.explained').length === 2")
    assert page.evaluate("document.querySelector('.explained').textContent") == "w2 w3 w4"
    spans = "[...document.querySelector('.explained').querySelectorAll('span')]"
    values = page.evaluate(f"{spans}.map((node) => [node.textContent, Number(node.title)])")
    classifier = nlp_rnn.load(folder / "gru" / "classifier")
    whole, *without = classifier.predict_proba(["w2 w3 w4", " w3 w4", "w2  w4", "w2 w3 "])
    label = int(whole.argmax())

    def odds(row: Any) -> float:
        return float(np.log(row[label] / (1 - row[label])))

    contributions = [odds(whole) - odds(row) for row in without]
    assert [token for token, _ in values] == ["w2", "w3", "w4"]
    assert [value for _, value in values] == pytest.approx(contributions, abs=0.01)
    rows = "[...document.querySelectorAll('.gates th[scope=row]')]"
    gates = page.evaluate(f"{rows}.map((node) => node.textContent)")
    assert [name for name in gates if name in ("reset", "update")] == ["reset", "update"] * 3
    (last,) = nlp_rnn.load(folder / "stream" / "classifier").predict_proba(["w2 w3 w4"]).max(1)
    prefixes = "document.querySelectorAll('.view')[1].querySelectorAll('.gates')[0]"
    shown = page.evaluate(f"{prefixes}.querySelector('tbody tr').lastChild.textContent")
    assert float(shown) == pytest.approx(last, abs=0.006)
    page.evaluate("document.querySelectorAll('.label-button')[1].click()")
    chosen = page.evaluate("document.querySelectorAll('.label-button')[1].textContent")
    assert page.evaluate("document.querySelector('.view h3 em').textContent") == chosen


def test_the_threshold_has_coverage_and_accuracy(page: Page) -> None:
    page.wait("document.querySelectorAll('.view .slider').length === 1")  # one is in a run folder
    page.fill("#text", "w2 w3")
    predicted(page)
    assert "100.0 % of the texts would get a label" in page.text()
    assert "(200 validation texts)" in page.text()
    page.fill(".view .slider input", "99")
    assert page.evaluate("document.querySelector('.best strong').textContent") == "no label"
    assert "of which" in page.evaluate("document.querySelector('.slider output').textContent")


def test_multi_label_predictions_have_several_labels(page: Page, folder: Path) -> None:
    page.fill("#first", "many")
    page.wait("document.querySelector('.view h2').textContent === 'many'")
    page.fill("#text", "w2 w3")
    labels = nlp_rnn.load(folder / "many").predict(["w2 w3"])[0]
    assert predicted(page)[0] == (", ".join(labels) or "no label")


@pytest.mark.parametrize("text", TEXTS)
def test_any_text_is_shown_as_text(page: Page, text: str) -> None:
    page.fill("#text", text)
    page.wait("document.querySelectorAll('.explained').length === 2")
    shown = page.evaluate("document.querySelector('.explained').textContent")
    assert shown == text
    page.fill("#rows", "text\n" + '"' + text.replace('"', '""') + '"\n')
    page.evaluate("document.querySelector('#start').click()")
    page.wait("document.querySelectorAll('.predictions tbody tr').length === 1")
    assert page.evaluate("document.querySelector('.predictions td').textContent") == text
    assert page.evaluate("window.hacked === undefined")
    assert page.evaluate("document.querySelectorAll('main script, main img').length") == 0


def test_a_table_of_ten_thousand_rows_is_predicted_and_downloaded(
    page: Page, folder: Path, tmp_path: Path
) -> None:
    texts = [text or "w2" for text in tiny_texts(10_000)]
    classifier = nlp_rnn.load(folder / "gru" / "classifier")
    expected = classifier.predict(texts)
    written = io.StringIO()
    rows = csv.writer(written)
    rows.writerow(["id", "text", "label"])
    rows.writerows([index, text + ' "quoted", ', "bad"] for index, text in enumerate(texts))
    expected = classifier.predict([text + ' "quoted", ' for text in texts])
    page.command("Page.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
    page.fill("#rows", written.getvalue())
    assert "10,000 rows" in page.evaluate("document.querySelector('#table-status').textContent")
    page.evaluate("document.querySelector('#start').click()")
    page.wait("document.querySelector('#progress').value > 0")
    page.wait(
        "document.querySelector('#table-status').textContent.includes('are predicted by')", 120
    )
    assert "10,000 of 10,000" in page.text()
    assert "(10,000 texts of the file with their labels)" in page.text()
    page.evaluate("document.querySelector('#download').click()")
    file = tmp_path / "predictions.csv"
    page.wait("true")
    from tests.service import wait_until

    wait_until(lambda: file.exists() and len(file.read_text().splitlines()) > 10_000)
    read = list(csv.DictReader(io.StringIO(file.read_text(encoding="utf-8"))))
    assert [row["predicted_label"] for row in read] == expected
    assert [row["text"] for row in read[:3]] == [text + ' "quoted", ' for text in texts[:3]]


def test_a_prediction_of_a_table_can_be_stopped(page: Page) -> None:
    page.fill("#rows", "text\n" + "w2 w3 w4\n" * 20_000)
    page.evaluate("document.querySelector('#start').click()")
    page.wait("document.querySelector('#progress').value > 0")
    page.evaluate("document.querySelector('#stop').click()")
    page.wait("document.querySelector('#table-status').textContent.startsWith('Stopped after')")
    assert not page.evaluate("document.querySelector('#start').disabled")


def test_new_rows_are_not_described_by_a_former_prediction(page: Page) -> None:
    page.fill("#rows", "text\n" + "w2 w3 w4\n" * 20_000)
    page.evaluate("document.querySelector('#start').click()")
    page.wait("document.querySelector('#progress').value > 0")
    page.fill("#rows", "text\nw2\n")
    page.evaluate("new Promise((resolve) => { setTimeout(resolve, 500); })")
    status = "document.querySelector('#table-status').textContent"
    assert page.evaluate(status) == "1 row. Press Predict."
    assert not page.evaluate("document.querySelector('#table').checkVisibility()")
    assert page.evaluate("document.querySelector('#download').disabled")
    page.evaluate("document.querySelector('#start').click()")
    page.wait(f"{status} === '1 text is predicted by gru.'")


def test_requests_of_a_table_stay_within_the_limits_of_the_service(
    chromium: Page, folder: Path
) -> None:
    # three of the long texts are too many bytes for one request
    texts = ["w2 " + "\u00fc" * 200] * 10 + ["w3"] * 10
    with running_service(folder / "many", "--max-texts", "3", "--max-body", "1024") as service:
        open_page(chromium, service)
        chromium.fill("#rows", "text\n" + "\n".join(texts))
        chromium.evaluate("document.querySelector('#start').click()")
        chromium.wait(
            "document.querySelector('#table-status').textContent"
            " === '20 texts are predicted by many.'"
        )
        requests = 'nlp_rnn_requests_total{route="/predict",status="200"}'
        # 4 of two long texts, 1 of two long ones and a short one, 3 of three short ones
        assert f"{requests} 8.0" in service.get("/metrics").body.decode()


def test_a_chosen_file_is_predicted(page: Page, folder: Path, tmp_path: Path) -> None:
    texts = ["w2 w3 Gr\u00fc\u00dfe", "w9 sch\u00f6n", "\u00c4rger w5"]
    file = tmp_path / "texts.csv"
    file.write_text("\ufefftext\n" + "\n".join(texts) + "\n", encoding="utf-8")
    document = page.command("DOM.getDocument")["root"]["nodeId"]
    node = page.command("DOM.querySelector", nodeId=document, selector="#file")["nodeId"]
    page.command("DOM.setFileInputFiles", nodeId=node, files=[str(file)])
    status = "document.querySelector('#table-status').textContent"
    page.wait(f"{status} === '3 rows. Press Predict.'")
    page.evaluate("document.querySelector('#start').click()")
    page.wait("document.querySelectorAll('.predictions tbody tr').length === 3")
    cells = "[...document.querySelectorAll('.predictions tbody td')].map((n) => n.textContent)"
    shown = page.evaluate(cells)
    assert shown[0::3] == texts
    assert shown[1::3] == nlp_rnn.load(folder / "gru" / "classifier").predict(texts)


def test_a_service_that_stops_in_the_middle_of_a_table_says_how_many_are_predicted(
    chromium: Page, folder: Path
) -> None:
    with running_service(folder / "many") as service:
        open_page(chromium, service)
        chromium.fill("#rows", "text\n" + "w2 w3 w4\n" * 50_000)
        chromium.evaluate("document.querySelector('#start').click()")
        chromium.wait("document.querySelector('#progress').value > 0")
        service.stop()
        status = "document.querySelector('#table-status').textContent"
        chromium.wait(f"{status}.includes('of 50,000 texts are predicted')")
        count = chromium.evaluate("document.querySelector('#progress').value")
        assert 0 < count < 50_000
        assert chromium.evaluate(status) == (
            "The service does not respond. It may have been stopped. "
            f"{count:,} of 50,000 texts are predicted."
        )
        assert not chromium.evaluate("document.querySelector('#download').disabled")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("text\n", "there is no other row yet"),
        ('text\n"w2', "A quotation mark in the CSV is not closed."),
        ("text,id\nw2,1\nw3\n", "Row 3 has 1 cell, and the first row has 2."),
        ("text\nw2, w3\n", "Row 2 has 2 cells, and the first row has 1. Put texts with commas"),
    ],
)
def test_a_broken_table_is_explained(page: Page, rows: str, message: str) -> None:
    assert not page.evaluate("document.querySelector('#start').checkVisibility()")
    page.fill("#rows", rows)
    page.evaluate("document.querySelector('#start').click()")
    page.wait(
        f"document.querySelector('#table-status').textContent.includes({json.dumps(message)})"
    )


def test_everything_can_be_reached_with_the_keyboard(page: Page) -> None:
    page.fill("#text", "w2 w3")
    page.wait("document.querySelectorAll('.explained').length === 2")
    page.fill("#rows", "text\nw2\n")
    page.evaluate("document.activeElement.blur()")
    focusable = "a, button:not(:disabled), select, textarea, input, summary, [tabindex='0']"
    visible = (
        f"[...document.querySelectorAll({json.dumps(focusable)})]"
        ".filter((node) => node.checkVisibility())"
    )
    count = page.evaluate(f"{visible}.length")
    reached = "window.reached = new Set()"
    page.evaluate(f"({reached}, 1)")
    for _ in range(count + 2):
        page.press("Tab", 9)
        page.evaluate("(window.reached.add(document.activeElement), 1)")
    missed = f"{visible}.filter((node) => !window.reached.has(node)).map((n) => n.outerHTML)"
    assert page.evaluate(missed) == []
    page.evaluate("document.querySelector('#start').focus()")
    page.press("Enter", 13, "\r")
    page.wait("document.querySelectorAll('.predictions tbody tr').length === 1")


def test_a_screen_reader_finds_names_and_regions(page: Page) -> None:
    page.fill("#text", "w2 w3")
    page.wait("document.querySelectorAll('.explained').length === 2")
    page.fill("#rows", "text\nw2\n")
    nodes = page.command("Accessibility.getFullAXTree")["nodes"]
    shown = [node for node in nodes if not node.get("ignored")]
    roles = {"textbox", "combobox", "button", "slider", "link", "region", "progressbar"}
    unnamed = [
        node["role"]["value"]
        for node in shown
        if node["role"]["value"] in roles and not node.get("name", {}).get("value")
    ]
    assert unnamed == []
    headings = [n["name"]["value"] for n in shown if n["role"]["value"] == "heading"]
    assert {"Try the classifier", "Text", "gru", "lstm", "Gates", "Many texts"} <= set(headings)
    assert sum(heading.startswith("Contributions to ") for heading in headings) == 2
    announcement = page.wait("document.querySelector('[role=status]').textContent")
    assert announcement.startswith("gru: ")


@pytest.mark.parametrize("width", [360, 1400])
@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_small_and_large_screens_in_both_schemes(
    page: Page, service: Service, width: int, dark: bool
) -> None:
    open_page(page, service, width=width, dark=dark)
    page.fill("#text", "w2 w3 " * 40 + "x" * 300)
    page.wait("document.querySelectorAll('.explained').length === 2")
    page.fill("#rows", "text,label\n" + "w2 w3 " * 40 + "x" * 300 + ",bad\n")
    page.evaluate("document.querySelector('#start').click()")
    page.wait("document.querySelectorAll('.predictions tbody tr').length === 1")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    contrasts = page.evaluate(
        """(() => {
          const light = (colour) => {
            const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((value) => {
              const share = value / 255;
              return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
            });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b;
          };
          const ground = light(getComputedStyle(document.body).backgroundColor);
          return ['body', 'label', 'a', '.share', 'caption'].map((selector) => {
            const ink = light(getComputedStyle(document.querySelector(selector)).color);
            return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
          });
        })()"""
    )
    assert min(contrasts) >= 4.5, "the contrast that WCAG asks for"


def test_a_service_that_stops_is_reported_and_used_again(chromium: Page, folder: Path) -> None:
    with running_service(folder / "many") as service:
        open_page(chromium, service)
        chromium.fill("#text", "w2 w3")
        predicted(chromium)
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(timeout=30)
        chromium.fill("#text", "w2 w3 w4")
        chromium.wait("!document.querySelector('#problem').hidden")
        assert "The service does not respond" in chromium.text()


def test_the_page_asks_for_the_token(chromium: Page, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("secret-token")
    with running_service(folder / "many", "--token-file", tmp_path / "tokens") as service:
        chromium.open(f"http://127.0.0.1:{service.port}/")
        chromium.wait("!document.querySelector('#token-form').hidden")
        chromium.fill("#token", "secret-token")
        chromium.evaluate("document.querySelector('#token-form button').click()")
        chromium.wait("document.querySelectorAll('.view').length")
        chromium.fill("#text", "w2 w3")
        assert predicted(chromium)


def test_a_wrong_token_is_named_on_both_pages(chromium: Page, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text("another-token")
    with running_service(folder / "many", "--token-file", tmp_path / "tokens") as service:
        address = f"http://127.0.0.1:{service.port}"
        for path in ("/", "/docs"):
            chromium.open(f"{address}{path}")
            chromium.evaluate("sessionStorage.clear()")
            chromium.open(f"{address}{path}")
            chromium.wait("document.querySelector('#token-form').checkVisibility()")
            assert "The service needs a token." in chromium.text()
            assert not chromium.evaluate("document.querySelector('#main').checkVisibility()")
            for wrong in ("a wrong token", "\u0442\u043e\u043a\u0435\u043d"):
                chromium.fill("#token", wrong)
                chromium.evaluate("document.querySelector('#token-form button').click()")
                chromium.wait("document.querySelector('#problem').textContent.includes('wrong')")
            chromium.fill("#token", " another-token ")
            chromium.evaluate("document.querySelector('#token-form button').click()")
            chromium.wait("document.querySelector('#main').checkVisibility()")
            assert not chromium.evaluate("document.querySelector('#token-form').checkVisibility()")
            assert "token is wrong" not in chromium.text()
        assert "Authorization: Bearer $(cat token)" in chromium.text()
        assert "WebSocket /stream" in chromium.text()
        assert chromium.evaluate("document.querySelector('nav a[download]').href.slice(0, 5)") == (
            "blob:"
        )


def test_bars_are_as_long_as_their_probabilities(page: Page) -> None:
    page.fill("#text", "w2 w3")
    predicted(page)
    shares = page.evaluate(
        "[...document.querySelectorAll('.view')].map((view) => [...view.querySelectorAll('.labels"
        " tr')].map((row) => [row.querySelector('.bar').offsetWidth,"
        " row.querySelector('.track').offsetWidth, parseFloat(row.lastChild.textContent),"
        " row.offsetWidth]))"
    )
    for bar, track, percent, row in (values for view in shares for values in view):
        assert bar / track == pytest.approx(percent / 100, abs=0.01)
        assert track > 0.75 * row


def test_nothing_empty_is_shown_before_a_text(page: Page) -> None:
    details = "document.querySelector('.view details')"
    assert not page.evaluate(f"{details}.checkVisibility()")
    page.fill("#text", "w2 w3")
    page.wait(f"{details}.checkVisibility()")
    page.fill("#text", "")
    page.wait(f"!{details}.checkVisibility()")


def test_the_classifier_of_many_texts_is_selected_and_named(page: Page, folder: Path) -> None:
    page.fill("#table-classifier", "lstm")
    page.fill("#rows", "text\nw2 w3\n")
    page.evaluate("document.querySelector('#start').click()")
    page.wait("document.querySelectorAll('.predictions tbody tr').length === 1")
    status = "document.querySelector('#table-status').textContent"
    assert page.evaluate(status) == "1 text is predicted by lstm."
    assert "Predictions of lstm" in page.evaluate(
        "document.querySelector('.predictions caption').textContent"
    )
    label = page.evaluate("document.querySelectorAll('.predictions td')[1].textContent")
    assert [label] == nlp_rnn.load(folder / "lstm" / "classifier").predict(["w2 w3"])


@pytest.mark.parametrize(
    ("rows", "form", "texts"),
    [
        ("w2, w3\nw4, w5 w6\n", "lines", ["w2, w3", "w4, w5 w6"]),
        ("w2,1\nw4,2\n", "unnamed", ["w2", "w4"]),
        ("w2\nw4\n", "named", ["w4"]),
    ],
)
def test_rows_without_names_can_be_predicted(
    page: Page, rows: str, form: str, texts: list[str]
) -> None:
    page.fill("#rows", rows)
    status = "document.querySelector('#table-status').textContent"
    assert "The first row is not predicted" in page.evaluate(status)
    page.fill("#format", form)
    assert ("The first row is not predicted" in page.evaluate(status)) == (form == "named")
    page.evaluate("document.querySelector('#start').click()")
    page.wait(f"document.querySelectorAll('.predictions tbody tr').length === {len(texts)}")
    shown = "[...document.querySelectorAll('.predictions td:first-child')].map(n => n.textContent)"
    assert page.evaluate(shown) == texts


def test_pairs_have_two_fields(chromium: Page, folder: Path) -> None:
    config = json.loads((folder / "pair" / "config.json").read_text())
    from nlp_rnn.classifier.manifest import checksum

    copy = folder / "separated"
    shutil.copytree(folder / "pair", copy, dirs_exist_ok=True)
    config["separator"] = "[SEP]"
    config["checksum"] = checksum(config)
    (copy / "config.json").write_text(json.dumps(config))
    classifier = nlp_rnn.load(copy)
    with running_service(copy) as service:
        open_page(chromium, service)
        chromium.fill("#text", "w2 w3")
        chromium.fill("#text2", "w7")
        share = (
            f"{100 * classifier.predict_proba([classifier.join_texts('w2 w3', 'w7')]).max():.1f} %"
        )
        chromium.wait(f"document.querySelector('.share')?.textContent === {json.dumps(share)}")


def test_the_page_of_requests_lists_all_of_them(chromium: Page, service: Service) -> None:
    chromium.open(f"http://127.0.0.1:{service.port}/docs")
    chromium.wait("document.querySelectorAll('section').length")
    text = chromium.text()
    for path in service.get("/openapi.json").json["paths"]:
        assert f" {path}\n" in text
    assert "WebSocket /stream" in text
