"""`nlp-rnn inspect`: an HTML page of attributions, gates and memory for single texts."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.commands.argument_parser import ParsedArguments, parse_arguments
from nlp_rnn.cores import available_cores
from nlp_rnn.errors import ConfigError, DataError, TrackingError

if TYPE_CHECKING:
    from nlp_rnn.inspection.inspection import InspectedModel

__all__ = ["HELP", "inspect"]

HELP = """\
Show how a saved classifier processes single texts: token attributions, gates, half-lives of its
memory, and for one direction the probabilities after each token. Writes an HTML page with figures.

  nlp-rnn inspect MODEL "What a story."
  nlp-rnn inspect MODEL_A MODEL_B --text "What a story."        side by side
  nlp-rnn inspect MODEL --input reviews.csv --column review --rows 1,7
  nlp-rnn inspect MODEL data=stories --rows 3

  --text TEXT        the text; all other arguments are then models, one or two
  --input FILE       texts from a file, as for nlp-rnn predict
  --column COLUMN    the column of the file that holds the texts; data.KEY=VALUE sets how the file
                     is read, as for nlp-rnn predict
  data=…             texts from the test split of a data set, with the options of nlp-rnn train
  --rows N,M         rows of the file or data set, counted from 1; default: the first
  --over-time        raise an error if the probabilities after each token are not available
  --output FOLDER    output folder; default: inspection
  --no-log           do not copy the page into the MLflow run of the model
"""

OPTIONS = ("--text", "--input", "--column", "--rows", "--output")
FLAGS = ("--over-time", "--no-log")


def inspect(argv: list[str]) -> int:
    """Run the command."""
    arguments = parse_arguments("inspect", argv, OPTIONS, FLAGS)
    locations, texts = _models_and_texts(arguments)
    from nlp_rnn.api.inspect import inspect as inspect_texts
    from nlp_rnn.training.device import distribute_threads

    distribute_threads(available_cores())
    inspections = inspect_texts(
        locations,
        texts,
        output_dir=arguments.options.get("--output", "inspection"),
        over_time="--over-time" in arguments.flags,
    )
    print(inspections)
    if "--no-log" not in arguments.flags:
        for model in inspections.models:
            _log(model, inspections.paths)
    return 0


def _models_and_texts(arguments: ParsedArguments) -> tuple[list[str], list[str]]:
    """Return the locations of the models and the texts.

    Raises
    ------
    ConfigError
        Models or texts are missing, there are too many, or an option would have no effect.
    """
    data = [word for word in arguments.positional if word.startswith(("data=", "data."))]
    positional = [word for word in arguments.positional if word not in data]
    form: list[str] = []
    if "--input" in arguments.options and all(word.startswith("data.") for word in data):
        form, data = data, []  # how the file is read
    sources: list[str] = [name for name in ("--text", "--input") if name in arguments.options]
    sources += ["data=…"] if data else []
    if len(sources) > 1:
        raise ConfigError(f"{' and '.join(sources)} both select texts.\nSet only one of them.")
    if not sources:
        models, texts = positional[:1], positional[1:]
        if not models or not texts:
            raise ConfigError(
                "inspect needs a classifier and a text.\n"
                'Run nlp-rnn inspect FOLDER_OR_URI "text", or see nlp-rnn inspect --help.'
            )
    else:
        models = positional
        if not 1 <= len(models) <= 2:
            raise ConfigError(
                f"inspect {sources[0]} needs one or two models; found "
                f"{', '.join(models) or 'none'}.\n"
                f"Run nlp-rnn inspect MODEL {sources[0]} …, or MODEL_A MODEL_B {sources[0]} …"
            )
        texts = [arguments.options["--text"]] if "--text" in arguments.options else []
    for name, needed in (("--rows", "--input or data=…"), ("--column", "--input")):
        if (
            name in arguments.options
            and sources != ["--input"]
            and (name == "--column" or not data)
        ):
            raise ConfigError(f"{name} has no effect without {needed}.\nRemove {name}.")
    if not texts:
        rows = _rows(arguments)
        texts = _texts_of_data(data, rows) if data else _texts_of_file(arguments, form, rows)
    return models, texts


def _rows(arguments: ParsedArguments) -> list[int]:
    numbers = arguments.options.get("--rows", "1").split(",")
    if not all(number.isascii() and number.isdigit() and int(number) > 0 for number in numbers):
        raise ConfigError(
            f"--rows is {arguments.options['--rows']!r}, not row numbers from 1.\n"
            "Set it for example to --rows 1,7"
        )
    return [int(number) for number in numbers]


def _texts_of_file(arguments: ParsedArguments, form: list[str], rows: list[int]) -> list[str]:
    from nlp_rnn.commands.input_options import input_errors, open_input

    path = arguments.options["--input"]
    column = arguments.options.get("--column")
    if column is not None and path.lower().endswith(".txt"):
        raise ConfigError(
            f"--column has no effect for {path}, where every line is one text.\nRemove --column."
        )
    options = form if column is None else [f"data.text={column}", *form]
    notes: list[str] = []
    texts: dict[int, str | None] = {}
    num_read = 0
    with input_errors():
        for chunk in open_input(path, options, {}, None, notes).chunks():
            for row in rows:
                if num_read < row <= num_read + len(chunk.texts):
                    texts[row] = chunk.texts[row - num_read - 1]
            num_read += len(chunk.texts)
            if num_read >= max(rows):
                break
    for note in notes:
        print(note, file=sys.stderr)
    return [_text_of_row(texts, row, path, num_read) for row in rows]


def _texts_of_data(overrides: list[str], rows: list[int]) -> list[str]:
    from nlp_rnn.api.evaluation_data import data_config
    from nlp_rnn.data.corpus import load_corpus

    test = load_corpus(data_config(overrides)).test
    texts: dict[int, str | None] = {row: test[row - 1]["text"] for row in rows if row <= len(test)}
    return [_text_of_row(texts, row, "The test split", len(test)) for row in rows]


def _text_of_row(texts: dict[int, str | None], row: int, source: str, num_rows: int) -> str:
    text = texts.get(row)
    if text is None:
        fault = "has no text (null)" if row in texts else f"does not exist; there are {num_rows:,}"
        raise DataError(f"{source}: row {row} {fault}.\nSet --rows to another row.")
    return text


def _log(model: "InspectedModel", paths: Sequence[Path]) -> None:
    """Copy the page into the run that trained the model, if the current MLflow store has it."""
    if model.run_id is None:
        return
    from nlp_rnn.tracking.ended_runs import attach_files

    try:
        attach_files(model.run_id, paths, "inspection", Path.cwd())
    except TrackingError as error:
        print(f"not logged    {str(error).splitlines()[0]}", file=sys.stderr)
        return
    print(f"MLflow run    {model.run_id}, artifacts in inspection/")
