"""The command `predict`: predict the labels of arguments, files and standard input."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.commands.argument_parser import ParsedArguments, choice, number, parse_arguments
from nlp_rnn.errors import ConfigError

if TYPE_CHECKING:
    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.commands.input_tables import Chunk, InputTable
    from nlp_rnn.commands.output_file import ResumableFile

__all__ = ["HELP", "predict"]

HELP = """\
Predict labels with a saved classifier: a folder, runs:/RUN_ID/classifier, models:/NAME/VERSION or
models:/NAME@ALIAS.

  nlp-rnn predict outputs/2026-01-31/12-00-00-gru/classifier "What a story."
  nlp-rnn predict MODEL --input reviews.csv --text review --output predictions.csv --proba
  cat lines.txt | nlp-rnn predict MODEL > predictions.tsv

  TEXT …             print one line per text: label, probability and text, separated by tabs
  --input FILE       csv, tsv, jsonl, parquet, or txt with one text per line; - is standard input,
                     which is also read if there is neither TEXT nor --input
  --format FORMAT    format of the input, whatever its name: csv, tsv, jsonl or txt
  --text COLUMN      column of the texts; default: text, or the only column. Several columns are
                     joined as in training: --text premise,hypothesis
  --output FILE      csv, tsv, jsonl or parquet; default: standard output, in the format of the
                     input (jsonl for parquet)
  --proba            add the probability of every label
  --threshold P      leave the label empty if its probability is smaller; multi-label: one
                     threshold for all labels instead of the thresholds of the classifier
  --windows          process texts that are longer than max_length to their end, in windows
  --threads N        number of batches at the same time; default: one per core
  --runtime NAME     onnx (default), int8 or torch

