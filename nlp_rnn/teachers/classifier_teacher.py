"""Teacher that consists of one or several classifiers, whose probabilities are averaged.

Labels are matched by name, so that the order of the classes does not matter. A text that a
classifier was trained on is predicted by the other classifiers, or not at all.
"""

import hashlib
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.location import (
    CLASSIFIER,
    find_classifier,
    full_run_id,
    is_run_id,
    is_uri,
    local_folder,
)
from nlp_rnn.classifier.manifest import CONFIG
from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.classifier.training_texts import read_training_texts
from nlp_rnn.errors import ConfigError, DataError
from nlp_rnn.sources.arrow_cache import texts_of
from nlp_rnn.teachers.label_matching import LabelMatching
from nlp_rnn.teachers.teacher_predictions import (
    FloatArray,
    TeacherDescription,
    TeacherPredictions,
)
from nlp_rnn.tracking.environment import default_tracking_uri
from nlp_rnn.tracking.tags import KIND, run_kind

if TYPE_CHECKING:
    from nlp_rnn.data.corpus import Corpus

__all__ = ["ClassifierTeacher"]

SPLITS = ("train", "validation", "test")
TIMED_TEXTS = 50


class ClassifierTeacher:
    """Classifiers that were trained earlier.

    Parameters
    ----------
    paths : sequence of str
        Folders of classifiers, runs or sweeps; ids of runs, `models:/NAME/VERSION` or `sweep:ID`
        for the classifiers of all its runs.
    uri : str
        Tracking URI of the MLflow store with the runs.
    threads : int, optional
        As in `TextClassifier.load`.
    """

    def __init__(self, paths: Sequence[str], uri: str, threads: int | None = None) -> None:
        self._uri, self._threads = uri, threads
        self.locations = [one for path in paths for one in _locations(path, uri)]

    def _store(self) -> AbstractContextManager[None]:
        return (
            default_tracking_uri(self._uri) if any(map(is_uri, self.locations)) else nullcontext()
        )

    def digest(self) -> str:
        """Return a hash of all classifiers."""
        hashes = []
        with self._store():
            for location in self.locations:
                with local_folder(location) as folder:
                    hashes.append(_digest(folder))
        return hashlib.sha256(" ".join(hashes).encode()).hexdigest()[:16]

    def predict(self, corpus: "Corpus", unlabelled: Sequence[str]) -> TeacherPredictions:
        """Predict all texts with each classifier, and average the probabilities.

        Raises
        ------
        DataError
            A classifier has other labels or another task than the corpus.
        """
        texts = {split: list(texts_of(getattr(corpus, split))) for split in SPLITS}
        texts["unlabelled"] = list(unlabelled)
        averages = {part: _Average(len(these), len(corpus.labels)) for part, these in texts.items()}
        notes: list[str] = []
        hashes, parameters, size, latency = [], 0, 0, 0.0
        with self._store():
            for location in self.locations:
                with local_folder(location) as folder:
                    classifier = TextClassifier.load(folder, self._threads)
                    columns = _columns(classifier, corpus, location, notes)
                    seen = read_training_texts(folder, classifier.config)
                    for part, these in texts.items():
                        table = _aligned(classifier, these, columns, len(corpus.labels))
                        if seen is not None and part != "unlabelled":
                            unseen = seen.unseen(corpus.hashes[part])
                        else:
                            unseen = np.ones(len(these), bool)
                        averages[part].add(table, unseen)
                    latency += _latency_ms(classifier, texts["validation"])
                    hashes.append(_digest(folder))
                    parameters += classifier.num_parameters
                    size += sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
        for split in SPLITS:
            if missing := int((averages[split].counts == 0).sum()):
                notes.append(
                    f"teacher: no prediction for {missing:,} of {len(texts[split]):,} {split} "
                    "texts, which it was trained on"
                )
        digest = hashlib.sha256(" ".join(hashes).encode()).hexdigest()[:16]
        number = len(self.locations)
        name = Path(self.locations[0]).name if number == 1 else f"{number} classifiers"
        return TeacherPredictions(
            **{part: average.mean() for part, average in averages.items()},
            teacher=TeacherDescription(
                "classifier", name, digest, parameters, size, latency, None, notes=tuple(notes)
            ),
        )


