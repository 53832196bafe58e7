"""One run, from its configuration to a trained classifier, an MLflow run and a run folder.

Steps: resolve the configuration, read the corpus, tokenize it, train, save the classifier,
evaluate it on validation and test, measure its speed, log the results.
"""

import shlex
import shutil
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.config.compose import read_config
from nlp_rnn.config.defaults import check_ngram_labels
from nlp_rnn.config.model import NgramsConfig
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.teacher_checks import labelled_only
from nlp_rnn.errors import DataError
from nlp_rnn.pretraining.initial_weights import initial_network, with_local_encoder
from nlp_rnn.runs.console import announced, print_corpus, print_lines, print_result
from nlp_rnn.runs.resolve import resolve, with_absolute_paths
from nlp_rnn.runs.run_folder import (
    CHECKPOINT,
    CONFIG,
    RESULT,
    Origin,
    empty_folder,
    read_origin,
    resumable,
    save_inputs,
    write_json,
)
from nlp_rnn.runs.run_logging import (
    PATIENCE_IN_A_SWEEP,
    SweepMembership,
    known_parameters,
    log_data,
    log_resolved,
    log_results,
    log_speed,
    provenance,
    run_name,
    run_tags,
    training_metrics,
)
from nlp_rnn.runs.tokenized_data import log_data_notes, tokenize, training_facts
from nlp_rnn.runs.vectors import check_vectors

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.pretraining.encoder_folder import Encoder
    from nlp_rnn.runs.teacher_scores import TeacherScores
    from nlp_rnn.teachers.student_data import StudentData
    from nlp_rnn.teachers.teaching import Teaching
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = ["Result", "resume", "train"]

CLASSIFIER = "classifier"
PREDICTIONS = "teacher.npz"


@dataclass
class Result:
    """Outcome of a run, with the same keys as `result.json`."""

    run_id: str
    experiment_id: str
    tracking_uri: str
    classifier: str
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Run:
    """What all steps of one run share.

    `config` was requested, `resolved` is what it was resolved to before the data was tokenized.
    `corpus` has the labelled rows; with a teacher, `student` has what the classifier is trained on.
    """

    config: RunConfig
    resolved: RunConfig
    corpus: "Corpus"
    encoder: "Encoder | None"
    folder: Path
    origin: Origin
    membership: SweepMembership | None
    teaching: "Teaching | None" = None
    student: "StudentData | None" = None
    teacher: "TeacherScores | None" = None


def train(
    config: RunConfig, folder: Path, overrides: list[str], membership: SweepMembership | None = None
) -> Result:
    """Train one classifier, save it in `folder` and log the run to MLflow.

    `folder` receives `classifier/`, `config.yaml`, `resolved.yaml`, `result.json`, the predictions
    for validation and test, and the confusion matrix. Nothing is chosen on the test split: it is
    read once, by the finished classifier, whose predictions are logged.

    Parameters
    ----------
    config : RunConfig
        The requested configuration. It is not changed.
    folder : Path
        The run folder. An earlier run in it is overwritten.
    overrides : list of str
        Command-line arguments, for the command that is logged.
    membership : SweepMembership, optional
        The sweep that the run belongs to.

    Raises
    ------
    NlpRnnError
        For every error that a user can correct. If it is raised before training starts, no files
        are left behind.
    """
    config = with_absolute_paths(config)
    resolved = with_local_encoder(resolve(config))
    from nlp_rnn.data.corpus import load_corpus
    from nlp_rnn.data.labels import labels_of
    from nlp_rnn.teachers.teaching import data_digest, obtain_teaching
    from nlp_rnn.tracking.store import experiment_name, obtain_experiment, prepare_store
    from nlp_rnn.tracking.uri import resolve_uri
    from nlp_rnn.training.objective import check_task

    check_vectors(config.model)
    with announced(f"Reading {config.data.name}"):
        corpus = load_corpus(config.data)
    print_corpus(corpus)
    check_task(config.trainer, labels_of(corpus.train), len(corpus.labels))
    check_ngram_labels(config, len(corpus.labels))
    of_sweep = membership or SweepMembership("", {})
    uri = of_sweep.tracking_uri or resolve_uri(config.tracking.uri, Path.cwd())
    if config.tracking.uri is not None:
        resolved = replace(resolved, tracking=replace(resolved.tracking, uri=uri))
    teaching = obtain_teaching(resolved, corpus, uri)
    prepare_store(uri, patience=PATIENCE_IN_A_SWEEP if membership else 0)
    name = of_sweep.experiment or experiment_name(config.tracking.experiment, uri)
    experiment_id = obtain_experiment(uri, name)
    command = shlex.join(["nlp-rnn", "train", *overrides])
    digest = data_digest(corpus, teaching)
    origin = Origin("", experiment_id, uri, digest, command, parameters_logged=False)
    job = _with_data(config, resolved, corpus, teaching, folder, origin, membership)
    empty_folder(folder)
    with resumable(folder, "train"):
        return _run(job)


