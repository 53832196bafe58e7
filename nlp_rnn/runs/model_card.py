"""A trained classifier and its figures become the `README.md` of its folder: the model card."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.classifier.manifest import GRAPH, INT8_GRAPH, MODEL_CARD, TOKENIZER
from nlp_rnn.runs.label_card import label_limits, label_scores
from nlp_rnn.scoring.label_artifacts import read_label_predictions
from nlp_rnn.scoring.predictions import Predictions, read_predictions
from nlp_rnn.tracking.note import wilson_interval

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nlp_rnn.classifier.predictor import TextClassifier

__all__ = ["write_card"]

# Labels that have a row of their own; with more of them the table would be the whole card.
MOST_LABELS = 40


def write_card(
    classifier: "TextClassifier",
    folder: Path,
    predictions: Path,
    metrics: Mapping[str, float],
    remarks: Sequence[str],
    processor: str,
) -> None:
    """Write the model card into a classifier folder, whole or not at all.

    Nothing reads it but people: a card that was changed or removed changes nothing else.

    Args:
        classifier: the classifier that `folder` holds.
        folder: the classifier folder.
        predictions: its answers to the test split, as `write_predictions` left them.
        metrics: as in `result.json`.
        remarks: sentences on what was done to the data.
        processor: of the machine that the latency was measured on.
    """
    if classifier.task == "multi_label":
        several = read_label_predictions(predictions)
        scores, limits = label_scores(metrics, several, MOST_LABELS), label_limits(several)
        lengths = several.lengths
    else:
        test = read_predictions(predictions)
        scores, limits, lengths = _scores(metrics, test), _limits(test), test.lengths
    sections = [
        _head(classifier),
        _use(classifier),
        _data(classifier, remarks),
        scores,
        _reading(classifier, folder, lengths, limits),
        _speed(folder, metrics, processor),
        _origin(classifier),
    ]
    temporary = folder.with_name(f".{folder.name}.{MODEL_CARD}")
    temporary.write_bytes("\n".join(sections).encode("utf-8", "replace"))
    os.replace(temporary, folder / MODEL_CARD)


def _head(classifier: "TextClassifier") -> str:
    sizes = classifier.config["architecture"]
    data = _code(str(classifier.config["provenance"]["data"]))
    if sizes["cell"] == "average":
        network = "an average of embeddings, without recurrence"
    else:
        both = "a bidirectional" if sizes["bidirectional"] else "a one-direction"
        layers = "" if sizes["num_layers"] == 1 else f" of {sizes['num_layers']} layers"
        network = f"{both} {sizes['cell'].upper()}{layers} with {sizes['hidden_size']} hidden units"
    labels = ", ".join(_code(label) for label in classifier.labels[:10])
    more = f" and {len(classifier.labels) - 10} more" if len(classifier.labels) > 10 else ""
    any_or_one = "any" if classifier.task == "multi_label" else "one"
    return (
        f"# A text classifier trained on {data}\n\n"
        f"Gives a text {any_or_one} of {len(classifier.labels)} labels: {labels}{more}.\n\n"
        f"The network is {network}, {sizes['pooling']} pooling, "
        f"{classifier.num_parameters:,} parameters, {sizes['vocab_size']:,} tokens.\n"
    )


def _use(classifier: "TextClassifier") -> str:
    separator = classifier.config.get("separator")
    texts = '"a text", "another"'
    pair = ""
    if separator is not None:
        texts = f'"a text {separator} its partner", "another {separator} partner"'
        columns = classifier.config["provenance"].get("text_columns", [])
        named = f" Here they are, in this order: {', '.join(map(_code, columns))}."
        pair = (
            f"\nA text is several here, with `{separator}` between blanks where one ends and the "
            f"next begins.{named if columns else ''}\n"
        )
    return (
        "## How to load it\n\nIn this folder, or with its path instead of the dot:\n\n"
        "```python\n"
        "import nlp_rnn\n\n"
        'classifier = nlp_rnn.load(".")\n'
        f"print(classifier.predict([{texts}]))\n"
        f"print(classifier.predict_proba([{texts}]))\n"
        f"```\n{pair}\n"
        "It needs numpy, onnxruntime and tokenizers beside nlp_rnn, and no torch.\n"
    )


def _data(classifier: "TextClassifier", remarks: Sequence[str]) -> str:
    origin = classifier.config["provenance"]
    rows = ", ".join(f"{count:,} {split}" for split, count in origin["rows"].items())
    lines = [f"- {remark}" for remark in remarks]
    text = (
        f"## Data\n\n{_code(str(origin['data']))}: {rows} texts. "
        f"Digest of its content: `{origin['data_digest']}`.\n"
    )
    return text + ("\n" + "\n".join(lines) + "\n" if lines else "")


def _scores(metrics: Mapping[str, float], test: Predictions) -> str:
    rows = len(test.labels)
    right = test.labels == test.predictions
    low, high = wilson_interval(int(right.sum()), rows)
    text = (
        "## Scores\n\n"
        "| split | texts | accuracy | 95 % interval | macro-F1 |\n|---|---|---|---|---|\n"
        f"| test | {rows:,} | {right.mean():.2%} | {low:.1%} to {high:.1%} "
        f"| {metrics['test/macro_f1']:.4f} |\n\n"
        "The test split was read once, by this classifier; nothing was chosen on it. "
        f"On validation, where the weights were chosen: accuracy "
        f"{metrics['validation/accuracy']:.2%}, macro-F1 {metrics['validation/macro_f1']:.4f}. "
        "The interval is Wilson's and counts the texts only, not another training.\n"
    )
    if len(test.label_names) > MOST_LABELS:
        return text
    table = ["| label | test texts | found | 95 % interval | right when said |", "|---" * 5 + "|"]
    for index, name in enumerate(test.label_names):
        is_label, said = test.labels == index, test.predictions == index
        hits = int((is_label & said).sum())
        table.append(
            f"| {_code(name)} | {is_label.sum():,} | {_share(hits, int(is_label.sum()))} "
            f"| {_interval(hits, int(is_label.sum()))} | {_share(hits, int(said.sum()))} |"
        )
    return text + "\n" + "\n".join(table) + "\n"


def _limits(test: Predictions) -> list[str]:
    sure = float(test.probabilities.max(axis=1).mean())
    right = float((test.labels == test.predictions).mean())
    return [
        f"- Its probabilities: {sure:.1%} on average for the label it gives, "
        f"which is right {right:.1%} of the time.",
        "- Every text gets one of the labels, also one of another kind or language than the data; "
        "`predict(texts, threshold=…)` leaves out what is less probable.",
    ]


def _reading(
    classifier: "TextClassifier", folder: Path, lengths: "NDArray[np.int64]", limits: Sequence[str]
) -> str:
    longest = classifier.config["max_length"]
    lines = []
    if longest is not None:
        share = float((lengths >= longest).mean())
        lines.append(
            f"- Reads the {_kept(folder)} tokens of a text; {share:.1%} of the test texts were "
            "that long or longer. `windows=True` reads the rest too."
        )
    lines += limits
    if classifier.config["provenance"].get("class_weight") == "balanced":
        lines.append(
            "- Learnt with `trainer.class_weight=balanced`: its probabilities are those of data in "
            "which all labels are equally frequent, so those of rare labels are too high."
        )
    lines.append("- The scores hold for texts like the test texts, labelled as they were.")
    if classifier.config["architecture"]["bidirectional"]:
        lines.append("- Reads from both ends, so it answers when a text has ended: no streaming.")
    return "## Limits\n\n" + "\n".join(lines) + "\n"


def _kept(folder: Path) -> str:
    """Which tokens of a text that is too long are read, as its tokenizer says."""
    cut = json.loads((folder / TOKENIZER).read_text(encoding="utf-8"))["truncation"]
    longest, tail = cut["max_length"], cut["stride"]
    if tail:
        return f"first {longest - tail:,} and the last {tail:,}"
    return f"{'first' if cut['direction'] == 'Right' else 'last'} {longest:,}"


def _speed(folder: Path, metrics: Mapping[str, float], processor: str) -> str:
    def size(name: str) -> str:
        return f"{(folder / name).stat().st_size / 1e6:.1f} MB"

    text = (
        "## Speed and size\n\n"
        f"One test text, tokenization included, on one thread of {processor}: "
        f"{metrics['latency/onnx_batch1_p50_ms']:.2f} ms (median), "
        f"{metrics['latency/onnx_batch1_p95_ms']:.2f} ms (95 % are faster). "
        "`nlp-rnn bench .` measures yours.\n\n"
        f"`{GRAPH}` {size(GRAPH)}, `{TOKENIZER}` {size(TOKENIZER)}.\n"
    )
    if "int8/agreement" in metrics:
        text += (
            f"\n`{INT8_GRAPH}` {size(INT8_GRAPH)} holds the same network with its matrices in 8 "
            f'bits (`nlp_rnn.load(".", runtime="int8")`): the same label for '
            f"{metrics['int8/agreement']:.2%} of {metrics['int8/texts']:,.0f} test texts.\n"
        )
    return text


def _origin(classifier: "TextClassifier") -> str:
    origin, versions = classifier.config["provenance"], classifier.config["versions"]
    used = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    return (
        f"## Where it comes from\n\nMLflow run `{origin['mlflow_run_id']}`, seed "
        f"{origin['seed']}, signature `{origin['signature']}`, best epoch "
        f"{origin['best_epoch']}. Written with {used}.\n"
    )


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def _interval(part: int, whole: int) -> str:
    if not whole:
        return "–"
    low, high = wilson_interval(part, whole)
    return f"{low:.1%} to {high:.1%}"


def _code(text: str) -> str:
    """A name as code that no character of it can leave, in a table either."""
    plain = " ".join(text.split()).replace("`", "'").replace("|", "¦")
    short = plain if len(plain) <= 40 else plain[:39] + "…"
    return f"`{short or ' '}`"