class _Average:
    """Mean of the predictions of several classifiers, of those that have not seen a text."""

    def __init__(self, texts: int, labels: int) -> None:
        self.sums = np.zeros((texts, labels))
        self.counts = np.zeros(texts, np.int64)

    def add(self, table: FloatArray, unseen: NDArray[np.bool_]) -> None:
        self.sums[unseen] += table[unseen]
        self.counts += unseen

    def mean(self) -> FloatArray:
        """Return the means, float32 (n, C); nan for a text without any prediction."""
        with np.errstate(invalid="ignore"):
            means: NDArray[np.float64] = self.sums / self.counts[:, None]
        return means.astype(np.float32)


def _columns(
    classifier: TextClassifier, corpus: "Corpus", location: str, notes: list[str]
) -> list[tuple[int, int]]:
    """Return pairs of a column of the classifier and the label of the corpus that it predicts."""
    if classifier.task != corpus.task:
        raise DataError(
            f"The classifier {location} is {classifier.task.replace('_', '-')}, but the data is "
            f"{corpus.task.replace('_', '-')}.\nSet teacher.path to a classifier of the same task."
        )
    matching = LabelMatching(corpus.labels, location)
    pairs = [(column, matching.find(name)) for column, name in enumerate(classifier.labels)]
    known = [(column, label) for column, label in pairs if label is not None]
    if len(known) < 2:
        raise DataError(
            f"The classifier {location} has other labels ({', '.join(classifier.labels[:10])}) "
            f"than the data ({', '.join(corpus.labels[:10])}).\nSet teacher.path to a classifier "
            "with the labels of the data, or set data.label_names."
        )
    for missing, whose in (
        (len(corpus.labels) - len(known), "labels of the data that it does not have"),
        (len(pairs) - len(known), "of its labels that the data does not have, left out"),
    ):
        if missing:
            notes.append(f"teacher: {missing:,} {whose} ({Path(location).name})")
    return known


def _aligned(
    classifier: TextClassifier, texts: list[str], columns: list[tuple[int, int]], num_labels: int
) -> FloatArray:
    """Return the probabilities with the labels of the corpus as columns, float32 (n, C)."""
    table = np.zeros((len(texts), num_labels), np.float32)
    if not texts:
        return table
    predicted = classifier.predict_proba(texts)
    for column, label in columns:
        table[:, label] = predicted[:, column]
    if classifier.task == "single_label":
        table /= np.maximum(table.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    return table


def _latency_ms(classifier: TextClassifier, texts: Sequence[str]) -> float:
    """Return the median time to predict one text, in milliseconds."""
    times = []
    for text in list(texts[:TIMED_TEXTS]) * 2:
        started = time.perf_counter()
        classifier.predict_proba([text])
        times.append(1000 * (time.perf_counter() - started))
    return float(np.median(times[len(times) // 2 :]))


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / CONFIG).read_bytes()).hexdigest()


def _locations(path: str, uri: str) -> list[str]:
    """Return the classifiers at a path: of a sweep, those of all its finished runs."""
    if path.startswith("sweep:"):
        with default_tracking_uri(uri):
            sweep = full_run_id(path.removeprefix("sweep:"))
        return _runs_of_sweep(sweep, uri)
    if is_run_id(path):
        with default_tracking_uri(uri):
            return [find_classifier(path)]
    folder = Path(path).expanduser()
    if (folder / CLASSIFIER).is_dir():
        return [str(folder / CLASSIFIER)]
    jobs = sorted(
        (job for job in folder.glob(f"*/{CLASSIFIER}") if job.parent.name.isdigit()),
        key=lambda job: int(job.parent.name),
    )
    return [str(job) for job in jobs] or [path]


def _runs_of_sweep(parent: str, uri: str) -> list[str]:
    from mlflow import MlflowClient

    from nlp_rnn.tracking.store import tracking_errors

    with tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_run(parent).info.experiment_id
        runs: list[Any] = client.search_runs(
            [experiment],
            f"tags.`mlflow.parentRunId` = '{parent}' AND attributes.status = 'FINISHED'",
        )
    locations = [
        f"runs:/{run.info.run_id}/classifier"
        for run in sorted(runs, key=lambda run: str(run.info.run_id))
        if run_kind(run.data.tags) != KIND
    ]
    if not locations:
        raise ConfigError(
            f"The sweep {parent} has no finished runs.\nSet teacher.path to the id of a sweep, "
            "which nlp-rnn sweep status shows, or to classifier folders."
        )
    return locations