def resume(folder: Path, membership: SweepMembership | None = None) -> Result:
    """Resume the interrupted run in `folder`, in the same MLflow run.

    On one CPU process the final weights are bit-identical to those of an uninterrupted run.

    Raises
    ------
    ConfigError
        If `folder` holds no interrupted run.
    DataError
        If the data has changed since the run started.
    """
    folder = folder.absolute()
    origin = read_origin(folder, "train")
    config = read_config(folder / CONFIG)
    resolved = with_local_encoder(resolve(config))
    from nlp_rnn.data.corpus import load_corpus
    from nlp_rnn.teachers.teaching import data_digest, obtain_teaching
    from nlp_rnn.tracking.store import prepare_store

    corpus = load_corpus(config.data)
    saved = folder / CHECKPOINT / PREDICTIONS
    teaching = obtain_teaching(resolved, corpus, origin.tracking_uri, saved)
    if data_digest(corpus, teaching) != origin.data_digest:
        raise DataError(
            f"The data of {config.data.name} has changed since the run in {folder} started, so it "
            "cannot be resumed. Start a new run."
        )
    prepare_store(origin.tracking_uri)
    with resumable(folder, "train"):
        return _run(_with_data(config, resolved, corpus, teaching, folder, origin, membership))


def _with_data(
    config: RunConfig,
    resolved: RunConfig,
    corpus: "Corpus",
    teaching: "Teaching | None",
    folder: Path,
    origin: Origin,
    membership: SweepMembership | None,
) -> _Run:
    """Return the run with its training data, and with its pretrained encoder if it has one."""
    from nlp_rnn.pretraining.encoder_cache import obtain_encoder
    from nlp_rnn.runs.teacher_scores import score_teacher
    from nlp_rnn.runs.teacher_summary import notes_before_training
    from nlp_rnn.teachers.student_data import make_student_data

    student, teacher = None, None
    pretraining = replace(resolved, trainer=config.trainer)
    if teaching is not None:
        student = make_student_data(corpus, teaching, resolved.teacher)
        teacher = score_teacher(teaching, corpus)
        notes = (*teaching.pool.notes, *notes_before_training(teacher, corpus), *student.notes)
        print_lines(notes)
        corpus = replace(corpus, notes=(*corpus.notes, *notes))
        # the training split of the student has the unlabelled texts
        pretraining = labelled_only(pretraining)
    texts = student.corpus if student else corpus
    encoder = obtain_encoder(pretraining, texts, origin.tracking_uri, origin.experiment_id)
    return _Run(
        config, resolved, corpus, encoder, folder, origin, membership, teaching, student, teacher
    )


