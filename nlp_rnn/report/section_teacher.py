"""Section on teachers: what the classifiers keep of their accuracy, and where the labels differ."""

import math
from typing import TYPE_CHECKING, Any

from nlp_rnn.report.context import ReportContext, format_percent
from nlp_rnn.report.page import Block, Paragraph, Placeholder, Section, Table

if TYPE_CHECKING:
    from nlp_rnn.comparison.records import Configuration

__all__ = ["teacher_section"]

MAX_LABELS = 40
"""Labels of the table of agreement at most, those with the least agreement first."""

LATENCY, TEACHER_LATENCY = "latency/onnx_batch1_p50_ms", "latency/teacher_batch1_p50_ms"


def teacher_section(context: ReportContext) -> Section:
    """Return the section: scores, time and size of the teachers beside those of the classifiers."""
    title = "Teachers"
    taught = [c for c in context.comparison.configurations if c.name in context.teachers]
    if not taught:
        reason = (
            "No compared run has a teacher: all were trained on labels alone. "
            "teacher=encoder, predictions, classifier or self trains with one."
        )
        return Section("teacher", title, [Placeholder(reason)])
    metric = context.comparison.rules.metric
    table = Table(
        [
            "configuration",
            "teacher",
            f"teacher, test {context.score_name}, %",
            f"classifier, test {context.score_name}, %",
            "kept, %",
            "teacher, ms per text",
            "classifier, ms per text",
            "teacher, MB",
        ],
        [_row(one, context.teachers[one.name], metric) for one in taught],
        f"Means over the seeds; n = {context.num_texts:,} test texts. Times are medians for one "
        "text on one thread. A dash means that the value was not measured, for example because a "
        "file of predictions does not say how long they took.",
    )
    blocks: list[Block] = [
        Paragraph(
            "The classifiers learned from the predictions of a teacher. Validation and test have "
            "true labels alone."
        ),
        table,
    ]
    if any(context.teachers[one.name]["teacher"].get("gives_all_labels") for one in taught):
        blocks[0] = Paragraph(
            "All labels of the data, those of the test split too, are predictions of the teacher: "
            "nothing measures the true accuracy of these classifiers."
        )
    seen: set[str] = set()
    for configuration in taught:
        saved = context.teachers[configuration.name]
        digest = str(saved["teacher"].get("digest"))
        if digest not in seen:
            seen.add(digest)
            blocks += _agreement(saved, context)
    return Section("teacher", title, blocks)


def _row(configuration: "Configuration", saved: dict[str, Any], metric: str) -> list[str]:
    means = configuration.means
    teacher = 100 * means.get(f"test/teacher_{metric}", math.nan)
    student = 100 * means.get(f"test/{metric}", math.nan)
    times = [means.get(name, math.nan) for name in (TEACHER_LATENCY, LATENCY)]
    return [
        configuration.name,
        _name(saved),
        format_percent(teacher, 2),
        format_percent(student, 2),
        format_percent(100 * student / teacher if teacher else math.nan),
        *(format_percent(time, 2) for time in times),
        format_percent(means.get("teacher/size_mb", math.nan)),
    ]


def _name(saved: dict[str, Any]) -> str:
    teacher = saved["teacher"]
    licence = f", licence {teacher['licence']}" if teacher.get("licence") else ""
    return f"{teacher['kind']}: {teacher['name']}{licence}"


def _agreement(saved: dict[str, Any], context: ReportContext) -> list[Block]:
    """Return a table of how often a teacher predicts the labels of the training texts."""
    rows = [one for one in saved["agreement"] if one["texts"]]
    if not rows:
        return [Paragraph(f"{_name(saved)} has no predictions for training texts.")]
    context.tables.setdefault("teacher_agreement", []).extend(
        {"teacher": _name(saved), **one} for one in rows
    )
    rows = sorted(rows, key=lambda one: one["share"])[:MAX_LABELS]
    return [
        Table(
            ["label", "training texts", "agreement, %", "most often instead"],
            [
                [
                    one["label"],
                    f"{one['texts']:,}",
                    format_percent(100 * one["share"]),
                    one["instead"] or "–",
                ]
                for one in rows
            ],
            f"How often {_name(saved)} predicts the label of a training text, out of sample, the "
            "lowest first. Low agreement means a weak teacher for this label, or labels that "
            "should be checked.",
        )
    ]
