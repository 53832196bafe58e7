"""Answers with any number of labels a text become the scores and limits of a model card."""

from collections.abc import Mapping

from nlp_rnn.scoring.label_artifacts import LabelPredictions, f1_of_labels
from nlp_rnn.tracking.note import wilson_interval

__all__ = ["label_limits", "label_scores"]


def label_scores(metrics: Mapping[str, float], test: LabelPredictions, most: int) -> str:
    """The section of scores; with up to `most` labels there is a table of them."""
    rows = len(test.labels)
    right = (test.labels == test.predictions).all(axis=1)
    low, high = wilson_interval(int(right.sum()), rows)
    text = (
        "## Scores\n\n"
        "| split | texts | micro-F1 | macro-F1 | all labels right | 95 % interval of that |\n"
        "|---|---|---|---|---|---|\n"
        f"| test | {rows:,} | {metrics['test/micro_f1']:.4f} | {metrics['test/macro_f1']:.4f} "
        f"| {right.mean():.2%} | {low:.1%} to {high:.1%} |\n\n"
        "The test split was read once, by this classifier; nothing was chosen on it. On "
        "validation, where the weights and the thresholds were chosen: micro-F1 "
        f"{metrics['validation/micro_f1']:.4f}, macro-F1 {metrics['validation/macro_f1']:.4f}. "
        "The interval is Wilson's and counts the texts only, not another training.\n"
    )
    if len(test.label_names) > most:
        return text
    table = ["| label | test texts | found | right when said | F1 |", "|---" * 5 + "|"]
    scores = f1_of_labels(test.labels, test.predictions)
    for index, name in enumerate(test.label_names):
        is_label, said = test.labels[:, index], test.predictions[:, index]
        hits, count, times = int((is_label & said).sum()), int(is_label.sum()), int(said.sum())
        found = f"{hits / count:.1%}" if count else "–"
        sure = f"{hits / times:.1%}" if times else "–"
        plain = " ".join(name.split()).replace("`", "'").replace("|", "¦") or " "
        short = plain if len(plain) <= 40 else plain[:39] + "…"
        table.append(f"| `{short}` | {count:,} | {found} | {sure} | {scores[index]:.3f} |")
    return text + "\n" + "\n".join(table) + "\n"


def label_limits(test: LabelPredictions) -> list[str]:
    """What to know before relying on the answers."""
    none = float((~test.predictions.any(axis=1)).mean())
    many = float(test.predictions.sum(axis=1).mean())
    return [
        f"- It gives a test text {many:.2f} labels on average, and {none:.1%} of them none.",
        "- A text has the labels whose probability reaches their own threshold "
        "(`thresholds` in config.json), chosen on validation for the best F1 of each label; "
        "`predict(texts, threshold=…)` takes one for all.",
    ]
