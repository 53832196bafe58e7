"""Log a run's parameters, tags, data sets and results to MLflow."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.config.data import DataConfig, TableConfig
from nlp_rnn.config.model import NetworkConfig, RecurrentConfig
from nlp_rnn.config.run import RunConfig, Speed
from nlp_rnn.config.signature import logged_parameters, requested_values, signature
from nlp_rnn.errors import ClassifierError
from nlp_rnn.runs.console import announced, print_lines
from nlp_rnn.runs.run_folder import Origin, save_origin, save_resolved
from nlp_rnn.runs.vectors import static_vectors, vectors_provenance
from nlp_rnn.tracking.tags import CONFIGURATION_TAG, DIGEST_TAG

if TYPE_CHECKING:
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.model.network import TextNetwork
    from nlp_rnn.runs.teacher_scores import TeacherScores
    from nlp_rnn.tracking.tracked_run import TrackedRun
    from nlp_rnn.training.events import EpochEnd, TrainingResult
    from nlp_rnn.training.range_test import RangeTest

__all__ = [
    "PATIENCE_IN_A_SWEEP",
    "SweepMembership",
    "known_parameters",
    "log_data",
    "log_open_parameters",
    "log_range_test",
    "log_resolved",
    "log_results",
    "log_speed",
    "provenance",
    "run_name",
    "run_tags",
    "short_name",
    "training_metrics",
]

SPLITS = ("train", "validation", "test")

PATIENCE_IN_A_SWEEP = 300.0
"""Seconds that a job waits for a tracking server that does not respond."""


def short_name(config: RunConfig) -> str:
    """Return the short name of the model, such as `gru h128`."""
    model = config.model
    if isinstance(model, RecurrentConfig):
        return f"{model.name} h{model.hidden_size}"
    if isinstance(model, NetworkConfig):
        return f"{model.name} e{model.embedding_size}"
    return model.name


@dataclass(frozen=True)
class SweepMembership:
    """A run's place in a sweep.

    Attributes
    ----------
    parent_run_id : str
        Run id of the sweep.
    tags : mapping of str to str
        Tags by which the sweep finds the run.
    name_parts : sequence of str
        What the sweep varies, for the run's name, such as `dropout=0.2`.
    on_epoch : callable, optional
        Called after every epoch; raises `PrunedError` or `SupersededError` to end the run.
    accept : callable, optional
        Called with the content of `result.json` before it is written; raises `SupersededError` if
        the result of another process was accepted.
    tracking_uri, experiment : str
        Address of the MLflow store, and name of the experiment, of the sweep. Its runs belong
        there whatever the environment of this machine says.
    """

    parent_run_id: str
    tags: Mapping[str, str]
    name_parts: Sequence[str] = ()
    on_epoch: "Callable[[EpochEnd], None] | None" = None
    accept: "Callable[[Mapping[str, Any]], None] | None" = None
    tracking_uri: str | None = None
    experiment: str | None = None


def run_name(config: RunConfig, membership: SweepMembership | None = None) -> str:
    """Return the name of the run in MLflow, such as `gru h128 dropout=0.2 seed2`.

    It is `tracking.run_name`, or without that MLFLOW_RUN_NAME, but not for a job of a sweep.
    """
    requested = config.tracking.run_name or (
        None if membership else os.environ.get("MLFLOW_RUN_NAME")
    )
    if requested:
        return requested
    parts = membership.name_parts if membership else ()
    return " ".join([short_name(config), *parts, f"seed{config.seed}"])


def known_parameters(resolved: RunConfig) -> dict[str, Any]:
    """Return the parameters whose values are known before the data has been tokenized."""
    open_values = (None, "auto")
    return {k: v for k, v in logged_parameters(resolved).items() if v not in open_values}


def log_open_parameters(
    config: RunConfig, before: RunConfig, resolved: RunConfig, run: "TrackedRun"
) -> None:
    """Log the parameters that `before` left open, and which values the user requested."""
    known = known_parameters(before)
    run.log_parameters({k: v for k, v in logged_parameters(resolved).items() if k not in known})
    run.set_tags({"requested": json.dumps(requested_values(config, resolved))})


def log_resolved(
    config: RunConfig,
    before: RunConfig,
    resolved: RunConfig,
    folder: Path,
    origin: Origin,
    run: "TrackedRun",
) -> None:
    """Save the resolved configuration, and log its parameters unless `origin` says it was done."""
    save_resolved(resolved, folder, run)
    if not (origin.run_id and origin.parameters_logged):
        log_open_parameters(config, before, resolved, run)
        save_origin(replace(origin, run_id=run.run_id, parameters_logged=True), folder)


def run_tags(
    config: RunConfig, resolved: RunConfig, corpus: "Corpus", folder: Path
) -> dict[str, str]:
    """Return the MLflow tags of a run. Runs that differ only in the seed share a signature."""
    identity = signature(config, resolved)
    vectors = static_vectors(config.model)
    return {
        CONFIGURATION_TAG: f"{short_name(resolved)} {corpus.name} {identity}",
        "signature": identity,
        "cell": config.model.cell,
        "data": corpus.name,
        DIGEST_TAG: corpus.digest,
        "task": corpus.task,
        "run_folder": str(folder),
        **({"vectors": vectors.summary} if vectors else {}),
    }


def log_data(data: DataConfig, corpus: "Corpus", run: "TrackedRun") -> None:
    """Log the three splits as data sets."""
    source = data.path if isinstance(data, TableConfig) else ""
    for split in SPLITS:
        run.log_dataset(
            f"{corpus.name} {split}",
            corpus.digest[:36],
            "training" if split == "train" else split,
            {"rows": len(getattr(corpus, split)), "labels": len(corpus.labels)},
            source,
        )


def log_range_test(range_test: "RangeTest", folder: Path, run: "TrackedRun") -> None:
    """Log the losses at rising learning rates as a table and a figure."""
    from nlp_rnn.scoring.plots import write_range_plot, write_range_table

    table, figure = folder / "learning_rates.csv", folder / "learning_rates.png"
    write_range_table(table, range_test.rates, range_test.losses, range_test.smoothed)
    write_range_plot(
        figure, range_test.rates, range_test.losses, range_test.smoothed, range_test.suggestion
    )
    for path in (table, figure):
        run.log_file(path)
    run.set_tags({"suggested_learning_rate": f"{range_test.suggestion:.2g}"})


def log_speed(level: Speed, classifier: Path, run: "TrackedRun") -> dict[str, float]:
    """Time the classifier in a fresh process and log the figures and their conditions.

    If it cannot be timed, the reason is logged and the run continues.
    """
    if level is Speed.none:
        return {}
    from nlp_rnn.classifier.speed import measure_speed
    from nlp_rnn.tracking.machine import machine_tags

    try:
        with announced("Measuring the speed"):
            figures = measure_speed(classifier, level.name)
    except ClassifierError as error:
        print_lines([str(error)])
        run.set_tags({"speed": f"not measured: {error}"})
        return {}
    conditions = figures["conditions"]
    run.log_text(json.dumps(figures | {"machine": machine_tags()}, indent=2) + "\n", "speed.json")
    run.set_tags(
        {
            "speed": f"{level.name}, 1 thread, load {conditions['load_average']}",
            "torch_kernel": conditions["torch_kernel"],
            "onnxruntime": conditions["onnxruntime"],
        }
    )
    metrics: dict[str, float] = figures["metrics"]
    return metrics


def training_metrics(network: "TextNetwork", training: "TrainingResult") -> dict[str, float]:
    """Return the metrics `train/…` and `parameters/…` of a finished training."""
    metrics = {
        "train/seconds": training.seconds,
        "train/tokens_per_second": training.tokens_per_second,
        "train/epochs": float(training.epochs),
        "train/best_epoch": float(training.best_epoch),
        "train/updates": float(training.updates),
    }
    counts = network.architecture.parameter_counts()
    return metrics | {f"parameters/{part}": float(count) for part, count in counts.items()}


def provenance(
    config: RunConfig,
    resolved: RunConfig,
    corpus: "Corpus",
    run_id: str,
    teacher: "TeacherScores | None" = None,
) -> dict[str, Any]:
    """Return the origin of a saved classifier, for its `config.json`."""
    return {
        "data": corpus.name,
        "data_digest": corpus.digest,
        "data_options": {
            name: getattr(config.data, name)
            for name in ("seed", "limit", "fraction", "validation_fraction", "drop_leaks")
            if hasattr(config.data, name)
        },
        **({"reading": dict(corpus.reading)} if corpus.reading else {}),
        "rows": {split: len(getattr(corpus, split)) for split in SPLITS},
        "seed": config.seed,
        "signature": signature(config, resolved),
        **(
            {"text_columns": [str(name) for name in config.data.text]}
            if isinstance(config.data, TableConfig) and config.data.separator_token
            else {}
        ),
        "class_weight": config.trainer.class_weight.name,
        **({"teacher": teacher.description()} if teacher is not None else {}),
        "mlflow_run_id": run_id,
        **vectors_provenance(config.model),
    }


def log_results(
    metrics: Mapping[str, float],
    config: RunConfig,
    corpus: "Corpus",
    run: "TrackedRun",
    command: str,
    remarks: Sequence[str],
) -> None:
    """Log the final metrics and the note, with `remarks` on the training, to the MLflow run."""
    from nlp_rnn.tracking.note import RunSummary, run_note

    run.log_final(metrics)
    run.set_note(
        run_note(
            RunSummary(
                title=_title(config),
                dataset=corpus.name,
                digest=corpus.digest,
                run_id=run.run_id,
                command=command,
                metrics=metrics,
                rows={split: len(getattr(corpus, split)) for split in SPLITS},
                num_labels=len(corpus.labels),
                parameters={
                    name.removeprefix("parameters/"): round(value)
                    for name, value in metrics.items()
                    if name.startswith("parameters/")
                },
                remarks=(*corpus.notes, *remarks),
            )
        )
    )


def _title(config: RunConfig) -> str:
    model = config.model
    pooling = f", {model.pooling} pooling" if isinstance(model, NetworkConfig) else ""
    return f"{short_name(config)}{pooling}"
