"""Classifier behind a name of the service, with everything that `GET /model` says about it."""

from dataclasses import dataclass, replace
from typing import Any

from nlp_rnn.classifier.location import local_folder
from nlp_rnn.classifier.manifest import MODEL_CARD
from nlp_rnn.classifier.predictor import TextClassifier

__all__ = ["ClassifierSource", "ServedClassifier", "load_served"]

MAX_CARD_BYTES = 1 << 20


@dataclass(frozen=True)
class ClassifierSource:
    """Where a classifier is loaded from.

    Attributes
    ----------
    name : str
        Name of the classifier in requests.
    folder : str
        Classifier folder, or folder of an MLflow model, on this machine.
    version : str or None
        Version in the MLflow registry, if it comes from there.
    """

    name: str
    folder: str
    version: str | None = None


@dataclass(frozen=True)
class ServedClassifier:
    """A loaded classifier.

    Attributes
    ----------
    source : ClassifierSource
        Where it was loaded from.
    classifier : TextClassifier
        The classifier.
    card : str
        Its model card in Markdown; empty if it has none.
    """

    source: ClassifierSource
    classifier: TextClassifier
    card: str

    @property
    def name(self) -> str:
        """Name of the classifier in requests."""
        return self.source.name

    def description(self) -> dict[str, Any]:
        """Return what `GET /model` responds; it holds no path of this machine."""
        classifier = self.classifier
        config = classifier.config
        return {
            "name": self.name,
            "version": self.source.version,
            "task": classifier.task,
            "labels": classifier.labels,
            "thresholds": None if classifier.thresholds is None else classifier.thresholds.tolist(),
            "checksum": config["checksum"],
            "format_version": config["format_version"],
            "runtime": classifier.runtime,
            "num_parameters": classifier.num_parameters,
            "architecture": config["architecture"],
            "max_length": config["max_length"],
            "separator": config.get("separator"),
            "streams": classifier.can_stream,
            "model_card": self.card,
        }


def load_served(source: ClassifierSource, runtime: str) -> ServedClassifier:
    """Load a classifier, and predict one text so that everything it needs is in memory.

    Raises
    ------
    ClassifierError
        As in `TextClassifier.load`.
    """
    # one thread, because the processes of the service share the cores
    with local_folder(source.folder) as folder:
        source = replace(source, folder=str(folder))
        classifier = TextClassifier.load(folder, threads=1, runtime=runtime)
    classifier.predict_proba(["warm up"])
    card = folder / MODEL_CARD
    text = ""
    if card.is_file() and card.stat().st_size <= MAX_CARD_BYTES:
        text = card.read_text(encoding="utf-8", errors="replace")
    return ServedClassifier(source, classifier, text)