def _run(job: _Run) -> Result:
    """Do everything that is logged to MLflow."""
    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.runs.evaluation import evaluate
    from nlp_rnn.runs.ngram_classifier import labelled_only_predictions
    from nlp_rnn.runs.summary import write_summary
    from nlp_rnn.runs.teacher_scores import log_teacher
    from nlp_rnn.teachers.saved_predictions import save_predictions
    from nlp_rnn.tracking.run_lifecycle import tracked_run

    config, corpus, membership = job.config, job.corpus, job.membership
    folder, origin = job.folder, job.origin
    with tracked_run(
        origin.tracking_uri,
        origin.experiment_id,
        run_id=origin.run_id or None,
        parent_run_id=membership.parent_run_id if membership else None,
        name=run_name(job.resolved, membership),
        parameters={} if origin.run_id else known_parameters(job.resolved),
        tags=run_tags(config, job.resolved, corpus, folder)
        | dict(membership.tags if membership else {}),
        folder=folder,
        system_metrics=config.tracking.system_metrics,
    ) as run:
        print(f"run folder    {folder}", flush=True)
        if not origin.run_id:
            save_inputs(config, folder, origin, run)
            log_data(config.data, corpus, run)
        if job.teaching is not None:
            save_predictions(folder / CHECKPOINT / PREDICTIONS, job.teaching.predictions)
        result = Result(
            run.run_id, origin.experiment_id, origin.tracking_uri, str(folder / CLASSIFIER)
        )
        fit = _train_ngrams if isinstance(config.model, NgramsConfig) else _train_network_classifier
        resolved, result.metrics, unseen, notes = fit(job, run)
        if job.teacher is not None:
            result.metrics |= log_teacher(job.teacher, run)
        with announced("Evaluating on validation and test"):
            classifier = TextClassifier.load(result.classifier, resolved.trainer.threads)
            result.metrics |= evaluate(classifier, corpus, folder, run, unseen, result.metrics)
        result.metrics |= log_speed(config.tracking.speed, Path(result.classifier), run)
        if membership and membership.accept:
            membership.accept(asdict(result))
        write_json(folder / RESULT, asdict(result))
        run.log_text((folder / RESULT).read_text(encoding="utf-8"), RESULT)
        log_results(result.metrics, resolved, corpus, run, origin.command, notes)
        run.log_classifier(Path(result.classifier), corpus.test[:2]["text"])
        labelled = None if membership else labelled_only_predictions(corpus, resolved, job.student)
        single = None if membership else origin
        summary = write_summary(corpus, folder, run, result.metrics, single, job.teacher, labelled)
    shutil.rmtree(folder / CHECKPOINT)
    print_result(result.run_id, result.classifier, result.metrics, summary)
    return result


Trained = tuple[RunConfig, dict[str, float], "TextClassifier | None", "Sequence[str]"]
"""The resolved configuration, metrics of the training, the classifier that predicts validation
texts if the saved one has seen them, and remarks for the note of the run."""


def _train_ngrams(job: _Run, run: "TrackedRun") -> Trained:
    """Fit n-gram models, and save them alone as a classifier."""
    from nlp_rnn.runs.ngram_classifier import fit_and_save_ngrams

    config, corpus = job.config, job.corpus
    log_resolved(config, job.resolved, job.resolved, job.folder, job.origin, run)
    if not job.origin.run_id:
        log_data_notes(corpus, run)
    origin = provenance(config, job.resolved, corpus, run.run_id, job.teacher)
    with announced("Fitting the n-gram models"):
        metrics, unseen = fit_and_save_ngrams(
            job.folder / CLASSIFIER, corpus, job.resolved, origin, job.student
        )
    return job.resolved, metrics, unseen, ()


def _train_network_classifier(job: _Run, run: "TrackedRun") -> Trained:
    """Train a network, and save it, alone or in an ensemble with n-gram models."""
    from nlp_rnn.runs.network_training import train_network
    from nlp_rnn.runs.trained_classifier import TrainedClassifier
    from nlp_rnn.training.device import memory_errors

    config, corpus, encoder = job.config, job.corpus, job.encoder
    if encoder is not None and not job.origin.run_id:
        run.log_parameters({"model.pretrained_digest": encoder.digest})
    tokenizer_json = encoder.tokenizer_json if encoder else None
    logged_to = None if job.origin.run_id else run
    tokens = tokenize(config, corpus, job.student, tokenizer_json, logged_to)
    resolved = resolve(job.resolved, training_facts(corpus, tokens))
    log_resolved(config, job.resolved, resolved, job.folder, job.origin, run)
    with memory_errors("trainer.batch_size"):
        network = initial_network(resolved, tokens, len(corpus.labels), encoder)
        training = train_network(
            network,
            tokens,
            config,
            resolved,
            job.folder,
            run,
            on_epoch=job.membership.on_epoch if job.membership else None,
        )
    metrics = training_metrics(network, training)
    origin = provenance(config, resolved, corpus, run.run_id, job.teacher)
    origin |= {"best_epoch": training.best_epoch, "validation": training.best_metrics}
    origin |= {"pretrained": encoder.digest} if encoder else {}
    trained = TrainedClassifier(
        network, tokens.tokenizer_json, corpus, training.thresholds, origin, job.student
    )
    added, unseen = trained.save(job.folder / CLASSIFIER, config, resolved, metrics, run)
    return resolved, metrics | added, unseen, training.notes
