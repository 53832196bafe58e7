"""Files with the predictions of a teacher: in the cache, and in the checkpoint of a run."""

import json
import os
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from nlp_rnn.teachers.teacher_predictions import TeacherDescription, TeacherPredictions

__all__ = ["read_saved_predictions", "save_predictions"]

PARTS = ("train", "unlabelled", "validation", "test")


def save_predictions(path: Path, predictions: TeacherPredictions) -> None:
    """Write predictions to a file, atomically."""
    description = json.dumps(asdict(predictions.teacher)).encode()
    arrays = {part: getattr(predictions, part) for part in PARTS}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("wb") as file:
            np.savez(file, description=np.frombuffer(description, np.uint8), **arrays)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def read_saved_predictions(path: Path) -> TeacherPredictions | None:
    """Return the predictions in a file of `save_predictions`; None if it is missing or damaged."""
    with suppress(OSError, ValueError, KeyError, TypeError, EOFError, BadZipFile):
        with np.load(path, allow_pickle=False) as saved:
            description = json.loads(saved["description"].tobytes())
            description["notes"] = tuple(description["notes"])
            return TeacherPredictions(
                **{part: saved[part] for part in PARTS}, teacher=TeacherDescription(**description)
            )
    return None
