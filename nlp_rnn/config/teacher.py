"""Schema of the teacher: a model whose predictions a classifier learns from."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from nlp_rnn.config.option import POSITIVE, between, option

__all__ = ["TeacherConfig", "TeacherKind", "UnknownLabels"]

TeacherKind = Enum("TeacherKind", ["none", "predictions", "encoder", "classifier", "self"])
UnknownLabels = Enum("UnknownLabels", ["error", "drop"])


@dataclass
class TeacherConfig:
    """Which teacher predicts the labels of unlabelled texts, and how its predictions are used."""

    kind: TeacherKind = option(
        TeacherKind.none,
        "Kind of the teacher: a file of predictions, a sentence encoder, trained classifiers, or "
        "the models of the run themselves; set it with teacher=KIND.",
    )
    path: Any = option(
        None,
        "File of predictions, folder or hub name of a sentence encoder, or one or several "
        "classifiers: folders, runs:/ID or sweep:ID, whose probabilities are averaged (null: "
        "none).",
    )
    column: Any = option(
        None,
        "Column of the labels or the probabilities in a file of predictions, or a list of columns "
        "with one probability per class (null: recognized by their names).",
    )
    unknown: UnknownLabels = option(
        UnknownLabels.error,
        "Predicted labels that the data does not have: raise an error, or drop these predictions.",
    )
    temperature: float = option(
        1.0, "Divisor of the teacher's logits: above 1 for softer targets.", POSITIVE
    )
    label_weight: float = option(
        0.5,
        "Weight of the label in the target of a labelled row; the rest is that of the teacher's "
        "probabilities.",
        between(0, 1),
    )
