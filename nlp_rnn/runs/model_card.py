"""The model card: the `README.md` of a classifier folder, with scores, limits and origin."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.classifier.manifest import GRAPH, INT8_GRAPH, MODEL_CARD, NGRAM_TABLE, TOKENIZER
from nlp_rnn.classifier.risk_coverage import Table
from nlp_rnn.runs.card_scores import confidence_section, inline_code, scores_section
from nlp_rnn.scoring.predictions import Predictions

if TYPE_CHECKING:
    from nlp_rnn.classifier.predictor import TextClassifier

__all__ = ["write_card"]


def write_card(
    classifier: "TextClassifier",
    folder: Path,
    test: Predictions,
    metrics: Mapping[str, float],
    remarks: Sequence[str],
    processor: str,
    table: Table,
) -> None:
    """Write the model card into a classifier folder, whole or not at all.

    Only people read the card: a changed or removed one has no effect on the classifier.

    Parameters
    ----------
    classifier : TextClassifier
        The classifier in `folder`.
    folder : Path
        The classifier folder.
    test : Predictions
        Its predictions for the test split.
    metrics : mapping of str to float
        Metrics as in `result.json`.
    remarks : sequence of str
        Sentences on what was done to the data.
    processor : str
        Processor that the latency was measured on.
    table : dict
        Risk–coverage table of the validation texts.
    """
    sections = [
        _title(classifier),
        _usage(classifier),
        _data(classifier, remarks),
        *_teacher(classifier, metrics),
        scores_section(metrics, test),
        confidence_section(table, test.multi_label),
        _limits(classifier, folder, test),
        _speed(folder, metrics, processor),
        _origin(classifier),
    ]
    temporary = folder.with_name(f".{folder.name}.{MODEL_CARD}")
    temporary.write_bytes("\n".join(sections).encode("utf-8", "replace"))
    os.replace(temporary, folder / MODEL_CARD)


def _title(classifier: "TextClassifier") -> str:
    sizes = classifier.config["architecture"]
    data = inline_code(str(classifier.config["provenance"]["data"]))
    labels = ", ".join(inline_code(label) for label in classifier.labels[:10])
    more = f" and {len(classifier.labels) - 10} more" if len(classifier.labels) > 10 else ""
    any_or_one = "any" if classifier.task == "multi_label" else "one"
    title = (
        f"# A text classifier trained on {data}\n\n"
        f"Predicts {any_or_one} of {len(classifier.labels)} labels for a text: {labels}{more}.\n\n"
    )
    if sizes is None:
        return (
            f"{title}It consists of linear models on word and character n-grams, "
            f"{classifier.num_parameters:,} parameters.\n"
        )
    if sizes["cell"] == "average":
        network = "an average of embeddings, without recurrence"
    else:
        direction = "a bidirectional" if sizes["bidirectional"] else "a one-directional"
        layers = "" if sizes["num_layers"] == 1 else f" of {sizes['num_layers']} layers"
        network = (
            f"{direction} {sizes['cell'].upper()}{layers} with {sizes['hidden_size']} hidden units"
        )
    ensemble = ""
    if "network_weight" in classifier.config:
        ensemble = "Together with n-gram models, which are linear, it forms an ensemble. "
    return (
        f"{title}The network is {network}, `{sizes['pooling']}` pooling and a vocabulary of "
        f"{sizes['vocab_size']:,} tokens. {ensemble}The classifier has "
        f"{classifier.num_parameters:,} parameters.\n"
    )


def _usage(classifier: "TextClassifier") -> str:
    separator = classifier.config.get("separator")
    texts = '"a text", "another"'
    pair = ""
    if separator is not None:
        texts = f'"a text {separator} its partner", "another {separator} partner"'
        columns = classifier.config["provenance"].get("text_columns", [])
        named = f" The parts are, in this order: {', '.join(map(inline_code, columns))}."
        pair = (
            f"\nA text consists of several parts, joined by `{separator}` with a blank on both "
            f"sides.{named if columns else ''} `classifier.join_texts(…)` joins them so that a "
            f"`{separator}` within a part remains text.\n"
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
        f"## Data\n\n{inline_code(str(origin['data']))}: {rows} texts. "
        f"Digest of its content: `{origin['data_digest']}`.\n"
    )
    return text + ("\n" + "\n".join(lines) + "\n" if lines else "")


def _teacher(classifier: "TextClassifier", metrics: Mapping[str, float]) -> list[str]:
    """Return the section on the teacher, if the classifier was trained with one."""
    teacher = classifier.config["provenance"].get("teacher")
    if teacher is None:
        return []
    facts = [f"digest `{teacher['digest']}`"]
    if teacher["parameters"]:
        facts.append(f"{teacher['parameters']:,} parameters")
    if teacher["size_bytes"]:
        facts.append(f"{teacher['size_bytes'] / 1e6:.1f} MB")
    if teacher["latency_ms"]:
        facts.append(f"{teacher['latency_ms']:.2f} ms for one text on one thread")
    facts.append(f"licence: {teacher['licence'] or 'not stated'}")
    name = "micro_f1" if classifier.task == "multi_label" else "accuracy"
    score = metrics.get(f"test/teacher_{name}")
    measured = (
        f"On the test split its {name.replace('_f1', '-F1')} is {score:.2%}."
        if score is not None
        else "Nothing measures its accuracy on the test split."
    )
    if teacher["gives_all_labels"]:
        measured = (
            "All labels of the data are its predictions, those of the test split too: nothing "
            "measures the true accuracy of the classifier, and the scores below say how well it "
            "reproduces the teacher."
        )
    return [
        "## Teacher\n\n"
        f"The classifier learned from the predictions of {inline_code(str(teacher['name']))} "
        f"(kind: {teacher['kind']}; {'; '.join(facts)}), for "
        f"{metrics.get('teacher/unlabelled_texts', 0):,.0f} unlabelled texts and for training "
        f"texts. {measured} This folder holds nothing of the teacher.\n"
    ]


def _limits(classifier: "TextClassifier", folder: Path, test: Predictions) -> str:
    longest = classifier.config["max_length"]
    lines = []
    if longest is not None:
        share = float((test.lengths >= longest).mean())
        lines.append(
            f"- The network reads at most the {_tokens_read(folder)} tokens of a text; {share:.1%} "
            "of the test texts were that long or longer. `windows=True` reads the rest too."
        )
    if test.multi_label:
        lines += [
            f"- It predicts {test.predictions.sum(axis=1).mean():.2f} labels on average for a test "
            f"text, and none for {(~test.predictions.any(axis=1)).mean():.1%} of them.",
            "- A text has the labels whose probability reaches their threshold (`thresholds` in "
            "config.json), chosen on validation for the best F1 of each label; "
            "`predict(texts, threshold=…)` sets one threshold for all labels.",
        ]
    else:
        lines += [
            f"- Calibration: the mean probability of the predicted label is "
            f"{test.probabilities.max(axis=1).mean():.1%}, and {test.correct.mean():.1%} of the "
            "predictions are correct.",
            "- Every text gets one of the labels, also a text of another kind or language than the "
            "data.",
        ]
    if classifier.config["provenance"].get("class_weight") == "balanced":
        lines.append(
            "- It was trained with `trainer.class_weight=balanced`: its probabilities are those of "
            "data with equally frequent labels, so those of rare labels are too high."
        )
    lines.append("- The scores hold for texts like the test texts, labelled in the same way.")
    if classifier.config["architecture"] is None:
        lines.append("- N-gram models alone do not support streaming.")
    elif not classifier.can_stream:
        lines.append("- It is bidirectional and needs the whole text: no streaming.")
    return "## Limits\n\n" + "\n".join(lines) + "\n"


def _tokens_read(folder: Path) -> str:
    """Return which tokens of a text that is too long the tokenizer keeps."""
    truncation = json.loads((folder / TOKENIZER).read_text(encoding="utf-8"))["truncation"]
    longest, tail = truncation["max_length"], truncation["stride"]
    if tail:
        return f"first {longest - tail:,} and the last {tail:,}"
    return f"{'first' if truncation['direction'] == 'Right' else 'last'} {longest:,}"


def _speed(folder: Path, metrics: Mapping[str, float], processor: str) -> str:
    def size(name: str) -> str:
        size = (folder / name).stat().st_size
        return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"

    text = (
        "## Speed and size\n\n"
        f"One test text, tokenization included, on one thread of {processor}: "
        f"{metrics['latency/onnx_batch1_p50_ms']:.2f} ms (median), "
        f"{metrics['latency/onnx_batch1_p95_ms']:.2f} ms (95th percentile). "
        "Run `nlp-rnn bench .` to measure it on your machine.\n\n"
    )
    files = [name for name in (GRAPH, TOKENIZER, NGRAM_TABLE) if (folder / name).exists()]
    text += ", ".join(f"`{name}` {size(name)}" for name in files) + ".\n"
    if "int8/agreement" in metrics:
        text += (
            f"\n`{INT8_GRAPH}` {size(INT8_GRAPH)} holds the same network with 8-bit matrices "
            f'(`nlp_rnn.load(".", runtime="int8")`). It predicts the same labels for '
            f"{metrics['int8/agreement']:.2%} of {metrics['int8/texts']:,.0f} test texts.\n"
        )
    return text


def _origin(classifier: "TextClassifier") -> str:
    origin, versions = classifier.config["provenance"], classifier.config["versions"]
    epoch = f", weights of epoch {origin['best_epoch']}" if "best_epoch" in origin else ""
    vectors = origin.get("vectors")
    source = ""
    if vectors:
        source = (
            f" Word vectors: {vectors['kind']} {inline_code(str(vectors['source']))}, licence "
            f"{inline_code(str(vectors['licence']))}, digest `{vectors['digest'][:16]}`."
        )
    used = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    return (
        f"## Origin\n\nMLflow run `{origin['mlflow_run_id']}`, seed "
        f"{origin['seed']}, signature `{origin['signature']}`{epoch}. Written with {used}."
        f"{source}\n"
    )
