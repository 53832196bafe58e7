"""Scores in the model card: a table of the splits and one of the labels, and Markdown helpers."""

from collections.abc import Mapping, Sequence

from nlp_rnn.classifier.risk_coverage import Table
from nlp_rnn.scoring.metrics import f1_of_labels, label_counts, wilson_interval
from nlp_rnn.scoring.predictions import PART_NAMES, Predictions

__all__ = ["confidence_section", "inline_code", "markdown_table", "scores_section"]

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
"""Thresholds that the card shows."""

# Labels that have a row of their own; with more of them the table would be the whole card.
MAX_LABELS = 40


def scores_section(metrics: Mapping[str, float], test: Predictions) -> str:
    """Return the section with the scores of the test split, and of each label."""
    rows = {"test": _score_cells(test, metrics)}
    if test.parts:
        rows = {"test, this classifier": rows["test"]} | {
            f"test, {name}": _score_cells(test.of(part), metrics, f"test/{part}_")
            for part, name in PART_NAMES.items()
            if part in test.parts
        }
    if test.multi_label:
        heads: tuple[str, ...] = ("micro-F1", "macro-F1", "all labels correct", "95 % interval")
        chosen = "the weights and the thresholds were"
        main = f"micro-F1 {metrics['validation/micro_f1']:.4f}"
    else:
        heads = ("accuracy", "95 % interval", "macro-F1")
        chosen = "the weights were"
        main = f"accuracy {metrics['validation/accuracy']:.2%}"
    table = [(name, f"{len(test.rows):,}", *cells) for name, cells in rows.items()]
    return (
        f"## Scores\n\n{markdown_table(('split', 'texts', *heads), table)}\n"
        "The test split was read once, by this classifier; nothing was chosen on it. On the "
        f"validation split, on which {chosen} chosen: {main}, macro-F1 "
        f"{metrics['validation/macro_f1']:.4f}. The interval is Wilson's. It covers the choice of "
        "the test texts, not the variation between trainings.\n" + _label_table(test)
    )


def _score_cells(
    predictions: Predictions, metrics: Mapping[str, float], prefix: str = "test/"
) -> tuple[str, ...]:
    """Return the scores of predictions for the test split, as cells of the table."""
    correct = predictions.correct
    low, high = wilson_interval(int(correct.sum()), len(correct))
    interval, macro_f1 = f"{low:.1%} to {high:.1%}", f"{metrics[f'{prefix}macro_f1']:.4f}"
    if predictions.multi_label:
        micro_f1 = f"{metrics[f'{prefix}micro_f1']:.4f}"
        return micro_f1, macro_f1, f"{correct.mean():.2%}", interval
    return f"{correct.mean():.2%}", interval, macro_f1


def confidence_section(table: Table, multi_label: bool) -> str:
    """Return the section on thresholds: coverage and accuracy on the validation texts."""
    covers = "true labels that are predicted" if multi_label else "texts with a label"
    rows = [
        (f"{threshold:g}", f"{coverage:.1%}", "–" if accuracy is None else f"{accuracy:.1%}")
        for threshold, coverage, accuracy in table["rows"]
        if threshold in THRESHOLDS
    ]
    return (
        f"## Confidence\n\n{markdown_table(('threshold', covers, 'of these labels right'), rows)}\n"
        f"Measured on the {table['texts']:,} validation texts. "
        "`classifier.predict(texts, threshold=0.8)` leaves out less probable labels, and "
        "`classifier.choose_threshold(accuracy=0.95)` returns the threshold for an accuracy.\n"
    )


def _label_table(test: Predictions) -> str:
    """Return the scores of every label, or nothing for more than `MAX_LABELS`."""
    if len(test.label_names) > MAX_LABELS:
        return ""
    counts = label_counts(test.labels, test.predictions, len(test.label_names))
    rows = []
    for name, correct, labelled, predicted, f1 in zip(
        test.label_names, *counts, f1_of_labels(counts), strict=True
    ):
        recall, precision = _share(correct, labelled), _share(correct, predicted)
        interval = "–"
        if labelled:
            low, high = wilson_interval(int(correct), int(labelled))
            interval = f"{low:.1%} to {high:.1%}"
        scores = (recall, interval, precision)
        if test.multi_label:
            scores = (recall, precision, f"{f1:.3f}")
        rows.append((inline_code(name), f"{labelled:,}", *scores))
    heads = ("recall", "95 % interval", "precision")
    if test.multi_label:
        heads = ("recall", "precision", "F1")
    return "\n" + markdown_table(("label", "test texts", *heads), rows)


def markdown_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown."""
    lines = ["| " + " | ".join(cells) + " |\n" for cells in (heads, *rows)]
    lines.insert(1, "|---" * len(heads) + "|\n")
    return "".join(lines)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def inline_code(text: str) -> str:
    """Return a name as inline code that no character in it can end, also within a table."""
    plain = " ".join(text.split()).replace("`", "'").replace("|", "¦")
    short = plain if len(plain) <= 40 else plain[:39] + "…"
    return f"`{short or ' '}`"
