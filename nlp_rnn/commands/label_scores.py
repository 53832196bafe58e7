"""A saved classifier and texts with any number of labels become its scores on them."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import ClassifierError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.commands.argument_parser import Words
    from nlp_rnn.data.corpus import Corpus

__all__ = ["evaluate_labels"]


def evaluate_labels(
    given: "Words",
    classifier: "TextClassifier",
    corpus: "Corpus",
    split: str,
    texts: list[str],
    labels: "NDArray[np.bool_]",
    rows: "NDArray[np.int64]",
) -> int:
    """As `nlp-rnn evaluate`, where a text may have several labels, bool (n, C) of the corpus.

    Raises:
        ClassifierError: the data has a label that the classifier does not.
    """
    from nlp_rnn.scoring.label_artifacts import write_label_predictions
    from nlp_rnn.scoring.predictions import classification_report_text
    from nlp_rnn.scoring.several import score_several

    truth = _as_the_classifiers(labels, corpus.labels, classifier.labels)
    probabilities = classifier.predict_proba(texts, windows="--windows" in given.flags)
    thresholds = classifier.thresholds
    assert thresholds is not None
    predictions = probabilities >= thresholds
    scores: dict[str, Any] = {
        "classifier": given.arguments[0],
        "checksum": classifier.config["checksum"],
        "data": corpus.name,
        "data_digest": corpus.digest,
        "split": split,
        "texts": len(texts),
        **score_several(truth, probabilities, thresholds),
    }
    if path := given.options.get("--predictions"):
        write_label_predictions(
            Path(path),
            rows=rows,
            labels=truth,
            predictions=predictions,
            probabilities=probabilities,
            lengths=classifier.token_counts(texts),
            label_names=classifier.labels,
        )
    as_json = json.dumps(scores, indent=2) + "\n"
    if path := given.options.get("--output"):
        Path(path).write_text(as_json, encoding="utf-8")
    if "--json" in given.flags:
        print(as_json, end="")
        return 0
    print(
        f"{corpus.name}, {split}: {len(texts):,} texts\n"
        f"micro-F1 {scores['micro_f1']:.4f}  macro-F1 {scores['macro_f1']:.4f}  all labels right "
        f"{scores['subset_accuracy']:.4f}  loss {scores['loss']:.4f}\n"
    )
    print(classification_report_text(truth, predictions, classifier.labels), end="")
    return 0


def _as_the_classifiers(
    labels: "NDArray[np.bool_]", names: tuple[str, ...], known: list[str]
) -> "NDArray[np.bool_]":
    """The labels of the data in the order of the classifier's."""
    import numpy as np

    found = np.flatnonzero(labels.any(axis=0))
    strange = [names[index] for index in found if names[index] not in known]
    if strange:
        raise ClassifierError(
            f"The data has labels that the classifier does not know: {', '.join(strange[:10])}.\n"
            f"It knows: {', '.join(known[:10])}{', …' if len(known) > 10 else ''}."
        )
    truth = np.zeros((len(labels), len(known)), bool)
    for index, name in enumerate(names):
        if name in known:
            truth[:, known.index(name)] = labels[:, index]
    return truth