Multi-label classifiers add the columns labels and scores, which are lists; in csv and tsv they are
JSON. The other columns of the input are copied. To resume an interrupted command that writes a
file, run it again.
"""

OPTIONS = ("--input", "--output", "--format", "--text", "--threshold", "--threads", "--runtime")
FLAGS = ("--proba", "--windows")


def predict(arguments: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    parsed = parse_arguments("predict", arguments, OPTIONS, FLAGS)
    _check(parsed)
    import nlp_rnn

    threshold = number(parsed, "--threshold", 0, 1, whole=False)
    threads = number(parsed, "--threads", 1, 1024, whole=True)
    classifier = nlp_rnn.load(
        parsed.positional[0],
        threads=None if threads is None else int(threads),
        runtime=parsed.options.get("--runtime", "onnx"),
    )
    if parsed.positional[1:] and "--output" not in parsed.options and "--proba" not in parsed.flags:
        return _print_predictions(classifier, parsed, threshold)
    try:
        return _write_table(classifier, parsed, threshold)
    except BrokenPipeError:  # the reader of standard output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _check(parsed: ParsedArguments) -> None:
    texts = parsed.positional[1:]
    if not parsed.positional:
        raise ConfigError(
            "predict needs a classifier and a text.\n"
            'Run nlp-rnn predict FOLDER_OR_URI "text", or nlp-rnn predict --help.'
        )
    for name in ("--input", "--format", "--text"):
        if texts and name in parsed.options:
            raise ConfigError(
                f"{name} has no effect on texts that are arguments; found the text {texts[0]!r}.\n"
                "Remove one of them."
            )
    if not texts and "--input" not in parsed.options and sys.stdin.isatty():
        raise ConfigError(
            "predict needs a classifier and a text.\n"
            'Run nlp-rnn predict FOLDER_OR_URI "text", set --input FILE, or pipe texts into it.'
        )


def _print_predictions(
    classifier: "TextClassifier", parsed: ParsedArguments, threshold: float | None
) -> int:
    from nlp_rnn.classifier.label_choice import indices_at_least

    texts = parsed.positional[1:]
    probabilities = classifier.predict_proba(texts, windows="--windows" in parsed.flags)
    for text, row in zip(texts, probabilities, strict=True):
        if classifier.thresholds is not None:
            limits = classifier.thresholds if threshold is None else threshold
            indices = indices_at_least(row, limits)
            label = ", ".join(classifier.labels[index] for index in indices)
            score = ", ".join(f"{row[index]:.4f}" for index in indices)
        else:
            best = int(row.argmax())
            certain = threshold is None or row[best] >= threshold
            label, score = classifier.labels[best] if certain else "", f"{row[best]:.4f}"
        print(f"{label}\t{score}\t{text}")
    return 0


def _write_table(
    classifier: "TextClassifier", parsed: ParsedArguments, threshold: float | None
) -> int:
    from nlp_rnn.commands.output_file import ResumableFile

    path = Path(parsed.options["--output"]) if "--output" in parsed.options else None
    with ExitStack() as stack:
        table = stack.enter_context(
            closing(_open_input(parsed, classifier.config.get("separator")))
        )
        file_format = _output_format(path, table, "--proba" in parsed.flags)
        output = None
        if path is not None:
            if table.path is not None and path.resolve() == table.path.resolve():
                raise ConfigError(f"--output {path} is also the input.\nPass another file name.")
            origin = _origin(classifier, parsed, table)
            output = stack.enter_context(closing(ResumableFile(path, origin)))
        progress = _Progress(table, output.rows if output else 0)
        for data, chunk in _predicted_chunks(
            classifier, parsed, threshold, table, file_format, output
        ):
            if output is None:
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
            else:
                output.add(data, len(chunk.texts), output.note or chunk.columns)
            progress.step(chunk)
        if output is not None:
            output.finish(parquet=file_format == "parquet")
        progress.end(path)
    return 0


def _predicted_chunks(
    classifier: "TextClassifier",
    parsed: ParsedArguments,
    threshold: float | None,
    table: "InputTable",
    file_format: str,
    output: "ResumableFile | None",
) -> "Iterator[tuple[bytes, Chunk]]":
    """Yield the chunks of the table that are not in `output` yet, encoded with predictions."""
    from nlp_rnn.commands.output_columns import ParquetRows, PredictionColumns, TextRows

    rows: TextRows | ParquetRows | None = None
    done = output.rows if output else 0
    for chunk in table.chunks(skip=done):
        header = b""
        if rows is None:
            columns = output.note if output and done else chunk.columns
            predictions = PredictionColumns(
                classifier.labels,
                "--proba" in parsed.flags,
                threshold,
                columns,
                classifier.thresholds,
            )
            rows = (
                ParquetRows(predictions, columns)
                if file_format == "parquet"
                else TextRows(file_format, predictions, columns)
            )
            if output and done:
                rows.resume(output.part)
                print(f"resuming {output.path} after {done:,} rows", file=sys.stderr)
            else:
                header = rows.header()
        texts = [text for text in chunk.texts if text is not None]
        probabilities = classifier.predict_proba(texts, windows="--windows" in parsed.flags)
        yield header + rows.encode(chunk, probabilities), chunk


def _open_input(parsed: ParsedArguments, separator: str | None) -> "InputTable":
    """Open the texts of the arguments, a file or standard input."""
    from nlp_rnn.commands.input_tables import ArgumentTexts, InputTable, format_of_file

    if parsed.positional[1:]:
        return ArgumentTexts(parsed.positional[1:])
    source = parsed.options.get("--input", "-")
    path = None if source == "-" else Path(source)
    formats = ("csv", "tsv", "jsonl", "txt", "parquet")
    if "--format" in parsed.options or path is None:
        file_format = choice(parsed, "--format", formats[: 4 if path is None else 5], "txt")
    else:
        file_format = format_of_file(path)
    column = parsed.options.get("--text")
    if column is not None and file_format == "txt":
        raise ConfigError(
            "--text has no effect on txt, which has one text per line.\n"
            "Remove it, or set --format to csv, tsv or jsonl."
        )
    return InputTable(path, file_format, column, separator)


def _output_format(path: Path | None, table: "InputTable", proba: bool) -> str:
    from nlp_rnn.commands.input_tables import format_of_file

    if path is not None:
        file_format = format_of_file(path)
        if file_format == "txt":
            raise ConfigError(
                f"{path} cannot hold predictions: txt has no columns.\n"
                "Pass a name that ends in .csv, .tsv, .jsonl or .parquet."
            )
        return file_format
    if table.format == "txt":
        return "tsv" if proba else "txt"
    return "jsonl" if table.format == "parquet" else table.format


def _origin(
    classifier: "TextClassifier", parsed: ParsedArguments, table: "InputTable"
) -> dict[str, Any] | None:
    """Return what determines the output; None for standard input, which cannot be read again."""
    if table.path is None:
        return None
    status = table.path.stat()
    options = {name: parsed.options.get(name) for name in ("--text", "--threshold", "--runtime")}
    return {
        "input": [str(table.path.resolve()), status.st_size, status.st_mtime_ns, table.format],
        "classifier": classifier.config["checksum"],
        "options": options | {flag: flag in parsed.flags for flag in FLAGS},
    }


class _Progress:
    """Progress on a terminal, and a summary at the end, both on standard error."""

    def __init__(self, table: "InputTable", rows: int) -> None:
        self._table, self._rows, self._resumed_rows = table, rows, rows
        self._started = time.monotonic()
        self._without_text = 0
        self._shown = sys.stderr.isatty()

    def step(self, chunk: "Chunk") -> None:
        """Count a chunk that was written."""
        self._rows += len(chunk.texts)
        self._without_text += chunk.texts.count(None)
        if not self._shown:
            return
        seconds = max(time.monotonic() - self._started, 1e-3)
        speed = (self._rows - self._resumed_rows) / seconds
        share = self._table.share_read(self._rows)
        percent = "" if share is None else f"{share:.0%}, "
        print(
            f"\x1b[2K{percent}{self._rows:,} rows, {speed:,.0f} rows per second",
            end="\r",
            file=sys.stderr,
            flush=True,
        )

    def end(self, path: Path | None) -> None:
        """Print how many rows were written, and how many of them had no text."""
        if self._shown:
            print("\x1b[2K", end="", file=sys.stderr)
        if self._without_text:
            print(f"{self._without_text:,} rows have no text and no label", file=sys.stderr)
        if path is not None:
            print(f"wrote {self._rows:,} rows to {path}", file=sys.stderr)
