"""Arguments of `nlp-rnn train` for data, teachers and options that are set in Python."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from nlp_rnn.api.arguments import Overrides, as_arguments
from nlp_rnn.api.tables import data_arguments
from nlp_rnn.api.teacher_arguments import teacher_arguments
from nlp_rnn.api.unlabelled_texts import unlabelled_arguments
from nlp_rnn.errors import ConfigError, NlpRnnError
from nlp_rnn.sweeps.job_records import RECORDS

__all__ = ["Inputs", "new_folder", "saved_arguments"]


@dataclass(frozen=True)
class Inputs:
    """What `nlp_rnn.train` and `nlp_rnn.sweep` learn from; the fields are their parameters."""

    data: Any
    text: str | Sequence[str]
    label: str | Sequence[str]
    validation: Any
    test: Any
    unlabelled: Any
    teacher: Any


@contextmanager
def saved_arguments(
    inputs: Inputs, folder: Path, overrides: Overrides, options: Mapping[str, Any]
) -> Iterator[list[str]]:
    """Provide the arguments, in a block that checks them; data in memory is saved in `folder`.

    If the block raises an error of nlp_rnn before a sweep has started, what was saved is deleted.

    Raises
    ------
    ConfigError, DataError
        The inputs or the options are wrong.
    """
    arguments = as_arguments(overrides, options)
    clash = [name for name in arguments if name.partition("=")[0] in ("data", "data.path")]
    if inputs.data is not None and clash:
        raise ConfigError(f"The data is set twice: by data and by {clash[0]}.\nRemove one of them.")
    clash = [name for name in arguments if name.startswith("data.unlabelled=")]
    if inputs.unlabelled is not None and clash:
        raise ConfigError(
            f"The unlabelled texts are set twice: by unlabelled and by {clash[0]}.\n"
            "Remove one of them."
        )
    data_options = data_arguments(
        inputs.data, inputs.validation, inputs.test, inputs.text, inputs.label, folder
    )
    data_options += unlabelled_arguments(inputs.unlabelled, inputs.text, folder)
    arguments = [*data_options, *arguments]
    try:
        yield [*teacher_arguments(inputs.teacher, folder, arguments), *arguments]
    except NlpRnnError:
        if (folder / RECORDS).is_dir():
            raise
        for saved in ("data", "teacher"):
            shutil.rmtree(folder / saved, ignore_errors=True)
        (folder / "unlabelled.parquet").unlink(missing_ok=True)
        raise


def new_folder(parent: str) -> Path:
    """Return a path for the folder of a run or sweep that starts now, as the command names it."""
    return Path.cwd() / parent / datetime.now().strftime("%Y-%m-%d/%H-%M-%S-%f")
