"""What a run says about its teacher: a warning before training, and what the classifier keeps."""

from typing import TYPE_CHECKING

from nlp_rnn.runs.differences import paired_difference, text_scores
from nlp_rnn.runs.reference_scores import reference_predictions
from nlp_rnn.runs.teacher_scores import TeacherScores
from nlp_rnn.scoring.predictions import Predictions

if TYPE_CHECKING:
    from nlp_rnn.data.corpus import Corpus

__all__ = [
    "kept_sentence",
    "notes_before_training",
    "teacher_conclusions",
    "warning_before_training",
]

LEAST_AGREEMENT = 3
"""Labels that are named, for which teacher and training labels agree least."""


def notes_before_training(scores: TeacherScores, corpus: "Corpus") -> list[str]:
    """Return the notes of a teacher, its score on validation, and a warning if it is a bad one."""
    notes = list(scores.teacher.notes)
    labels = scores.labels["validation"]
    if len(labels) and not scores.teacher.gives_all_labels:
        metric = "accuracy" if labels.ndim == 1 else "micro-F1"
        value = float(text_scores(labels, scores.predictions["validation"]).mean())
        notes.append(f"teacher: {metric} {100 * value:.1f} % on {len(labels):,} validation texts")
    warning = warning_before_training(scores, corpus)
    return [*notes, *([warning] if warning else [])]


def warning_before_training(scores: TeacherScores, corpus: "Corpus") -> str | None:
    """Return a line if the teacher seems no better on validation than a linear model; else None.

    The linear model is fitted to the labelled rows. Without its predictions, or those of the
    teacher, nothing is known.
    """
    labels = scores.labels["validation"]
    if scores.teacher.gives_all_labels:
        return None
    if not len(labels):
        return (
            "The teacher has no predictions for validation texts, so nothing says how good it is."
        )
    references = reference_predictions(corpus, 0.0).predictions
    if "linear" not in references:
        return None
    linear = references["linear"]["validation"][scores.covered["validation"]]
    difference = paired_difference(labels, scores.predictions["validation"], linear)
    if difference.points >= 0:
        return None
    where = f"on {len(labels):,} validation texts ({difference})"
    if difference.high >= 0:
        return f"The teacher is not shown to be better than a linear model {where}."
    return (
        f"THE TEACHER IS WORSE THAN A LINEAR MODEL {where}. Without "
        f"teacher={scores.teacher.kind} the classifier is probably better."
    )


def teacher_conclusions(
    test: Predictions, scores: TeacherScores, latency_ms: float | None
) -> list[str]:
    """Return what the end of a run says about the classifier and its teacher.

    Parameters
    ----------
    test : Predictions
        Predictions of the classifier for the test split.
    scores : TeacherScores
        The scores of the teacher.
    latency_ms : float or None
        Median time in which the classifier predicts one text.
    """
    if scores.teacher.gives_all_labels:
        return [
            "All labels are predictions of the teacher: nothing measures the true accuracy. The "
            "scores say how well the classifier reproduces the teacher. Label some texts by hand "
            "and run nlp-rnn evaluate to measure it."
        ]
    lines = []
    covered, labels = scores.covered["test"], scores.labels["test"]
    if len(labels):
        student = float(text_scores(labels, test.predictions[covered]).mean())
        teacher = float(text_scores(labels, scores.predictions["test"]).mean())
        metric = "micro-F1" if test.multi_label else "accuracy"
        lines.append(kept_sentence(student, teacher, metric, latency_ms, scores.teacher.latency_ms))
        difference = paired_difference(
            labels, test.predictions[covered], scores.predictions["test"]
        )
        lines.append(f"Compared with the teacher: {difference}.")
    else:
        lines.append(
            "The teacher has no predictions for the test texts, so nothing measures what the "
            "classifier keeps of its accuracy."
        )
    known = sorted((one for one in scores.agreement if one.texts), key=lambda one: one.share)
    if known and known[0].share < 1:
        lines.append("Labels of training texts on which the teacher agrees least:")
        lines += [
            f"  {one.label}: {one.share:.0%} of {one.texts:,} texts"
            + (f", mostly {one.instead} instead" if one.instead else "")
            for one in known[:LEAST_AGREEMENT]
            if one.share < 1
        ]
    return lines


def kept_sentence(
    student: float,
    teacher: float,
    metric: str,
    student_ms: float | None,
    teacher_ms: float | None,
) -> str:
    """Return how much of a teacher's score a classifier keeps, and in which part of its time.

    Parameters
    ----------
    student, teacher : float
        Their scores for the same texts, 0 to 1.
    metric : str
        Name of the score.
    student_ms, teacher_ms : float or None
        Median times to predict one text on one thread, in milliseconds.
    """
    kept = f"{student / teacher:.0%}" if teacher > 0 else "more than all"
    sentence = (
        f"The classifier keeps {kept} of the teacher's {metric} ({100 * student:.1f} % against "
        f"{100 * teacher:.1f} %)"
    )
    if not student_ms or not teacher_ms:
        return f"{sentence}."
    times = f"{student_ms:.2f} ms against {_milliseconds(teacher_ms)} ms for one text"
    if teacher_ms >= 1.5 * student_ms:
        return f"{sentence} at 1/{teacher_ms / student_ms:.0f} of its time ({times})."
    return f"{sentence} at {student_ms / teacher_ms:.1f} times its time ({times})."


def _milliseconds(value: float) -> str:
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
