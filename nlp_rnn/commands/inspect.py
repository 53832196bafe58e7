"""Saved classifiers and texts become a page that shows how they were read."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.commands.argument_parser import Words, read_words
from nlp_rnn.errors import ConfigError, DataError, TrackingError

if TYPE_CHECKING:
    from nlp_rnn.inspection.inspection import InspectedModel

__all__ = ["HELP", "inspect"]

HELP = """\
Show how a saved classifier reads texts: what each token gave, the gates, how long it remembers,
and for one-direction models the answer after each token. Writes a page and its pictures.

  nlp-rnn inspect MODEL "What a story."
  nlp-rnn inspect MODEL_A MODEL_B --text "What a story."        side by side
  nlp-rnn inspect MODEL --input reviews.csv --column review --rows 1,7
  nlp-rnn inspect MODEL data=stories --rows 3

  --text TEXT        one text; what else is typed are then models, one or two
  --input FILE       texts of a file, as for nlp-rnn predict; --column COLUMN holds them
  data=…             texts of the test split of a data set, named as for nlp-rnn train
  --rows N,M         which texts of the file or data set, from 1; default: the first
  --over-time        insist on the probabilities after each token
  --output FOLDER    where to write; default: inspection
  --no-log           do not copy it into the model's MLflow run
"""

OPTIONS = ("--text", "--input", "--column", "--rows", "--output")
FLAGS = ("--over-time", "--no-log")
MOST_TEXTS = 20


def inspect(words: list[str]) -> int:
    """Run the command."""
    given = read_words("inspect", words, OPTIONS, FLAGS)
    places, texts = _read(given)
    folder = Path(given.options.get("--output", "inspection"))
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--output {folder} is a file.\nType the name of a folder.")
    from nlp_rnn.inspection.inspection import inspect_text, load_model, probabilities_over_time
    from nlp_rnn.inspection.page import prepare_drawing, write_page
    from nlp_rnn.training.device import available_cores, share_cores

    share_cores(available_cores())
    models = [load_model(place) for place in places]
    if "--over-time" in given.flags:
        import numpy as np

        for model in models:
            probabilities_over_time(model, np.array([1], dtype=np.int64))
    with ThreadPoolExecutor(1) as beside:  # its imports take as long as a text
        beside.submit(prepare_drawing)
        inspections = [[inspect_text(model, text) for model in models] for text in texts]
    paths = write_page(folder, inspections)
    for text, seen in zip(texts, inspections, strict=True):
        answers = "\t".join(f"{each.label} {each.probabilities.max():.4f}" for each in seen)
        print(f"{answers}\t{' '.join(text.split())[:60]}")
    print(f"page          {paths[0]}")
    if "--no-log" not in given.flags:
        for model in models:
            _log(model, paths)
    return 0


def _read(given: Words) -> tuple[list[str], list[str]]:
    """The models and the texts that were named.

    Raises:
        ConfigError: none or too many of them, or an option that could have no effect.
    """
    data = [word for word in given.arguments if word.startswith(("data=", "data."))]
    arguments = [word for word in given.arguments if word not in data]
    sources: list[str] = [name for name in ("--text", "--input") if name in given.options]
    sources += ["data=…"] if data else []
    if len(sources) > 1:
        raise ConfigError(f"{' and '.join(sources)} both name texts.\nGive one of them.")
    if not sources:
        models, texts = arguments[:1], arguments[1:]
        if not models or not texts:
            raise ConfigError(
                "inspect needs a classifier and a text.\n"
                'Type nlp-rnn inspect FOLDER_OR_URI "text", or nlp-rnn inspect --help.'
            )
    else:
        models = arguments
        if not 1 <= len(models) <= 2:
            raise ConfigError(
                f"inspect {sources[0]} sets one model or two side by side; found "
                f"{', '.join(models) or 'none'}.\nType nlp-rnn inspect MODEL_A MODEL_B …"
            )
        texts = [given.options["--text"]] if "--text" in given.options else []
    for name, needed in (("--rows", "--input or data=…"), ("--column", "--input")):
        if name in given.options and sources != ["--input"] and (name == "--column" or not data):
            raise ConfigError(f"{name} does nothing without {needed}.\nLeave it out.")
    if not texts:
        rows = _rows(given)
        texts = _rows_of_data(data, rows) if data else _rows_of_file(given, rows)
    if len(texts) > MOST_TEXTS:
        raise ConfigError(
            f"A page of {len(texts)} texts would not be read; at most {MOST_TEXTS} are drawn.\n"
            "Name fewer."
        )
    return models, texts


def _rows(given: Words) -> list[int]:
    words = given.options.get("--rows", "1").split(",")
    if not all(word.isascii() and word.isdigit() and int(word) > 0 for word in words):
        raise ConfigError(
            f"--rows is {given.options['--rows']!r}; type numbers of rows from 1: --rows 1,7"
        )
    return [int(word) for word in words]


def _rows_of_file(given: Words, rows: list[int]) -> list[str]:
    from contextlib import closing

    from nlp_rnn.commands.input_tables import InputTable, format_of_file

    path = given.options["--input"]
    kind = format_of_file(Path(path))
    column = given.options.get("--column")
    if column is not None and kind == "txt":
        raise ConfigError(f"--column does nothing for {path}, where a line is a text.")
    found: dict[int, str | None] = {}
    with closing(InputTable(Path(path), kind, column)) as table:
        read = 0
        for chunk in table.chunks(skip=0):
            for row in rows:
                if read < row <= read + len(chunk.texts):
                    found[row] = chunk.texts[row - read - 1]
            read += len(chunk.texts)
            if read >= max(rows):
                break
    return [_there(found, row, path, read) for row in rows]


def _rows_of_data(overrides: list[str], rows: list[int]) -> list[str]:
    from nlp_rnn.commands.evaluate import data_config
    from nlp_rnn.data.corpus import load_corpus

    test = load_corpus(data_config(overrides)).test
    found: dict[int, str | None] = {row: test[row - 1]["text"] for row in rows if row <= len(test)}
    return [_there(found, row, "The test split", len(test)) for row in rows]


def _there(found: dict[int, str | None], row: int, where: str, count: int) -> str:
    text = found.get(row)
    if text is None:
        fault = "has no text (null)" if row in found else f"is not there: it has {count:,} rows"
        raise DataError(f"{where}: row {row} {fault}.\nType another number after --rows.")
    return text


def _log(model: "InspectedModel", paths: list[Path]) -> None:
    """Copy the page into the run that trained the model, if the store of this place knows it."""
    if model.run_id is None:
        return
    from nlp_rnn.tracking.ended_runs import attach_files

    try:
        attach_files(model.run_id, paths, "inspection", Path.cwd())
    except TrackingError as error:
        print(f"not logged    {str(error).splitlines()[0]}", file=sys.stderr)
        return
    print(f"MLflow run    {model.run_id}, artifacts in inspection/")
