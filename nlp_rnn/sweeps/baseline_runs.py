"""MLflow runs of the baselines that a comparison needs: find existing ones, train missing ones.

There are four: `majority` (the most frequent label), `linear` (a linear SVM on TF-IDF features),
`ngrams` (n-gram models) and `average` (the compared network without its recurrence).
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.baselines.fitting import BASELINES, Baseline, fit_linear, fit_majority
from nlp_rnn.config.data import DataConfig
from nlp_rnn.config.model import AverageConfig, Ensemble, NetworkConfig
from nlp_rnn.config.ngrams_checks import with_ngrams
from nlp_rnn.config.pretraining import PretrainingConfig
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.signature import flatten, signature
from nlp_rnn.config.teacher_checks import labelled_only
from nlp_rnn.config.training import OptimizerConfig
from nlp_rnn.data.labels import labels_of
from nlp_rnn.layers.cells import AVERAGE
from nlp_rnn.layers.poolings import POOLINGS
from nlp_rnn.runs.resolve import with_absolute_paths
from nlp_rnn.tracking.tags import CONFIGURATION_TAG, KIND

if TYPE_CHECKING:
    from nlp_rnn.data.corpus import Corpus

__all__ = [
    "ALL_BASELINES",
    "BaselineRun",
    "ensure_baselines",
    "find_baseline",
    "read_corpus",
    "train_baseline",
]

CONFIGURED: dict[str, Callable[[RunConfig], RunConfig]] = {
    "ngrams": with_ngrams,
    "average": lambda config: _without_recurrence(config),
}
"""Baselines that are normal runs, each with its configuration."""

ALL_BASELINES = (*BASELINES, *CONFIGURED)

# Part of the signature of `majority` and `linear`. Increase it when their code changes, so that
# runs of older versions are not reused.
SIGNATURE_VERSION = 2
# MLflow tag of a child run; its value is the run id of the parent.
PARENT_TAG = "mlflow.parentRunId"


@dataclass(frozen=True)
class BaselineRun:
    """A finished MLflow run of a baseline.

    Attributes
    ----------
    name : str
        One of `ALL_BASELINES`.
    run_id : str
        MLflow run id.
    metrics : dict of str to float
        Metrics that the run has logged, by name.
    is_new : bool
        True if the baseline was trained now, False if an existing run was found.
    """

    name: str
    run_id: str
    metrics: dict[str, float]
    is_new: bool


def ensure_baselines(
    config: RunConfig,
    uri: str,
    experiment_id: str,
    parent: str | None = None,
    *,
    names: Iterable[str] = ALL_BASELINES,
    corpus: "Corpus | None" = None,
    digest: str | None = None,
    folder: Path | None = None,
) -> dict[str, BaselineRun]:
    """Return a finished run of each baseline on the data of `config`; train the missing ones.

    `majority`, `linear` and `ngrams` depend only on the data, so they are trained once for each
    data set, `ngrams` also once for each `trainer.class_weight`. `average` is the
    network of `config` without its recurrence, with the same tokenizer, optimizer and trainer. It
    is trained once for each such configuration, with the seed of `config`.

    Parameters
    ----------
    config : RunConfig
        Configuration of one of the compared runs; it must have passed the checks.
    uri : str
        Tracking URI of an MLflow store that `prepare_store` has prepared.
    experiment_id : str
        MLflow experiment in which existing baselines are looked up and new ones are logged.
    parent : str, optional
        MLflow run id of a sweep, the parent of new baselines.
    names : iterable of str
        The baselines to return, from `ALL_BASELINES`.
    corpus : Corpus, optional
        The data of `config`, if it has been read already.
    digest : str, optional
        Digest of the corpus, if it is known. The data is then read only to train a baseline.
    folder : Path, optional
        Parent folder of the run folders of new baselines. Default: `outputs/baselines/DATA-DIGEST`,
        with the name and the digest of the data.

    Returns
    -------
    dict of str to BaselineRun
        The runs by the name of the baseline.

    Raises
    ------
    NlpRnnError
        The data or the MLflow store cannot be read, or the training of `average` fails.
    """
    config = with_absolute_paths(config)  # as a run's signature has them
    if digest is None:
        corpus = corpus or read_corpus(config.data)
        digest = corpus.digest
    baselines: dict[str, BaselineRun] = {}
    for name in names:
        configured = CONFIGURED[name](config) if name in CONFIGURED else None
        wanted = signature(configured) if configured else baseline_signature(name, digest)
        baseline = find_baseline(uri, experiment_id, name, wanted, digest)
        if baseline is None:
            corpus = corpus or read_corpus(config.data)
            parent_folder = folder or Path("outputs/baselines") / f"{corpus.name}-{digest[:8]}"
            target = (parent_folder / name).absolute()
            if configured:
                baseline = _train(name, configured, uri, experiment_id, parent, target)
            else:
                baseline = train_baseline(
                    name, config.data, corpus, target, uri, experiment_id, parent
                )
        baselines[name] = baseline
    return baselines


def baseline_signature(name: str, digest: str) -> str:
    """Return the signature of `majority` or `linear`: eight hexadecimal digits of a hash.

    It depends on the name, the digest of the data and `SIGNATURE_VERSION`.
    """
    return hashlib.sha256(json.dumps([SIGNATURE_VERSION, name, digest]).encode()).hexdigest()[:8]


def find_baseline(
    uri: str, experiment_id: str, name: str, signature: str, digest: str
) -> BaselineRun | None:
    """Return the newest finished run of a baseline with a signature; None if there is none.

    The run must also have the digest of the data: signatures of configurations do not have it.
    """
    from nlp_rnn.tracking.environment import quiet_mlflow
    from nlp_rnn.tracking.store import tracking_errors

    quiet_mlflow()
    from mlflow import MlflowClient

    with tracking_errors(uri):
        runs = MlflowClient(tracking_uri=uri).search_runs(
            [experiment_id],
            f"tags.signature = '{signature}' and tags.cell = '{name}' "
            "and attributes.status = 'FINISHED'",
            order_by=["attributes.start_time DESC"],
        )
    for run in runs:
        if digest[:36] in {logged.dataset.digest for logged in run.inputs.dataset_inputs}:
            return BaselineRun(name, run.info.run_id, dict(run.data.metrics), is_new=False)
    return None


def train_baseline(
    name: str,
    data: DataConfig,
    corpus: "Corpus",
    folder: Path,
    uri: str,
    experiment_id: str,
    parent: str | None = None,
) -> BaselineRun:
    """Fit `majority` or `linear`, evaluate it on validation and test, and log it as an MLflow run.

    The files of a run folder, except the classifier, are written to `folder`. The fitted model is
    not saved, because scikit-learn has no format without pickle, and fitting takes seconds.
    """
    from nlp_rnn.classifier.latency import prediction_latency
    from nlp_rnn.runs.evaluation import LATENCY_TEXTS, evaluate_splits
    from nlp_rnn.runs.run_logging import log_data
    from nlp_rnn.tracking.run_lifecycle import tracked_run

    baseline = _fit(name, corpus)
    parameters = {f"data.{key}": value for key, value in flatten(data).items()}
    parameters |= {"model.name": name, "model.cell": name}
    parameters |= {f"model.{key}": value for key, value in baseline.settings.items()}
    signature = baseline_signature(name, corpus.digest)
    tags = {
        "kind": KIND,
        CONFIGURATION_TAG: f"{name} {corpus.name} {signature}",
        "signature": signature,
        "cell": name,
        "data": corpus.name,
        "run_folder": str(folder),
    }
    if corpus.task == "multi_label":
        tags["task"] = corpus.task
    with tracked_run(
        uri,
        experiment_id,
        name=f"{name} {corpus.name}",
        parameters=parameters,
        tags=tags,
        folder=folder,
        parent_run_id=parent,
        system_metrics=False,
    ) as run:
        folder.mkdir(parents=True, exist_ok=True)
        log_data(data, corpus, run)
        metrics, _ = evaluate_splits(baseline, corpus, folder, run)
        metrics |= {
            "train/seconds": baseline.seconds,
            "parameters/head": float(baseline.num_parameters),
            "parameters/total": float(baseline.num_parameters),
        }
        metrics |= prediction_latency(baseline, list(corpus.test[:LATENCY_TEXTS]["text"]))
        result = {
            "run_id": run.run_id,
            "experiment_id": experiment_id,
            "tracking_uri": uri,
            "classifier": None,
            "metrics": metrics,
        }
        path = folder / "result.json"
        path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        run.log_text(path.read_text(encoding="utf-8"), path.name)
        run.log_final(metrics)
        run.set_note(_note(baseline, corpus, metrics))
    return BaselineRun(name, run.run_id, metrics, is_new=True)


def read_corpus(data: DataConfig) -> "Corpus":
    """Read the data on which baselines are fitted; raises `DataError`."""
    from nlp_rnn.data.corpus import load_corpus

    return load_corpus(data)


def _fit(name: str, corpus: "Corpus") -> Baseline:
    """Fit `majority`, or `linear` with its probabilities calibrated on validation."""

    def texts_and_labels(split: str) -> tuple[list[str], Any]:
        dataset = getattr(corpus, split)
        return list(dataset["text"]), labels_of(dataset)

    texts, labels = texts_and_labels("train")
    if name == "majority":
        return fit_majority(texts, labels, len(corpus.labels))
    return fit_linear(texts, labels, len(corpus.labels), texts_and_labels("validation"))


def _without_recurrence(config: RunConfig) -> RunConfig:
    """Return the configuration of `average`: that of a run, with a network without recurrence."""
    network = config.model
    if not isinstance(network, NetworkConfig):
        network = AverageConfig(name="average", cell=AVERAGE)
    shared = {f.name: getattr(network, f.name) for f in fields(NetworkConfig)}
    # pretrained weights are those of a recurrent encoder, which this network lacks
    shared |= {"name": "average", "cell": AVERAGE, "pretrained": None, "ensemble": Ensemble.off}
    if POOLINGS[network.pooling].from_final_state:
        shared["pooling"] = "mean"  # the last embedding alone would be no fair baseline
    return replace(
        labelled_only(config),
        model=AverageConfig(**shared),
        optimizer=replace(config.optimizer, encoder_rate=OptimizerConfig.encoder_rate),
        trainer=replace(config.trainer, frozen_epochs=0),
        pretraining=PretrainingConfig(),
    )


def _train(
    name: str, config: RunConfig, uri: str, experiment_id: str, parent: str | None, folder: Path
) -> BaselineRun:
    """Train a baseline as a normal run, then tag it as a baseline and a child of `parent`."""
    from mlflow import MlflowClient

    from nlp_rnn.pipeline import train
    from nlp_rnn.tracking.store import tracking_errors

    with tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment(experiment_id).name
    tracking = replace(config.tracking, uri=uri, experiment=experiment, run_name=None)
    result = train(replace(config, tracking=tracking), folder, [f"model={name}"])
    with tracking_errors(uri):
        client.set_tag(result.run_id, "kind", KIND)
        if parent is not None:
            client.set_tag(result.run_id, PARENT_TAG, parent)
    return BaselineRun(name, result.run_id, result.metrics, is_new=True)


def _note(baseline: Baseline, corpus: "Corpus", metrics: dict[str, float]) -> str:
    """Return the note of a baseline: the Markdown description that MLflow shows for its run."""
    multi_label = corpus.task == "multi_label"
    model = "the most frequent label of training for every text"
    if baseline.name == "linear":
        unit = "words and symbols" if baseline.settings["grams_of"] == "word" else "characters"
        svm = "a linear SVM for each label" if multi_label else "a linear SVM"
        model = f"TF-IDF of 1–2-grams of {unit}, and {svm}, not tuned"
    score = (
        f"micro-F1 **{metrics['test/micro_f1']:.3f}**"
        if multi_label
        else f"accuracy **{metrics['test/accuracy']:.1%}**"
    )
    return (
        f"Baseline **{baseline.name}** on **{corpus.name}**: {model}.\n\n"
        f"On {len(corpus.test):,} test texts: {score}, macro-F1 {metrics['test/macro_f1']:.3f}. "
        f"Data digest `{corpus.digest}`. Nothing was chosen on the test split; the probabilities "
        "of the SVM were calibrated on validation."
    )
