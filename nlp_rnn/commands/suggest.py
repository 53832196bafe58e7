"""The command `suggest`: choose the unlabelled texts whose labels would help most."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.commands.argument_parser import ParsedArguments, number, parse_arguments
from nlp_rnn.commands.input_options import input_errors, is_option
from nlp_rnn.errors import ConfigError, DataError

if TYPE_CHECKING:
    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.classifier.text_choice import Candidate
    from nlp_rnn.classifier.training_texts import TrainingTexts
    from nlp_rnn.commands.input_tables import Chunk, InputTable

__all__ = ["HELP", "suggest", "worth_and_gradients"]

HELP = """\
Choose the unlabelled texts whose labels would help a classifier most: uncertain ones that differ
from each other.

  nlp-rnn suggest reviews/classifier --input unlabelled.csv --rows 100 --output to_label.csv
  nlp-rnn suggest MODEL --input unlabelled.parquet data.text=review --teacher OTHER > to_label.csv

Fill in the empty label column, and train on the first file together with this one.

  --input FILE       a file, folder or pattern that nlp-rnn train can read, a txt file with one
                     text per line, or a folder of text files; - is standard input, the default
  data.KEY=VALUE …   options of nlp-rnn train for this input, as in nlp-rnn predict
  --rows N           number of texts to choose; default: 100
  --output FILE      csv or tsv; default: standard output, as csv
  --teacher MODEL    another classifier with the same labels: texts on which the two disagree are
                     preferred
  --split NAME       train, validation, test or all, of a folder or file with several splits
  --threads N        number of batches at the same time; default: one per core
  --runtime NAME     onnx (default), int8 or torch

