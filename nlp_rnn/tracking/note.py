"""The results of a run become a Markdown note that explains it to whoever opens it in MLflow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nlp_rnn.scoring.metrics import wilson_interval

__all__ = ["RunSummary", "run_note"]

NO_BREAK_SPACE = "\u00a0"


@dataclass(frozen=True)
class RunSummary:
    """What a note tells of a run.

    Attributes:
        title: the model in a few words, such as `bidirectional GRU, max pooling`.
        dataset: the name of the data.
        digest: its fingerprint.
        run_id: the run in MLflow.
        command: what to type to repeat the run.
        metrics: as in `result.json`; `test/…`, `validation/…`, `train/…` and `latency/…` are told.
        rows: texts in each split.
        num_labels: classes.
        parameters: as from `Architecture.parameter_counts`: by part, and `total`.
        remarks: sentences on the data, such as what was left out.
    """

    title: str
    dataset: str
    digest: str
    run_id: str
    command: str
    metrics: Mapping[str, float]
    rows: Mapping[str, int]
    num_labels: int
    parameters: Mapping[str, int]
    remarks: Sequence[str] = ()


def run_note(summary: RunSummary) -> str:
    """Return the note as Markdown: result, model, data, speed, how to load and how to repeat it."""
    metrics = summary.metrics
    several = "test/micro_f1" in metrics
    heads = ("accuracy", "95% interval") if not several else ("micro-F1", "all labels right")
    table = [_row("split", "texts", *heads, "macro-F1"), "|---" * 5 + "|"]
    for split in ("validation", "test"):
        if f"{split}/accuracy" in metrics or several:
            table.append(_split_row(split, summary))
    parts = ", ".join(
        f"{count:,} {part}" for part, count in summary.parameters.items() if part != "total"
    )
    splits = ", ".join(f"{count:,} {split}" for split, count in summary.rows.items())
    remarks = "".join(f" {remark.rstrip('.')}." for remark in summary.remarks)
    return "\n\n".join(
        [
            _headline(summary),
            "\n".join(table),
            NO_BREAK_SPACE,  # a line of its own: MLflow leaves no room below a table
            f"**Model**: {summary.parameters['total']:,} parameters ({parts}).",
            f"**Data**: `{summary.dataset}`, {summary.num_labels} classes; texts: {splits}; "
            f"digest `{summary.digest}`.{remarks}",
            f"**Speed**: {_speed(metrics)}.",
            "**Load it**",
            "```python\nimport nlp_rnn\n\n"
            f'classifier = nlp_rnn.load("runs:/{summary.run_id}/classifier")\n'
            'classifier.predict(["a text"])\n```',
            "**Repeat it**",
            f"```bash\n{summary.command}\n```",
        ]
    )


def _headline(summary: RunSummary) -> str:
    title = f"**{summary.title}** on **{summary.dataset}**"
    if "test/micro_f1" in summary.metrics:
        micro_f1, macro_f1 = summary.metrics["test/micro_f1"], summary.metrics["test/macro_f1"]
        return (
            f"{title}: micro-F1 **{micro_f1:.3f}** on {summary.rows['test']:,} test texts, "
            f"macro-F1 {macro_f1:.3f}."
        )
    if "test/accuracy" not in summary.metrics:
        return f"{title}: not tested."
    accuracy, macro_f1 = summary.metrics["test/accuracy"], summary.metrics["test/macro_f1"]
    rows = summary.rows["test"]
    return f"{title}: **{accuracy:.1%}** of {rows:,} test texts right, macro-F1 {macro_f1:.3f}."


def _split_row(split: str, summary: RunSummary) -> str:
    if "test/micro_f1" in summary.metrics:
        micro, subset, macro = (
            summary.metrics[f"{split}/{name}"]
            for name in ("micro_f1", "subset_accuracy", "macro_f1")
        )
        return _row(
            split, f"{summary.rows[split]:,}", f"{micro:.4f}", f"{subset:.2%}", f"{macro:.4f}"
        )
    accuracy = summary.metrics[f"{split}/accuracy"]
    macro_f1 = summary.metrics[f"{split}/macro_f1"]
    rows = summary.rows[split]
    interval = "none, the weights were chosen on it"
    if split == "test":
        low, high = wilson_interval(round(accuracy * rows), rows)
        interval = f"{low:.1%} to {high:.1%}"
    return _row(split, f"{rows:,}", f"{accuracy:.2%}", interval, f"{macro_f1:.4f}")


def _row(*cells: str) -> str:
    # MLflow's tables have no space between columns.
    return "".join(f"| {cell}{NO_BREAK_SPACE * 4} " for cell in cells) + "|"


def _speed(metrics: Mapping[str, float]) -> str:
    told = []
    if "train/tokens_per_second" in metrics:
        told.append(f"{metrics['train/tokens_per_second']:,.0f} tokens per second in training")
    if "train/seconds" in metrics:
        told.append(f"trained in {metrics['train/seconds']:,.1f} seconds")
    told += [
        f"{name.removeprefix('latency/')} {value:,.2f}"
        for name, value in metrics.items()
        if name.startswith("latency/") and "_batch1_p" in name
    ]
    return "; ".join(told) or "not measured"
