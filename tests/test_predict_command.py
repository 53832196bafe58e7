"""Tables in files and pipes get columns with predictions, also after an interruption."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import nlp_rnn
from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.cli import main
from nlp_rnn.commands import input_tables as tables
from nlp_rnn.commands.output_columns import DELIMITERS
from tests.peak_memory import needs_peak_memory
from tests.tiny_classifier import save_tiny, tiny_texts

TEXTS = ["w2 w3", 'w5, "w9"\nw7', "", "\tw4 \x85w6", "w8 😀", "\r\n w9"]
ROWS = [{"id": number, "text": text, "who": f"é{number}"} for number, text in enumerate(TEXTS)]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    return str(save_tiny(tmp_path / "classifier"))


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    kind = path.suffix[1:]
    if kind == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    elif kind == "jsonl":
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="")
    elif kind == "txt":
        path.write_text("".join(f"{row['text']}\n" for row in rows), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            # an empty cell without quotes is null
            writer = csv.DictWriter(
                file, list(rows[0]), delimiter=DELIMITERS[kind], quoting=csv.QUOTE_ALL
            )
            writer.writeheader()
            writer.writerows(rows)
    return path


def read(path: Path | io.BytesIO, kind: str = "") -> list[dict[str, Any]]:
    kind = kind or path.suffix[1:]  # type: ignore[union-attr]
    data = path.getvalue() if isinstance(path, io.BytesIO) else path.read_bytes()
    if kind == "parquet":
        return parquet.read_table(pa.BufferReader(data)).to_pylist()
    if kind == "jsonl":
        return [json.loads(line) for line in data.decode().split("\n")[:-1]]
    reader = csv.DictReader(io.StringIO(data.decode(), newline=""), delimiter=DELIMITERS[kind])
    return list(reader)


def expected(folder: str, texts: list[str]) -> list[tuple[str, float]]:
    classifier = nlp_rnn.load(folder)
    rows = classifier.predict_proba(texts)
    return [
        (label, pytest.approx(float(row.max()), abs=1e-5))
        for label, row in zip(classifier.predict(texts), rows, strict=True)
    ]


def labels_and_scores(rows: list[dict[str, Any]]) -> list[tuple[str, float]]:
    return [(row["label"], float(row["score"])) for row in rows]


@pytest.mark.parametrize("source", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize("target", ["csv", "tsv", "jsonl", "parquet"])
def test_every_format_is_written_from_every_other(
    folder: str, tmp_path: Path, source: str, target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "CHUNK_ROWS", 4)
    source_path = write(tmp_path / f"in.{source}", ROWS)
    out = tmp_path / f"out.{target}"
    assert main(["predict", folder, "--input", str(source_path), "--output", str(out)]) == 0
    rows = read(out)
    assert labels_and_scores(rows) == expected(folder, TEXTS)
    assert [list(row) for row in rows] == [["id", "text", "who", "label", "score"]] * len(ROWS)
    # what csv has no types for is text, everything else is what it was
    typed = source in ("jsonl", "parquet") and target in ("jsonl", "parquet")
    for row, before in zip(rows, ROWS, strict=True):
        assert {name: row[name] for name in before} == (
            before if typed else {name: str(value) for name, value in before.items()}
        )
    assert sorted(os.listdir(tmp_path)) == sorted(["classifier", source_path.name, out.name])


def test_probabilities_of_every_class(folder: str, tmp_path: Path) -> None:
    source_path = write(tmp_path / "in.csv", ROWS)
    arguments = ["predict", folder, "--input", str(source_path), "--proba"]
    for kind in ("csv", "parquet"):
        assert main([*arguments, "--output", f"out.{kind}"]) == 0
        rows = read(tmp_path / f"out.{kind}")
        shares = [[float(r[f"probability_{c}"]) for c in ("bad", "fair", "good")] for r in rows]
        np.testing.assert_allclose(shares, nlp_rnn.load(folder).predict_proba(TEXTS), atol=1e-5)
        assert [float(row["score"]) for row in rows] == [max(row) for row in shares]


def test_texts_as_arguments(folder: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", folder, "w2 w3", "", "--", "--proba"]) == 0
    lines = capsys.readouterr().out.split("\n")
    for line, text, (label, score) in zip(
        lines, ["w2 w3", "", "--proba"], expected(folder, ["w2 w3", "", "--proba"]), strict=False
    ):
        assert line.split("\t")[0::2] == [label, text]
        assert float(line.split("\t")[1]) == pytest.approx(score.expected, abs=1e-4)
    assert main(["predict", folder, "w2", "--threshold", "1"]) == 0
    assert capsys.readouterr().out.startswith("\t0.")
    assert main(["predict", folder, "w2", "--output", "one.jsonl", "--proba"]) == 0
    (row,) = read(Path("one.jsonl"))
    assert list(row)[:3] == ["text", "label", "score"]


def run(arguments: list[str], standard_input: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "nlp_rnn", "predict", *arguments],
        input=standard_input,
        capture_output=True,
    )


def test_pipes(folder: str, tmp_path: Path) -> None:
    done = run([folder], b"w2 w3\r\n\nw9")
    assert (done.returncode, done.stderr) == (0, b"standard input: 1 of 3 texts are empty\n")
    lines = [line.split("\t") for line in done.stdout.decode().split("\n")[:-1]]
    assert [line[2] for line in lines] == ["w2 w3", "", "w9"]
    assert [line[0] for line in lines] == [e[0] for e in expected(folder, ["w2 w3", "", "w9"])]
    for kind in ("csv", "jsonl"):
        source_path = write(tmp_path / f"in.{kind}", ROWS)
        done = run(
            [folder, "--input", "-", f"data.format={kind}", "--proba"], source_path.read_bytes()
        )
        assert (done.returncode, done.stderr) == (0, b"standard input: 1 of 6 texts are empty\n")
        assert labels_and_scores(read(io.BytesIO(done.stdout), kind)) == expected(folder, TEXTS)
    done = run([folder, "--input", str(write(tmp_path / "in.parquet", ROWS))], b"")
    assert labels_and_scores(read(io.BytesIO(done.stdout), "jsonl")) == expected(folder, TEXTS)
    done = run([folder, "--output", "out.csv"], b"w2\nw3\n")
    assert done.returncode == 0
    assert b"wrote 2 rows to out.csv" in done.stderr
    assert labels_and_scores(read(tmp_path / "out.csv")) == expected(folder, ["w2", "w3"])


def test_a_closed_pipe_ends_the_command_quietly(folder: str, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("w2 w3\n" * 50_000)
    program = f"{sys.executable} -m nlp_rnn predict {folder} --input in.txt | head -1"
    done = subprocess.run(["bash", "-c", program], capture_output=True, text=True)
    assert done.stdout.endswith("w2 w3\n")
    assert done.stderr == ""


# Resuming after an interruption


@pytest.mark.parametrize("source", ["csv", "jsonl", "parquet", "txt"])
@pytest.mark.parametrize("target", ["csv", "jsonl", "parquet"])
def test_an_interrupted_output_is_resumed(
    folder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    source: str,
    target: str,
) -> None:
    monkeypatch.setattr(tables, "CHUNK_ROWS", 10)
    rows = [{"n": i, "text": text} for i, text in enumerate(tiny_texts(57))]
    source_path = write(tmp_path / f"in.{source}", rows)
    arguments = ["predict", folder, "--input", str(source_path), "--proba"]
    assert main([*arguments, "--output", f"whole.{target}"]) == 0
    out = tmp_path / f"out.{target}"
    out.write_text("what was there before")
    counts: list[int] = []
    predict_proba = TextClassifier.predict_proba

    def fails_at_the_fourth(self: TextClassifier, texts: Any, **options: Any) -> Any:
        if len(counts) == 3:
            raise KeyboardInterrupt
        counts.append(len(texts))
        return predict_proba(self, texts, **options)

    monkeypatch.setattr(TextClassifier, "predict_proba", fails_at_the_fourth)
    assert main([*arguments, "--output", str(out)]) == 130
    assert out.read_text() == "what was there before"
    part = tmp_path / f"out.{target}.part"
    with part.open("ab") as file:
        file.write(b"half a li")  # as kill -9 may leave it
    counts[:] = [0]
    monkeypatch.setattr(TextClassifier, "predict_proba", fails_at_the_fourth)
    assert main([*arguments, "--output", str(out)]) == 130  # two chunks more
    counts[:] = [0, 0]
    capsys.readouterr()
    assert main([*arguments, "--output", str(out)]) == 0
    assert f"resuming {out} after 50 rows" in capsys.readouterr().err
    assert counts == [0, 0, 7]
    assert read(out) == read(tmp_path / f"whole.{target}")
    if target != "parquet":
        assert out.read_bytes() == (tmp_path / f"whole.{target}").read_bytes()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"classifier", source_path.name, out.name, f"whole.{target}"}


@pytest.mark.parametrize("changed", ["input", "options", "classifier", "note", "part"])
def test_an_output_of_something_else_starts_again(
    folder: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    changed: str,
) -> None:
    monkeypatch.setattr(tables, "CHUNK_ROWS", 2)
    source_path = write(tmp_path / "in.csv", ROWS)
    arguments = ["predict", folder, "--input", str(source_path), "--output", "out.csv"]
    predict_proba = TextClassifier.predict_proba
    calls: list[int] = []

    def fails_at_the_third(self: TextClassifier, texts: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return predict_proba(self, texts, **options)

    monkeypatch.setattr(TextClassifier, "predict_proba", fails_at_the_third)
    assert main(arguments) == 130
    match changed:
        case "input":
            write(source_path, [{"text": text} for text in TEXTS])
        case "options":
            arguments.append("--proba")
        case "classifier":
            save_tiny(Path(folder), seed=1)
        case "note":
            (tmp_path / "out.csv.part.json").write_text('{"rows": 4')
        case "part":
            (tmp_path / "out.csv.part").write_bytes(b"")
    assert main(arguments) == 0
    assert "resuming" not in capsys.readouterr().err
    assert labels_and_scores(read(tmp_path / "out.csv")) == expected(folder, TEXTS)


def test_standard_input_cannot_be_resumed_and_leaves_nothing(folder: str, tmp_path: Path) -> None:
    done = run([folder, "--output", "out.csv", "data.format=jsonl"], b'{"text": "w2"}\n{"te\n')
    assert done.returncode == 1
    assert b"standard input is not valid JSON after row" in done.stderr
    assert os.listdir(tmp_path) == ["classifier"]


# Inputs of every sort


def test_rows_without_a_text_get_no_label(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"text": "w2"}, {"text": None}, {"text": "w3"}]
    for kind in ("jsonl", "parquet"):
        source_path = write(tmp_path / f"in.{kind}", rows)
        assert (
            main(["predict", folder, "--input", str(source_path), "--output", f"out.{kind}"]) == 0
        )
        assert "1 row has no text, and therefore no label" in capsys.readouterr().err
        rows_read = read(tmp_path / f"out.{kind}")
        assert rows_read[1] == {"text": None, "label": None, "score": None}
        assert labels_and_scores([rows_read[0], rows_read[2]]) == expected(folder, ["w2", "w3"])


def test_columns_of_the_same_name_stay(folder: str, tmp_path: Path) -> None:
    source_path = write(tmp_path / "in.csv", [{"text": "w2", "label": "true one"}])
    assert main(["predict", folder, "--input", str(source_path), "--output", "out.csv"]) == 0
    (row,) = read(tmp_path / "out.csv")
    assert list(row) == ["text", "label", "predicted_label", "predicted_score"]
    assert row["label"] == "true one"
    assert main(["predict", folder, "--input", "out.csv", "--output", "again.csv"]) == 1


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "txt"])
def test_a_table_without_rows(folder: str, tmp_path: Path, kind: str) -> None:
    source_path = tmp_path / f"in.{kind}"
    if kind == "parquet":
        parquet.write_table(pa.table({"n": pa.array([], pa.int8()), "text": [""][:0]}), source_path)
    else:
        source_path.write_text("n,text\n" if kind == "csv" else "")
    for target in ("csv", "jsonl", "parquet"):
        assert (
            main(["predict", folder, "--input", str(source_path), "--output", f"o.{target}"]) == 0
        )
        assert read(tmp_path / f"o.{target}") == []
    names = parquet.read_schema(tmp_path / "o.parquet").names
    columns = {"csv": ["n", "text"], "parquet": ["n", "text"], "txt": ["text"], "jsonl": []}
    assert names == [*columns[kind], "label", "score"]


def test_the_only_column_or_a_named_one_holds_the_texts(folder: str, tmp_path: Path) -> None:
    write(tmp_path / "one.csv", [{"review": "w2 w3"}])
    write(tmp_path / "two.csv", [{"id": 1, "review": "w2 w3"}])
    assert main(["predict", folder, "--input", "one.csv", "--output", "o.csv"]) == 0
    assert labels_and_scores(read(tmp_path / "o.csv")) == expected(folder, ["w2 w3"])
    arguments = ["predict", folder, "--input", "two.csv", "--output", "o.csv"]
    assert main(arguments) == 1
    assert main([*arguments, "data.text=review"]) == 0
    assert labels_and_scores(read(tmp_path / "o.csv")) == expected(folder, ["w2 w3"])


def test_long_texts_bom_and_windows_line_ends(folder: str, tmp_path: Path) -> None:
    long = "w2 " * 100_000
    data = f'\ufefftext,n\r\n"{long}",1\r\n\r\nw3,2\r\n'
    (tmp_path / "in.csv").write_bytes(data.encode())
    assert main(["predict", folder, "--input", "in.csv", "--output", "o.csv"]) == 0
    csv.field_size_limit(1 << 20)
    rows = read(tmp_path / "o.csv")
    assert labels_and_scores(rows) == expected(folder, [long, "w3"])
    assert main(["predict", folder, "--input", "in.csv", "--output", "o.csv", "--windows"]) == 0
    (whole, _) = nlp_rnn.load(folder).predict_proba([long, "w3"], windows=True)
    assert float(read(tmp_path / "o.csv")[0]["score"]) == pytest.approx(whole.max(), abs=1e-5)


def test_types_of_parquet_are_preserved(folder: str, tmp_path: Path) -> None:
    table = pa.table(
        {
            "kind": pa.array(["a", "b"]).dictionary_encode(),
            "when": pa.array([0, 1], pa.timestamp("us", tz="UTC")),
            "text": pa.array(["w2", "w3"], pa.large_string()),
            "parts": [[1.5], None],
        }
    )
    parquet.write_table(table, tmp_path / "in.parquet")
    for kind in ("parquet", "csv", "jsonl"):
        assert main(["predict", folder, "--input", "in.parquet", "--output", f"o.{kind}"]) == 0
    schema = parquet.read_schema(tmp_path / "o.parquet")
    assert schema.types[:4] == [pa.string(), pa.timestamp("us", tz="UTC"), *table.schema.types[2:]]
    assert read(tmp_path / "o.csv")[0]["parts"] == "[1.5]"
    assert read(tmp_path / "o.jsonl")[0]["when"].startswith("1970-01-01")


BAD: list[tuple[str, bytes, str]] = [
    ("in.csv", b"", "is empty"),
    ("in.csv", b"id,body\n1,w2\n", "has no column 'text'; it has: id, body"),
    ("in.csv", b"text,text\nw2,w3\n", "several columns named 'text'"),
    ("in.csv", b"text,n\nw2\n", "Row #2: Expected 2 columns, got 1: w2 (row 1 is the header)"),
    ("in.csv", b'text,n\n"w2,1\n', "has a syntax error"),
    ("in.csv", b"text\nw2\xff\n", "row 2, byte 3 of it is 0xFF"),
    ("in.jsonl", b'{"text": "w2"}\n[1]\n', "row 2 is not an object: [1]"),
    ("in.jsonl", b'{"text": "w2"}\n{"text": 5}\n', "row 2: 'text' is int"),
    ("in.jsonl", b'{"body": "w2", "n": 1}\n', "has no column 'text'; it has: body, n"),
    ("in.jsonl", b"[" * 100_000, "is no valid JSON: it is nested too deeply"),
    ("in.parquet", b"PAR1 no parquet", "cannot be read: Parquet magic bytes not found"),
    ("in.xlsx", b"PK", "is a spreadsheet"),
    ("in.foo", b"PK", "has no suffix of a supported format"),
]


@pytest.mark.parametrize(("name", "data", "message"), BAD)
def test_bad_tables_are_rejected_and_leave_nothing(
    folder: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
    data: bytes,
    message: str,
) -> None:
    (tmp_path / name).write_bytes(data)
    assert main(["predict", folder, "--input", name, "--output", "out.jsonl"]) in (1, 2)
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) <= 2
    left = set(os.listdir(tmp_path)) - {"out.jsonl.part", "out.jsonl.part.json"}
    assert left == {"classifier", name}
    assert not (tmp_path / "out.jsonl.part").exists() or "row 2" in error or "line 2" in error


def test_rows_with_different_keys_and_types_fit_every_format(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[dict[str, Any]] = [{"text": "w2", "n": None} for _ in range(5000)]
    rows += [{"text": "w3", "more": 1, "n": "one"}, {"text": "w4", "n": 2**60, "half": 0.5}]
    source_path = str(write(tmp_path / "in.jsonl", rows))
    for kind in ("csv", "parquet", "jsonl"):
        assert main(["predict", folder, "--input", source_path, "--output", f"out.{kind}"]) == 0
        note = "values of different types in n; a parquet file has them as JSON"
        assert (note in capsys.readouterr().err) == (kind == "parquet")
    last = read(tmp_path / "out.csv")[-2:]
    assert [row["more"] for row in last] == ["1", ""]
    assert [row["n"] for row in last] == ["one", str(2**60)]
    last = read(tmp_path / "out.parquet")[-2:]
    assert [row["more"] for row in last] == [1, None]
    assert [json.loads(row["n"]) for row in last] == ["one", 2**60]
    assert [row["half"] for row in last] == [None, 0.5]
    assert [row.get("n") for row in read(tmp_path / "out.jsonl")] == [row["n"] for row in rows]


def test_a_row_of_standard_input_with_more_keys_fits_jsonl_only(
    folder: str, tmp_path: Path
) -> None:
    rows = b'{"text": "w2"}\n' * 5000 + b'{"text": "w3", "more": 1}\n'
    done = run([folder, "data.format=jsonl", "--output", "out.csv"], rows)
    assert done.returncode == 1
    assert b"A row has 'more', which the first row does not have" in done.stderr
    assert b"Set --output to a .jsonl file" in done.stderr
    assert run([folder, "data.format=jsonl", "--output", "out.jsonl"], rows).returncode == 0
    assert read(tmp_path / "out.jsonl")[-1]["more"] == 1


def test_a_late_key_with_the_name_of_a_prediction_is_an_error(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [{"text": "w2"}] * 5000 + [{"text": "w3", "label": 1}]
    source_path = str(write(tmp_path / "in.jsonl", rows))
    assert main(["predict", folder, "--input", source_path, "--output", "out.jsonl"]) == 1
    assert "has the key 'label'" in capsys.readouterr().err
    assert main(["predict", folder, "--input", source_path, "--output", "out.csv"]) == 0
    assert read(tmp_path / "out.csv")[-1]["label"] == "1"
    rows[-1] = {"text": "w3", "gold": 1}  # as the message says
    write(tmp_path / "in.jsonl", rows)
    assert main(["predict", folder, "--input", source_path, "--output", "out.jsonl"]) == 0


WRONG: list[tuple[list[str], str]] = [
    (["w2", "--input", "in.csv"], "--input has no effect on texts that are arguments"),
    (["w2", "data.text=a"], "data.text has no effect on texts that are arguments"),
    (["w2", "--split", "test"], "--split has no effect on texts that are arguments"),
    (["--prob"], "predict has no option --prob; its options are --input"),
    (["--out", "x.csv"], "Did you mean --output?"),
    (["--file", "in.csv"], "Did you mean --input?"),
    (["data=files", "data.path=in.csv"], "Set --input FILE"),
    (["--input"], "--input needs a value"),
    (["--input", "a", "--input", "b"], "--input is set twice"),
    (["--threshold", "2", "w2"], "--threshold must be a number from 0 to 1"),
    (["--threads", "1.5", "w2"], "--threads must be a whole number"),
    (["--input", "in.csv", "--output", "in.csv"], "is also the input"),
    (["--input", "in.csv", "--output", "out.txt"], "txt has no columns"),
    (["--input", "in.csv", "--output", "out.gz"], "does not end in a supported format"),
    (["--input", "in.csv", "data.format=xml"], "data.format=xml is not a file format"),
    (["--input", "lines.txt", "data.text=a"], "data.text has no effect on lines.txt"),
    (["--input", "in.csv", "data.label=n"], "data.label has no effect on predictions"),
    (["--input", "in.csv", "data.path=n.csv"], "data.path has no effect on predictions"),
    (["--input", "in.csv", "data.pth=n.csv"], "There is no key data.pth"),
    (["--input", "in.csv", "data.rows=n"], "data.rows does not apply to in.csv"),
    (["--input", "in.csv", "data.encoding=utf-9"], "not a text encoding that Python knows"),
    (["--runtime", "jax", "w2"], "runtime is 'jax'"),
    (["--input", "nowhere.csv"], "There is no file or folder"),
    (["--input", "in.csv", "--output", "nowhere/out.csv"], "cannot be written"),
]


@pytest.mark.parametrize(("arguments", "message"), WRONG, ids=lambda value: str(value)[:30])
def test_wrong_arguments(
    folder: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    (tmp_path / "lines.txt").write_text("w2\n")
    write(tmp_path / "in.csv", ROWS)
    assert main(["predict", folder, *arguments]) in (1, 2)
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) <= 2
    assert sorted(os.listdir(tmp_path)) == ["classifier", "in.csv", "lines.txt"]


def test_a_file_name_as_a_text_is_noticed(
    folder: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / "in.csv", ROWS)
    assert main(["predict", folder, "in.csv", "w2"]) == 0
    printed = capsys.readouterr()
    assert printed.err == "in.csv was read as a text; --input in.csv predicts the file\n"
    assert [line.split("\t")[-1] for line in printed.out.splitlines()] == ["in.csv", "w2"]


@needs_peak_memory
def test_memory_does_not_grow_with_the_file(folder: str, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from nlp_rnn.cli import main\n"
        "from tests.peak_memory import peak_megabytes\n"
        "main(['predict', sys.argv[1], '--input', sys.argv[2], '--output', 'out.jsonl'])\n"
        "print(round(peak_megabytes()))"
    )
    megabytes = []
    for rows in (10_000, 60_000):
        source_path = tmp_path / f"{rows}.csv"
        source_path.write_text("text,n\n" + "w2 w3 w4 w5 w6 w7 w8 w9,1\n" * rows)
        done = subprocess.run(
            [sys.executable, "-c", program, folder, str(source_path)],
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)},
            capture_output=True,
            text=True,
            check=True,
        )
        megabytes.append(int(done.stdout))
    assert megabytes[1] < megabytes[0] + 15


# Text that a terminal would interpret


def test_a_text_is_one_line_of_the_terminal(
    folder: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "w2\nw3\tw4\r\x1b[31mred\x07\x9b31m\x85\u2028\u202egnp\u2066 w9 \u200d é"
    assert main(["predict", folder, text]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.split("\t")[2] == (
        r"w2\nw3\tw4\r\x1b[31mred\x07\x9b31m\x85\u2028\u202egnp\u2066 w9 " "\u200d é"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="no pseudo-terminals")
def test_lines_shown_on_a_terminal_are_escaped_and_lines_of_a_pipe_are_not(folder: str) -> None:
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "nlp_rnn", "predict", folder]
    subprocess.run(command, input=b"w2 \x1b[31m w3\n", stdout=theirs, check=True)
    assert rb"w2 \x1b[31m w3" in os.read(ours, 4096)
    os.close(ours)
    os.close(theirs)
    assert run([folder], b"w2 \x1b[31m w3\n").stdout.endswith(b"w2 \x1b[31m w3\n")