Texts that the classifier was trained on, rows without a text, rows that have a label, and copies of
a chosen text are left out. In an ensemble, texts on which the network and the n-gram models
disagree are preferred. The other columns of the input are copied.
"""

OPTIONS = ("--input", "--output", "--rows", "--teacher", "--split", "--threads", "--runtime")
ROWS = 100
MAX_ROWS = 100_000


def suggest(arguments: list[str]) -> int:
    """Run the command with its arguments; return the exit code."""
    parsed = parse_arguments("suggest", arguments, OPTIONS)
    data = [argument for argument in parsed.positional[1:] if is_option(argument)]
    _check(parsed, data)
    from nlp_rnn.api.evaluate import load_with_training_texts

    rows = int(number(parsed, "--rows", 1, MAX_ROWS, whole=True) or ROWS)
    threads = number(parsed, "--threads", 1, 1024, whole=True)
    options = (None if threads is None else int(threads), parsed.options.get("--runtime", "onnx"))
    classifier, training_texts = load_with_training_texts(parsed.positional[0], *options)
    teacher = None
    if "--teacher" in parsed.options:
        teacher, _ = load_with_training_texts(parsed.options["--teacher"], options[0], "onnx")
        _check_teacher(classifier, teacher)
    with input_errors():
        _suggest(classifier, teacher, training_texts, parsed, data, rows)
    return 0


def _check(parsed: ParsedArguments, data: list[str]) -> None:
    if len(parsed.positional) != 1 + len(data):
        others = [argument for argument in parsed.positional[1:] if argument not in data]
        problem = f"found also {others[0]!r}" if others else "found none"
        raise ConfigError(
            f"suggest needs one classifier; {problem}.\n"
            "Run nlp-rnn suggest FOLDER_OR_URI --input FILE, or nlp-rnn suggest --help."
        )
    if "--input" not in parsed.options and sys.stdin.isatty():
        raise ConfigError(
            "suggest needs unlabelled texts.\nSet --input FILE, or pipe texts into it."
        )
    output = parsed.options.get("--output", "x.csv")
    if Path(output).suffix.lower() not in (".csv", ".tsv"):
        raise ConfigError(
            f"The name of {output} does not end in a supported format.\n"
            "Pass a name that ends in .csv or .tsv."
        )


def _check_teacher(classifier: "TextClassifier", teacher: "TextClassifier") -> None:
    if set(teacher.labels) != set(classifier.labels) or teacher.task != classifier.task:
        different = sorted(set(teacher.labels) ^ set(classifier.labels))[:4]
        raise ConfigError(
            f"The classifier and --teacher {teacher.location} do not have the same labels: "
            f"{', '.join(different) or 'one of them is multi-label'}.\n"
            "Pass a classifier that was trained on the same labels."
        )


def _suggest(
    classifier: "TextClassifier",
    teacher: "TextClassifier | None",
    training_texts: "TrainingTexts | None",
    parsed: ParsedArguments,
    data: list[str],
    rows: int,
) -> None:
    from nlp_rnn.classifier.text_choice import TextChoice
    from nlp_rnn.commands.input_options import open_input

    notes: list[str] = []
    source = parsed.options.get("--input", "-")
    path = None if source == "-" else source
    table = open_input(path, data, classifier.config, parsed.options.get("--split"), notes)
    output = Path(parsed.options["--output"]) if "--output" in parsed.options else None
    _check_output(output, table)
    label = label_column(classifier.config)
    if training_texts is None:
        notes.append(
            "the classifier was saved without the hashes of its training texts, so they may be "
            "among the texts"
        )
    elif not training_texts.exact:
        notes.append(
            "the classifier has the hashes of a sample of its training texts, so some of them may "
            "be among the texts"
        )
    choice, counts = TextChoice(rows), {"without text": 0, "with a label": 0, "trained on": 0}
    columns: dict[str, None] = dict.fromkeys(table.columns)
    for chunk in table.chunks():
        columns |= dict.fromkeys(chunk.columns)
        texts, usable_rows = _usable(chunk, label, training_texts, counts)
        if texts:
            choice.add(texts, *worth_and_gradients(classifier, teacher, texts), usable_rows)
    chosen = choice.choose()
    for line in dict.fromkeys((*notes, *table.notes)):
        print(line, file=sys.stderr)
    _write(output, chosen, list(columns), table, label, classifier.config)
    left_out = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
    print(
        f"{len(chosen):,} of {choice.seen:,} unlabelled texts"
        f"{f' (left out: {left_out})' if left_out else ''}"
        f"{f', written to {output}' if output else ''}",
        file=sys.stderr,
    )
    if len(chosen) < rows:
        print(f"there are no more different texts than these {len(chosen):,}", file=sys.stderr)


def label_column(config: Mapping[str, Any]) -> str:
    """Return the name of the label column that a classifier was trained with."""
    from nlp_rnn.sources.reading import saved_reading

    label = saved_reading(config).get("options", {}).get("label", "label")
    return label if isinstance(label, str) else "label"


def _check_output(output: Path | None, table: "InputTable") -> None:
    from nlp_rnn.sources.streams import stream_files

    if output is not None:
        if output.resolve() in [file.resolve() for file in stream_files(table.entries)]:
            raise ConfigError(f"--output {output} is also the input.\nPass another file name.")
        if output.is_dir() or not output.absolute().parent.is_dir():
            problem = "is a folder" if output.is_dir() else "is in a folder that does not exist"
            raise ConfigError(f"{output} {problem}.\nPass the name of a file: --output FILE")


def _usable(
    chunk: "Chunk",
    label: str,
    training_texts: "TrainingTexts | None",
    counts: dict[str, int],
) -> tuple[list[str], list[dict[str, Any]]]:
    """Return the texts that may be chosen, with their rows; count the others."""
    rows = chunk.rows if isinstance(chunk.rows, list) else chunk.rows.to_pylist()
    usable = []
    for text, row in zip(chunk.texts, rows, strict=True):
        if text is None or not text.strip():
            counts["without text"] += 1
        elif _has_label(row.get(label)):
            counts["with a label"] += 1
        else:
            usable.append((text, row))
    if training_texts is not None and usable:
        new = training_texts.unseen(_hashes([text for text, _ in usable]))
        counts["trained on"] += int((~new).sum())
        usable = [pair for pair, is_new in zip(usable, new, strict=True) if is_new]
    return [text for text, _ in usable], [row for _, row in usable]


def _has_label(value: Any) -> bool:
    """Return whether training reads a value as a label: not null, NaN, blanks or an empty list."""
    if isinstance(value, str):
        return bool(value.strip())
    return value is not None and value == value and value != []


def _hashes(texts: list[str]) -> NDArray[np.uint64]:
    """Return the hashes of texts, as a classifier stores those of its training texts."""
    from datasets import Dataset

    from nlp_rnn.sources.text_column import hash_texts

    hashes: NDArray[np.uint64] = hash_texts(Dataset.from_dict({"text": texts})).normal
    return hashes


def worth_and_gradients(
    classifier: "TextClassifier", teacher: "TextClassifier | None", texts: list[str]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return how much the label of each text is expected to help, (n,), and gradients (n, C).

    Both grow with the disagreement of the parts of an ensemble, and of a teacher.
    """
    from nlp_rnn.classifier.text_choice import disagreement, gradients, uncertainty

    multi_label = classifier.thresholds is not None
    disputed = np.zeros(len(texts))
    if classifier.is_ensemble:
        parts = classifier.predict_proba_of_parts(texts)
        probabilities = parts["ensemble"]
        disputed += disagreement(parts["network"], parts["ngrams"], multi_label)
    else:
        probabilities = classifier.predict_proba(texts)
    if teacher is not None:
        order = [teacher.labels.index(label) for label in classifier.labels]
        disputed += disagreement(probabilities, teacher.predict_proba(texts)[:, order], multi_label)
    worth = uncertainty(probabilities, classifier.thresholds) + disputed
    slopes = gradients(probabilities, classifier.thresholds)
    slopes *= (1 + disputed)[:, None].astype(np.float32)
    return worth, slopes


def _write(
    output: Path | None,
    chosen: "list[Candidate]",
    columns: list[str],
    table: "InputTable",
    label: str,
    config: Mapping[str, Any],
) -> None:
    """Write the chosen rows with an empty label column, and their texts as training reads them."""
    from nlp_rnn.commands.output_values import as_cell, whole_characters

    names = _text_names(table, config)
    others = [name for name in columns if name not in (label, *names.values())]
    delimiter = "\t" if output is not None and output.suffix.lower() == ".tsv" else ","
    lines: list[list[Any]] = [[label, *names, *(name for name in others if name not in names)]]
    lines += [
        [
            None,
            *(
                [candidate.text]
                if len(names) == 1
                else [candidate.row.get(old) for old in names.values()]
            ),
            *(candidate.row.get(name) for name in others if name not in names),
        ]
        for candidate in chosen
    ]
    text = "".join(delimiter.join(map(as_cell, line)) + "\n" for line in lines)
    content = whole_characters(text).encode()
    if output is None:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return
    try:
        output.write_bytes(content)
    except OSError as error:
        raise DataError(f"{output} cannot be written: {error.strerror}.") from error


def _text_names(table: "InputTable", config: Mapping[str, Any]) -> dict[str, str]:
    """Return the text columns by the names that they had in the training, with those they have."""
    from nlp_rnn.sources.reading import saved_reading

    saved = saved_reading(config).get("options", {}).get("text", "text")
    trained = list(map(str, saved)) if isinstance(saved, list) else [str(saved)]
    if len(trained) != len(table.text):
        trained = list(table.text)
    return dict(zip(trained, table.text, strict=True))
