"""The command `predict`: predict the labels of arguments, files and standard input."""

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.commands.argument_parser import ParsedArguments, number, parse_arguments
from nlp_rnn.commands.input_options import input_errors, is_option
from nlp_rnn.commands.output_values import escaped, for_output
from nlp_rnn.commands.prediction_progress import Notes, PredictionProgress
from nlp_rnn.errors import ConfigError

if TYPE_CHECKING:
    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.commands.input_tables import Chunk, InputTable
    from nlp_rnn.commands.output_file import ResumableFile

__all__ = ["HELP", "predict"]

HELP = """\
Predict labels with a saved classifier: a classifier folder or run folder, the id of a run or of a
sweep (or its first 8 characters), models:/NAME/VERSION or models:/NAME@ALIAS.

  nlp-rnn predict outputs/2026-01-31/12-00-00-gru/classifier "What a story."
  nlp-rnn predict MODEL --input reviews.csv data.text=review --output predictions.csv --proba
  cat lines.txt | nlp-rnn predict MODEL > predictions.tsv

  TEXT …             print one line per text: label, probability and text, separated by tabs
  --input FILE       a file, folder or pattern that nlp-rnn train can read, a txt file with one
                     text per line, or a folder of text files; - is standard input, which is also
                     read if there is neither TEXT nor --input
  data.KEY=VALUE …   options of nlp-rnn train for this input: data.text=COLUMN, data.format (of
                     standard input: txt by default), data.delimiter, data.encoding, data.header,
                     data.columns, data.quoting, data.rows. Where they are not set, those of the
                     training are used for files of the same format
  --split NAME       train, validation, test or all, of a folder or file with several splits
  --output FILE      csv, tsv, jsonl or parquet; default: standard output, as csv, tsv or txt if the
                     input is, otherwise as jsonl
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

OPTIONS = ("--input", "--output", "--split", "--threshold", "--threads", "--runtime")
FLAGS = ("--proba", "--windows")
OUTPUT_FORMATS = ("csv", "tsv", "jsonl", "parquet")
LONGEST_NAME = 256
"""Characters of a text that could be the name of a file."""


def predict(arguments: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    parsed = parse_arguments("predict", arguments, OPTIONS, FLAGS)
    after = len(arguments) - arguments.index("--") - 1 if "--" in arguments else 0
    data, texts = _options_and_texts(parsed.positional, after)
    _check(parsed, data, texts)
    import nlp_rnn

    threshold = number(parsed, "--threshold", 0, 1, whole=False)
    threads = number(parsed, "--threads", 1, 1024, whole=True)
    classifier = nlp_rnn.load(
        parsed.positional[0],
        threads=None if threads is None else int(threads),
        runtime=parsed.options.get("--runtime", "onnx"),
    )
    if texts and "--output" not in parsed.options and "--proba" not in parsed.flags:
        return _print_predictions(classifier, parsed, texts, threshold)
    try:
        with input_errors():
            return _write_table(classifier, parsed, data, texts, threshold)
    except BrokenPipeError:  # the reader of standard output has closed it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _options_and_texts(positional: list[str], after: int) -> tuple[list[str], list[str]]:
    """Separate options `data.…=…` from texts; the last `after` arguments are texts."""
    rest = positional[1 : len(positional) - after]
    options = [argument for argument in rest if is_option(argument)]
    texts = [argument for argument in rest if not is_option(argument)]
    return options, texts + positional[max(1, len(positional) - after) :]


def _check(parsed: ParsedArguments, data: list[str], texts: list[str]) -> None:
    if not parsed.positional:
        raise ConfigError(
            "predict needs a classifier and a text.\n"
            'Run nlp-rnn predict FOLDER_OR_URI "text", or nlp-rnn predict --help.'
        )
    if "data=files" in texts:
        raise ConfigError(
            "data=files and data.path are options of the training.\n"
            "Set --input FILE; other options of the file are the same, such as data.text=COLUMN."
        )
    options = [name for name in ("--input", "--split") if name in parsed.options]
    for name in (*options, *(option.partition("=")[0] for option in data)):
        if texts:
            advice = f"found the text {texts[0]!r}.\nRemove one of them."
            raise ConfigError(f"{name} has no effect on texts that are arguments; {advice}")
    if not texts and "--input" not in parsed.options and sys.stdin.isatty():
        raise ConfigError(
            "predict needs a classifier and a text.\n"
            'Run nlp-rnn predict FOLDER_OR_URI "text", set --input FILE, or pipe texts into it.'
        )


def _print_predictions(
    classifier: "TextClassifier",
    parsed: ParsedArguments,
    texts: list[str],
    threshold: float | None,
) -> int:
    from nlp_rnn.classifier.label_choice import indices_at_least

    for text in texts:
        if len(text) < LONGEST_NAME and Path(text).is_file():
            print(f"{text} was read as a text; --input {text} predicts the file", file=sys.stderr)
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
        print(f"{escaped(label)}\t{score}\t{escaped(text)}")
    return 0


def _write_table(
    classifier: "TextClassifier",
    parsed: ParsedArguments,
    data: list[str],
    texts: list[str],
    threshold: float | None,
) -> int:
    from nlp_rnn.commands.output_file import ResumableFile

    path = Path(parsed.options["--output"]) if "--output" in parsed.options else None
    notes = Notes()
    with ExitStack() as stack:
        table, source = _open_table(classifier, parsed, data, texts, notes)
        file_format = _output_format(path, table, "--proba" in parsed.flags)
        output = None
        if path is not None:
            files = [] if source is None else _files(table)
            if path.resolve() in [file.resolve() for file in files]:
                raise ConfigError(f"--output {path} is also the input.\nPass another file name.")
            origin = None if source is None else _origin(classifier, parsed, data, table, files)
            output = stack.enter_context(closing(ResumableFile(path, origin)))
        progress = PredictionProgress(table, output.rows if output else 0)
        if file_format in ("csv", "tsv", "parquet"):
            table.find_columns(typed=file_format == "parquet")
        notes.show()
        for content, chunk in _predicted_chunks(
            classifier, parsed, threshold, table, file_format, output
        ):
            if output is None:
                sys.stdout.buffer.write(for_output(content))
                sys.stdout.buffer.flush()
            else:
                output.add(content, len(chunk.texts), output.note or chunk.columns)
            progress.step(chunk)
        if output is not None:
            output.finish(parquet=file_format == "parquet")
        progress.end(path)
        notes.show(table.notes)
    return 0


def _open_table(
    classifier: "TextClassifier",
    parsed: ParsedArguments,
    data: list[str],
    texts: list[str],
    notes: "Notes",
) -> "tuple[InputTable, str | None]":
    """Open the texts of the arguments, the input or standard input; return its path as well."""
    from nlp_rnn.commands.input_options import open_input
    from nlp_rnn.commands.input_tables import ArgumentTexts

    if texts:
        return ArgumentTexts(texts), None
    source = parsed.options.get("--input", "-")
    path = None if source == "-" else source
    table = open_input(path, data, classifier.config, parsed.options.get("--split"), notes.lines)
    return table, path


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
                ParquetRows(predictions, columns, table.types)
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


def _output_format(path: Path | None, table: "InputTable", proba: bool) -> str:
    if path is None:
        if table.format == "txt":
            return "tsv" if proba else "txt"
        return table.format if table.format in ("csv", "tsv") else "jsonl"
    file_format = path.suffix.lower().removeprefix(".")
    if file_format == "txt":
        raise ConfigError(
            f"{path} cannot hold predictions: txt has no columns.\n"
            "Pass a name that ends in .csv, .tsv, .jsonl or .parquet."
        )
    if file_format not in OUTPUT_FORMATS:
        raise ConfigError(
            f"The name of {path} does not end in a supported format.\n"
            "Pass a name that ends in .csv, .tsv, .jsonl or .parquet."
        )
    return file_format


def _files(table: "InputTable") -> list[Path]:
    from nlp_rnn.sources.streams import stream_files

    return stream_files(table.entries)


def _origin(
    classifier: "TextClassifier",
    parsed: ParsedArguments,
    data: list[str],
    table: "InputTable",
    files: list[Path],
) -> dict[str, Any]:
    """Return what determines the output."""
    digest = hashlib.sha256()
    for file in files:
        status = file.stat()
        identity = [str(file.resolve()), status.st_size, status.st_mtime_ns]
        digest.update(json.dumps(identity).encode())
    options = {name: parsed.options.get(name) for name in ("--split", "--threshold", "--runtime")}
    return {
        "input": [digest.hexdigest(), len(files), table.format, list(table.text)],
        "classifier": classifier.config["checksum"],
        "data": sorted(data),
        "options": options | {flag: flag in parsed.flags for flag in FLAGS},
    }
