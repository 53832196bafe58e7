"""Texts in words, files and pipes become answers of a saved classifier beside them."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.commands.argument_parser import Words, choice, number, read_words
from nlp_rnn.errors import ConfigError

if TYPE_CHECKING:
    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.commands.input_tables import Chunk, InputTable
    from nlp_rnn.commands.output_file import ResumableFile

__all__ = ["HELP", "predict"]

HELP = """\
Answer texts with a saved classifier: a folder, runs:/RUN_ID/classifier, models:/NAME/VERSION or
models:/NAME@ALIAS.

  nlp-rnn predict outputs/2026-01-31/12-00-00-gru/classifier "What a story."
  nlp-rnn predict MODEL --input reviews.csv --text review --output answers.csv --proba
  cat lines.txt | nlp-rnn predict MODEL > answers.tsv

  TEXT …             answered one line each: label, probability, text; separated by tabs
  --input FILE       csv, tsv, jsonl, parquet, or txt with a text a line; - is standard input,
                     which is also read when there is neither TEXT nor --input
  --format KIND      what is read is csv, tsv, jsonl or txt, whatever its name
  --text COLUMN      the column that holds the texts; by default text, or the only one. Several are
                     joined as in training: --text premise,hypothesis
  --output FILE      csv, tsv, jsonl or parquet; else what was read goes to standard output with
                     its answers (parquet as jsonl)
  --proba            the probability of every class too
  --threshold P      leave the label out where its probability is smaller; where a text may have
                     several labels, one threshold for all of them instead of each one's own
  --windows          read texts that are longer than max_length to their end, in windows
  --threads N        batches at the same time; default: one a core
  --runtime NAME     onnx (default), int8 or torch

