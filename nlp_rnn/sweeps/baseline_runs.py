"""Runs of the baselines that a comparison needs, trained once for each corpus."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.baselines.fitting import BASELINES, Baseline, fit_linear, fit_majority
from nlp_rnn.config.data import DataConfig, TableConfig
from nlp_rnn.config.model import AverageConfig, ModelConfig
from nlp_rnn.config.pretraining import PretrainingConfig
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.signature import flatten, signature
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

ALL_BASELINES = (*BASELINES, "average")

# Part of a baseline's signature: increase it when the same texts would give another baseline.
VERSION = 2
# Tag of MLflow, by which its UI shows a run below its parent.
PARENT = "mlflow.parentRunId"


@dataclass(frozen=True)
class BaselineRun:
    """A baseline and its finished run; `is_new` if it was trained now."""

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
    """Return a finished run of each baseline on the data of `config`; train what is missing.

    `majority` and `linear` depend only on the three splits. `average` is the network of `config`
    without its recurrence, with the same tokenizer, optimizer, trainer and seed.

    Parameters
    ----------
    config : RunConfig
        One of the compared runs, checked.
    uri : str
        A store that `prepare_store` has prepared.
    experiment_id : str
        The experiment that is searched for baselines and gets new ones.
    parent : str, optional
        Run id of the sweep that new baselines belong to.
    names : iterable of str
        Some of `ALL_BASELINES`.
    corpus : Corpus, optional
        The data of `config`, if it has been read.
    digest : str, optional
        Digest of the corpus, if it is known: the data is then read only for a new baseline.
    folder : Path, optional
        Gets a folder for each new baseline; default `outputs/baselines/DATA-DIGEST`.

    Raises
    ------
    NlpRnnError
        The data or the store cannot be read.
    """
    config = with_absolute_paths(config)  # as a run's signature has them
    if digest is None:
        corpus = corpus or read_corpus(config.data)
        digest = corpus.digest
    baselines: dict[str, BaselineRun] = {}
    for name in names:
        average = _without_recurrence(config) if name == "average" else None
        wanted = signature(average) if average else baseline_signature(name, digest)
        baseline = find_baseline(uri, experiment_id, name, wanted, digest)
        if baseline is None:
            corpus = corpus or read_corpus(config.data)
            parent_folder = folder or Path("outputs/baselines") / f"{corpus.name}-{digest[:8]}"
            target = (parent_folder / name).absolute()
            if average:
                baseline = _train_average(average, uri, experiment_id, parent, target)
            else:
                baseline = train_baseline(
                    name, config.data, corpus, target, uri, experiment_id, parent
                )
        baselines[name] = baseline
    return baselines


def baseline_signature(name: str, digest: str) -> str:
    """Return eight hexadecimal digits that identify a baseline and its data."""
    return hashlib.sha256(json.dumps([VERSION, name, digest]).encode()).hexdigest()[:8]


def find_baseline(
    uri: str, experiment_id: str, name: str, signature: str, digest: str
) -> BaselineRun | None:
    """Return the newest finished run of a baseline with this signature and data, or None."""
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
    """Fit `majority` or `linear`, evaluate it on validation and test, and log it as a run.

    `folder` gets the files of a run folder except the classifier. The fitted model is not saved:
    scikit-learn has no format without pickle, and fitting takes seconds.
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
    """Read the data that baselines are fitted to.

    Raises
    ------
    DataError
        It cannot be read.
    """
    from nlp_rnn.data.corpus import load_corpus

    return load_corpus(data)


def _fit(name: str, corpus: "Corpus") -> Baseline:
    def texts_and_labels(split: str) -> tuple[list[str], Any]:
        dataset = getattr(corpus, split)
        return list(dataset["text"]), labels_of(dataset)

    texts, labels = texts_and_labels("train")
    if name == "majority":
        return fit_majority(texts, labels, len(corpus.labels))
    return fit_linear(texts, labels, len(corpus.labels), texts_and_labels("validation"))


def _without_recurrence(config: RunConfig) -> RunConfig:
    """Return the configuration of the same run with a network without recurrence."""
    shared = {f.name: getattr(config.model, f.name) for f in fields(ModelConfig)}
    # a language model has no weights for it
    shared |= {"name": "average", "cell": AVERAGE, "pretrained": None}
    if POOLINGS[config.model.pooling].from_final_state:
        shared["pooling"] = "mean"  # the last embedding alone would be no fair baseline
    data = config.data
    return replace(
        config,
        model=AverageConfig(**shared),
        data=replace(data, unlabelled=None) if isinstance(data, TableConfig) else data,
        optimizer=replace(config.optimizer, encoder_rate=OptimizerConfig.encoder_rate),
        trainer=replace(config.trainer, frozen_epochs=0),
        pretraining=PretrainingConfig(),
    )


def _train_average(
    config: RunConfig, uri: str, experiment_id: str, parent: str | None, folder: Path
) -> BaselineRun:
    from mlflow import MlflowClient

    from nlp_rnn.pipeline import train
    from nlp_rnn.tracking.store import tracking_errors

    with tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment(experiment_id).name
    tracking = replace(config.tracking, uri=uri, experiment=experiment, run_name=None)
    result = train(replace(config, tracking=tracking), folder, ["model=average"])
    with tracking_errors(uri):
        client.set_tag(result.run_id, "kind", KIND)
        if parent is not None:
            client.set_tag(result.run_id, PARENT, parent)
    return BaselineRun("average", result.run_id, result.metrics, is_new=True)


def _note(baseline: Baseline, corpus: "Corpus", metrics: dict[str, float]) -> str:
    """Return the description of the run that the MLflow UI shows."""
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
