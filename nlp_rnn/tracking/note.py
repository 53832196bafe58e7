"""The Markdown note of a run, which MLflow shows as the run's description."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nlp_rnn.scoring.metrics import wilson_interval
from nlp_rnn.scoring.predictions import PART_NAMES

__all__ = ["RunSummary", "run_note"]

NO_BREAK_SPACE = "\u00a0"


@dataclass(frozen=True)
class RunSummary:
    """What the note of a run reports.

    Attributes
    ----------
    title : str
        The model, such as `bidirectional GRU, max pooling`.
    dataset : str
        Name of the data.
    digest : str
        Digest of the corpus.
    run_id : str
        Id of the MLflow run.
    command : str
        Command line that repeats the run.
    metrics : mapping of str to float
        Metrics as in `result.json`. Reported are `test/…`, `validation/…`, `train/…` and
        `latency/…`.
    rows : mapping of str to int
        Number of texts in each split.
    num_labels : int
        Number of labels.
    parameters : mapping of str to int
        Number of parameters by part, and their `total`, as from `Architecture.parameter_counts`.
    remarks : sequence of str
        Sentences on the data and the training, such as what was left out.
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

    @property
    def multi_label(self) -> bool:
        """Whether the metrics are those of a multi-label task."""
        return "test/micro_f1" in self.metrics


def run_note(summary: RunSummary) -> str:
    """Return the note with result, model, data, speed, and how to load and repeat the run."""
    metrics = summary.metrics
    heads = ("accuracy", "95% interval")
    if summary.multi_label:
        heads = ("micro-F1", "all labels correct")
    table = [_row("split", "texts", *heads, "macro-F1"), "|---" * 5 + "|"]
    table += [
        _split_row(split, summary)
        for split in ("validation", "test")
        if f"{split}/macro_f1" in metrics
    ]
    table += [
        _split_row("test", summary, part)
        for part in PART_NAMES
        if f"test/{part}_macro_f1" in metrics
    ]
    parts = ", ".join(
        f"{count:,} {part}" for part, count in summary.parameters.items() if part != "total"
    )
    splits = ", ".join(f"{count:,} {split}" for split, count in summary.rows.items())
    remarks = "".join(f" {remark.rstrip('.')}." for remark in summary.remarks)
    return "\n\n".join(
        [
            _headline(summary),
            "\n".join(table),
            NO_BREAK_SPACE,  # a line of its own: MLflow shows no space below a table
            f"**Model**: {summary.parameters['total']:,} parameters ({parts}).",
            f"**Data**: `{summary.dataset}`, {summary.num_labels} labels; texts: {splits}; "
            f"digest `{summary.digest}`.{remarks}",
            f"**Speed**: {_speed(metrics)}.",
            "**Load the classifier**",
            "```python\nimport nlp_rnn\n\n"
            f'classifier = nlp_rnn.load("runs:/{summary.run_id}/classifier")\n'
            'classifier.predict(["a text"])\n```',
            "**Repeat the run**",
            f"```bash\n{summary.command}\n```",
        ]
    )


def _headline(summary: RunSummary) -> str:
    title, metrics = f"**{summary.title}** on **{summary.dataset}**", summary.metrics
    if summary.multi_label:
        score = f"micro-F1 **{metrics['test/micro_f1']:.3f}**"
    elif "test/accuracy" in metrics:
        score = f"accuracy **{metrics['test/accuracy']:.1%}**"
    else:
        return f"{title}: not tested."
    return (
        f"{title}: {score}, macro-F1 {metrics['test/macro_f1']:.3f} on "
        f"{summary.rows['test']:,} test texts."
    )


def _split_row(split: str, summary: RunSummary, part: str = "") -> str:
    """Return the scores of a split, by the classifier or by a part of the ensemble alone."""
    rows, prefix = summary.rows[split], f"{split}/{part}_" if part else f"{split}/"
    values = {
        name.removeprefix(prefix): value
        for name, value in summary.metrics.items()
        if name.startswith(prefix)
    }
    if summary.multi_label:
        cells = (f"{values['micro_f1']:.4f}", f"{values['subset_accuracy']:.2%}")
    elif split == "test":
        low, high = wilson_interval(round(values["accuracy"] * rows), rows)
        cells = (f"{values['accuracy']:.2%}", f"{low:.1%} to {high:.1%}")
    else:
        cells = (f"{values['accuracy']:.2%}", "none, the weights were chosen on it")
    name = f"{split}, {PART_NAMES[part]}" if part else split
    return _row(name, f"{rows:,}", *cells, f"{values['macro_f1']:.4f}")


def _row(*cells: str) -> str:
    # MLflow's tables have no space between columns.
    return "".join(f"| {cell}{NO_BREAK_SPACE * 4} " for cell in cells) + "|"


def _speed(metrics: Mapping[str, float]) -> str:
    figures = []
    if "train/tokens_per_second" in metrics:
        figures.append(f"{metrics['train/tokens_per_second']:,.0f} tokens per second in training")
    if "train/seconds" in metrics:
        figures.append(f"trained in {metrics['train/seconds']:,.1f} seconds")
    figures += [
        f"{name.removeprefix('latency/')} {value:,.2f}"
        for name, value in metrics.items()
        if name.startswith("latency/") and "_batch1_p" in name
    ]
    return "; ".join(figures) or "not measured"