Where a text may have several labels the columns are labels and scores, which are lists: in csv and
tsv as JSON. The other columns of the input are kept. A command that was interrupted goes on where
it was when it is typed again.
"""

OPTIONS = ("--input", "--output", "--format", "--text", "--threshold", "--threads", "--runtime")
FLAGS = ("--proba", "--windows")


def predict(words: list[str]) -> int:
    """Run the command."""
    given = read_words("predict", words, OPTIONS, FLAGS)
    _check(given)
    import nlp_rnn

    threshold = number(given, "--threshold", 0, 1, whole=False)
    threads = number(given, "--threads", 1, 1024, whole=True)
    classifier = nlp_rnn.load(
        given.arguments[0],
        threads=None if threads is None else int(threads),
        runtime=given.options.get("--runtime", "onnx"),
    )
    if given.arguments[1:] and "--output" not in given.options and "--proba" not in given.flags:
        return _answer_words(classifier, given, threshold)
    try:
        return _answer_table(classifier, given, threshold)
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _check(given: Words) -> None:
    texts = given.arguments[1:]
    if not given.arguments:
        raise ConfigError(
            "predict needs a classifier and a text.\n"
            'Type nlp-rnn predict FOLDER_OR_URI "text", or nlp-rnn predict --help.'
        )
    for name in ("--input", "--format", "--text"):
        if texts and name in given.options:
            raise ConfigError(
                f"{name} does nothing where texts are typed; found the text {texts[0]!r}.\n"
                "Take one of them away."
            )
    if not texts and "--input" not in given.options and sys.stdin.isatty():
        raise ConfigError(
            "predict needs a classifier and a text.\n"
            'Type nlp-rnn predict FOLDER_OR_URI "text", or --input FILE, or pipe texts into it.'
        )


def _answer_words(classifier: "TextClassifier", given: Words, threshold: float | None) -> int:
    texts = given.arguments[1:]
    probabilities = classifier.predict_proba(texts, windows="--windows" in given.flags)
    if classifier.thresholds is not None:
        from nlp_rnn.classifier.label_choice import indices_at_least

        for text, row in zip(texts, probabilities, strict=True):
            places = indices_at_least(
                row, classifier.thresholds if threshold is None else threshold
            )
            labels = ", ".join(classifier.labels[place] for place in places)
            print(f"{labels}\t{', '.join(f'{row[place]:.4f}' for place in places)}\t{text}")
        return 0
    for text, row in zip(texts, probabilities, strict=True):
        best = int(row.argmax())
        certain = threshold is None or row[best] >= threshold
        print(f"{classifier.labels[best] if certain else ''}\t{row[best]:.4f}\t{text}")
    return 0


def _answer_table(classifier: "TextClassifier", given: Words, threshold: float | None) -> int:
    from nlp_rnn.commands.output_file import ResumableFile

    with closing(_open(given, classifier.config.get("separator"))) as table:
        path = Path(given.options["--output"]) if "--output" in given.options else None
        kind = _output_kind(path, table, "--proba" in given.flags)
        if path is None:
            progress = _Progress(table, 0)
            for data, chunk in _answered(classifier, given, threshold, table, kind, None):
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
                progress.step(chunk)
        else:
            if table.path is not None and path.resolve() == table.path.resolve():
                raise ConfigError(f"--output {path} is the input too.\nType another name.")
            with closing(ResumableFile(path, _origin(classifier, given, table))) as output:
                progress = _Progress(table, output.rows)
                for data, chunk in _answered(classifier, given, threshold, table, kind, output):
                    output.add(data, len(chunk.texts), output.note or chunk.columns)
                    progress.step(chunk)
                output.finish(parquet=kind == "parquet")
        progress.end(path)
    return 0


def _answered(
    classifier: "TextClassifier",
    given: Words,
    threshold: float | None,
    table: "InputTable",
    kind: str,
    output: "ResumableFile | None",
) -> "Iterator[tuple[bytes, Chunk]]":
    """What to write for each chunk of the table that `output` does not hold yet."""
    from nlp_rnn.commands.output_columns import ParquetRows, PredictionColumns, TextRows

    rows: TextRows | ParquetRows | None = None
    done = output.rows if output else 0
    for chunk in table.chunks(skip=done):
        beginning = b""
        if rows is None:
            columns = output.note if output and done else chunk.columns
            answers = PredictionColumns(
                classifier.labels,
                "--proba" in given.flags,
                threshold,
                columns,
                classifier.thresholds,
            )
            rows = (
                ParquetRows(answers, columns)
                if kind == "parquet"
                else TextRows(kind, answers, columns)
            )
            if output and done:
                rows.resume(output.part)
                print(f"going on after {done:,} rows of {output.path}", file=sys.stderr)
            else:
                beginning = rows.begin()
        texts = [text for text in chunk.texts if text is not None]
        probabilities = classifier.predict_proba(texts, windows="--windows" in given.flags)
        yield beginning + rows.lines(chunk, probabilities), chunk


def _open(given: Words, separator: str | None) -> "InputTable":
    """The table that is to be read: typed texts, a file, or standard input."""
    from nlp_rnn.commands.input_tables import ArgumentTexts, InputTable, format_of_file

    if given.arguments[1:]:
        return ArgumentTexts(given.arguments[1:])
    source = given.options.get("--input", "-")
    path = None if source == "-" else Path(source)
    known = ("csv", "tsv", "jsonl", "txt", "parquet")
    if "--format" in given.options or path is None:
        kind = choice(given, "--format", known[: 4 if path is None else 5], "txt")
    else:
        kind = format_of_file(path)
    column = given.options.get("--text")
    if column is not None and kind == "txt":
        raise ConfigError("--text does nothing where a line is a text.\nSay --format KIND too.")
    return InputTable(path, kind, column, separator)


def _output_kind(path: Path | None, table: "InputTable", proba: bool) -> str:
    from nlp_rnn.commands.input_tables import format_of_file

    if path is not None:
        kind = format_of_file(path)
        if kind == "txt":
            raise ConfigError(
                f"{path} has no place for labels beside texts.\n"
                "Name it .csv, .tsv, .jsonl or .parquet."
            )
        return kind
    if table.kind == "txt":
        return "tsv" if proba else "txt"
    return "jsonl" if table.kind == "parquet" else table.kind


def _origin(
    classifier: "TextClassifier", given: Words, table: "InputTable"
) -> dict[str, Any] | None:
    """What an output is made from; None for what cannot be read again."""
    if table.path is None:
        return None
    found = table.path.stat()
    shaping = {name: given.options.get(name) for name in ("--text", "--threshold", "--runtime")}
    return {
        "input": [str(table.path.resolve()), found.st_size, found.st_mtime_ns, table.kind],
        "classifier": classifier.config["checksum"],
        "options": shaping | {flag: flag in given.flags for flag in FLAGS},
    }


class _Progress:
    """How far it is, on a terminal, and at the end what was done; both on standard error."""

    def __init__(self, table: "InputTable", rows: int) -> None:
        self._table, self._rows, self._before = table, rows, rows
        self._started = time.monotonic()
        self._without = 0
        self._shown = sys.stderr.isatty()

    def step(self, chunk: "Chunk") -> None:
        """Count a chunk that was written."""
        self._rows += len(chunk.texts)
        self._without += chunk.texts.count(None)
        if not self._shown:
            return
        seconds = max(time.monotonic() - self._started, 1e-3)
        speed = (self._rows - self._before) / seconds
        share = self._table.share_read(self._rows)
        part = "" if share is None else f"{share:.0%}, "
        print(
            f"\x1b[2K{part}{self._rows:,} rows, {speed:,.0f} a second",
            end="\r",
            file=sys.stderr,
            flush=True,
        )

    def end(self, path: Path | None) -> None:
        """Say how many rows there are, and how many had no text."""
        if self._shown:
            print("\x1b[2K", end="", file=sys.stderr)
        if self._without:
            print(f"{self._without:,} rows without a text got no label", file=sys.stderr)
        if path is not None:
            print(f"{self._rows:,} rows in {path}", file=sys.stderr)
