"""A corpus becomes the control runs that a comparison needs beside its own, each made only once."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.baselines.fitting import CONTROLS, Control, fit_linear, fit_majority
from nlp_rnn.baselines.several import fit_linear_several, fit_majority_several
from nlp_rnn.config.compose import make_paths_absolute
from nlp_rnn.config.data import DataConfig, TableConfig
from nlp_rnn.config.model import AverageConfig, ModelConfig
from nlp_rnn.config.pretraining import PretrainingConfig
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.signature import flatten, signature
from nlp_rnn.config.training import OptimizerConfig
from nlp_rnn.data.labels import labels_of
from nlp_rnn.layers.cells import AVERAGE
from nlp_rnn.layers.poolings import POOLINGS

if TYPE_CHECKING:
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = [
    "ALL_CONTROLS",
    "ControlRun",
    "ensure_controls",
    "find_control",
    "read_corpus",
    "train_control",
]

ALL_CONTROLS = (*CONTROLS, "average")

# Part of a control's signature: raise it when the same texts would give another control.
VERSION = 2
# MLflow's own tag, by which the UI shows a run below its parent.
PARENT = "mlflow.parentRunId"


@dataclass(frozen=True)
class ControlRun:
    """A control and its run; `metrics` as MLflow holds them, `made` whether it is a new one."""

    name: str
    run_id: str
    metrics: dict[str, float]
    made: bool


def ensure_controls(
    config: RunConfig,
    uri: str,
    experiment_id: str,
    parent: str | None = None,
    *,
    names: Iterable[str] = ALL_CONTROLS,
    corpus: "Corpus | None" = None,
    digest: str | None = None,
    folder: Path | None = None,
) -> dict[str, ControlRun]:
    """Return a finished run of each control on the data of `config`, trained if there is none.

    `majority` and `linear` depend on nothing but the three splits. `average` is the network of
    `config` without its recurrence, with the same tokenizer, optimizer, trainer and seed.

    Args:
        config: one of the runs that are compared, as `limits.check` allows it.
        uri: a store that `prepare_store` has seen.
        experiment_id: where the controls are looked for, and written.
        parent: the run of the sweep that new controls belong to.
        names: which of `ALL_CONTROLS`.
        corpus: the data of `config`, if it has been read.
        digest: that of the corpus if it is known: the data is then read only for a new control.
        folder: gets a folder for each new control; default `outputs/controls/DATA-DIGEST`.

    Raises:
        NlpRnnError: the data or the store cannot be read.
    """
    make_paths_absolute(config)  # as a run's signature has them
    if digest is None:
        corpus = corpus or read_corpus(config.data)
        digest = corpus.digest
    found: dict[str, ControlRun] = {}
    for name in names:
        own = _averaged(config) if name == "average" else config
        known = signature(own) if name == "average" else control_signature(name, digest)
        control = find_control(uri, experiment_id, name, known, digest)
        if control is None:
            corpus = corpus or read_corpus(config.data)
            place = (folder or Path("outputs") / "controls" / f"{corpus.name}-{digest[:8]}") / name
            if name == "average":
                control = _train_average(own, uri, experiment_id, parent, place.absolute())
            else:
                control = train_control(
                    name, config.data, corpus, place.absolute(), uri, experiment_id, parent
                )
        found[name] = control
    return found


def control_signature(name: str, digest: str) -> str:
    """Eight characters that two controls share exactly when they are the same."""
    return hashlib.sha256(json.dumps([VERSION, name, digest]).encode()).hexdigest()[:8]


def find_control(
    uri: str, experiment_id: str, name: str, known: str, digest: str
) -> ControlRun | None:
    """The newest finished run of a control with this signature on this data, if there is one."""
    from nlp_rnn.tracking.environment import quiet_mlflow
    from nlp_rnn.tracking.store import tracking_errors

    quiet_mlflow()
    from mlflow import MlflowClient

    with tracking_errors(uri):
        runs = MlflowClient(tracking_uri=uri).search_runs(
            [experiment_id],
            f"tags.signature = '{known}' and tags.cell = '{name}' "
            "and attributes.status = 'FINISHED'",
            order_by=["attributes.start_time DESC"],
        )
    for run in runs:
        digests = {each.dataset.digest for each in run.inputs.dataset_inputs}
        if digest[:36] in digests:
            return ControlRun(name, run.info.run_id, dict(run.data.metrics), made=False)
    return None


def train_control(
    name: str,
    data: DataConfig,
    corpus: "Corpus",
    folder: Path,
    uri: str,
    experiment_id: str,
    parent: str | None = None,
) -> ControlRun:
    """Fit `majority` or `linear`, let it answer validation and test, and log it as a run.

    `folder` gets what a training leaves, but for the classifier: a control is not kept, for
    scikit-learn has no form but pickle, and it is made again in seconds.
    """
    from nlp_rnn.classifier.latency import prediction_latency
    from nlp_rnn.runs.evaluation import LATENCY_TEXTS, evaluate_splits
    from nlp_rnn.runs.run_logging import log_data
    from nlp_rnn.tracking.run_lifecycle import tracked_run

    known = control_signature(name, corpus.digest)
    control = _fit(name, corpus)
    parameters = {f"data.{key}": value for key, value in flatten(data).items()}
    parameters |= {"model.name": name, "model.cell": name}
    parameters |= {f"model.{key}": value for key, value in control.settings.items()}
    with tracked_run(
        uri,
        experiment_id,
        name=f"{name} {corpus.name}",
        parameters=parameters,
        tags={
            "kind": "control",
            "group": f"{name} {corpus.name} {known}",
            "signature": known,
            "cell": name,
            "data": corpus.name,
            "run_folder": str(folder),
        },
        folder=folder,
        parent_run_id=parent,
        system_metrics=False,
    ) as run:
        folder.mkdir(parents=True, exist_ok=True)
        log_data(data, corpus, run)
        if corpus.task == "multi_label":
            run.set_tags({"task": corpus.task})
        metrics, _ = evaluate_splits(control, corpus, folder, run)
        metrics |= {
            "train/seconds": control.seconds,
            "parameters/head": float(control.num_parameters),
            "parameters/total": float(control.num_parameters),
        }
        metrics |= prediction_latency(control, list(corpus.test[:LATENCY_TEXTS]["text"]))
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
        _note(control, corpus, metrics, run)
    return ControlRun(name, run.run_id, metrics, made=True)


def read_corpus(data: DataConfig) -> "Corpus":
    """The data that controls are fitted to.

    Raises:
        DataError: it cannot be read.
    """
    from nlp_rnn.data.corpus import load_corpus

    return load_corpus(data)


def _fit(name: str, corpus: "Corpus") -> Control:
    def texts_and_labels(split: str) -> tuple[list[str], Any]:
        dataset = getattr(corpus, split)
        return list(dataset["text"]), labels_of(dataset)

    texts, labels = texts_and_labels("train")
    if corpus.task == "multi_label":
        if name == "majority":
            return fit_majority_several(texts, labels)
        return fit_linear_several(texts, labels, texts_and_labels("validation"))
    if name == "majority":
        return fit_majority(texts, labels, len(corpus.labels))
    return fit_linear(texts, labels, len(corpus.labels), texts_and_labels("validation"))


def _averaged(config: RunConfig) -> RunConfig:
    """The same run with the recurrence taken out of its network."""
    shared = {f.name: getattr(config.model, f.name) for f in fields(ModelConfig)}
    # no language model could begin it
    shared |= {"name": "average", "cell": AVERAGE, "pretrained": None}
    if POOLINGS[config.model.pooling].from_final_state:
        shared["pooling"] = "mean"  # the last embedding alone would be no control
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
) -> ControlRun:
    from mlflow import MlflowClient

    from nlp_rnn.pipeline import train
    from nlp_rnn.tracking.store import tracking_errors

    with tracking_errors(uri):
        client = MlflowClient(tracking_uri=uri)
        experiment = client.get_experiment(experiment_id).name
    tracking = replace(config.tracking, uri=uri, experiment=experiment, run_name=None)
    result = train(replace(config, tracking=tracking), folder, ["model=average"])
    with tracking_errors(uri):
        client.set_tag(result.run_id, "kind", "control")
        if parent is not None:
            client.set_tag(result.run_id, PARENT, parent)
    return ControlRun("average", result.run_id, result.metrics, made=True)


def _note(control: Control, corpus: "Corpus", metrics: dict[str, float], run: "TrackedRun") -> None:
    """The description that the MLflow UI shows."""
    several = corpus.task == "multi_label"
    what = "the most frequent label of training for every text"
    if control.name == "linear":
        of = "words and signs" if control.settings["grams_of"] == "word" else "characters"
        each = " for each label" if several else ""
        what = f"TF-IDF of 1–2-grams of {of}, and a linear SVM{each}, not tuned"
    score = f"**{metrics['test/accuracy']:.1%}** right" if not several else ""
    score = score or f"micro-F1 **{metrics['test/micro_f1']:.3f}**"
    run.set_note(
        f"**{control.name}**, a control, on **{corpus.name}**: {what}.\n\n"
        f"Of {len(corpus.test):,} test texts {score}, macro-F1 {metrics['test/macro_f1']:.3f}. "
        f"Data digest `{corpus.digest}`. Nothing was chosen on the test split; the probabilities "
        "of the SVM were scaled on validation."
    )
