"""One configuration becomes a trained classifier, an MLflow run and a run folder: the story."""

import shlex
import shutil
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.config.checks import check
from nlp_rnn.config.compose import make_paths_absolute, read_config
from nlp_rnn.config.pretraining import AUTO
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.signature import recorded
from nlp_rnn.errors import DataError
from nlp_rnn.pretraining.initial_weights import check_encoder, fetch_encoder, set_encoder
from nlp_rnn.runs.console import announced, print_corpus, print_lines, print_result
from nlp_rnn.runs.run_folder import (
    CHECKPOINT,
    CONFIG,
    RESULT,
    Origin,
    empty_folder,
    read_origin,
    write_down,
    write_json,
)
from nlp_rnn.runs.run_logging import (
    Member,
    log_data,
    log_range_test,
    log_results,
    log_speed,
    provenance,
    run_name,
    run_tags,
    training_metrics,
)
from nlp_rnn.runs.size_matching import resolve_match
from nlp_rnn.runs.worker_processes import check_processes, processes_of, tell_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.model.network import TextNetwork
    from nlp_rnn.pretraining.encoder_folder import Encoder
    from nlp_rnn.tokens.tokenization import TokenizedCorpus
    from nlp_rnn.tracking.tracked_run import TrackedRun
    from nlp_rnn.training.events import EpochEnd, TrainingResult

__all__ = ["Result", "resume", "train"]

TRAINING = "training.safetensors"

PATIENCE_IN_A_SWEEP = 300.0
"""Seconds that a job waits for a tracking server that is away; nobody may be there to start it."""


@dataclass
class Result:
    """What a run leaves behind; `result.json` holds the same."""

    run_id: str
    experiment_id: str
    tracking_uri: str
    classifier: str
    metrics: dict[str, float] = field(default_factory=dict)


def train(
    config: RunConfig, folder: Path, overrides: list[str], member: Member | None = None
) -> Result:
    """Train one classifier and leave it in `folder`, with its run in MLflow.

    `folder` gets `classifier/`, `config.yaml`, `result.json`, the answers to validation and
    test, and the confusion matrix. Nothing is chosen on the test split: it is read once, by
    the finished classifier, whose answers are what is logged.

    Raises:
        NlpRnnError: whatever a user can mend; before training starts nothing is left behind.
    """
    check(config)
    resolve_match(config)
    check_processes(config)
    make_paths_absolute(config)
    fetch_encoder(config)
    from nlp_rnn.data.corpus import load_corpus
    from nlp_rnn.data.labels import labels_of
    from nlp_rnn.pretraining.encoder_cache import obtain_encoder
    from nlp_rnn.pretraining.encoder_folder import read_encoder
    from nlp_rnn.tokens.word_vector_files import open_vector_file
    from nlp_rnn.tracking.store import experiment_name, obtain_experiment, prepare_store
    from nlp_rnn.tracking.uri import resolve_uri
    from nlp_rnn.training.device import choose_device, choose_precision
    from nlp_rnn.training.objective import check_task
    from nlp_rnn.training.processes import Processes, local_count

    first = Processes(0, config.trainer.processes, 0, local_count(config.trainer.processes))
    choose_precision(config.trainer.precision, choose_device(config.trainer.device, first))
    uri = resolve_uri(config.tracking.uri, Path.cwd())
    if config.tracking.uri is not None:
        config.tracking.uri = uri  # absolute, as every path in a saved configuration
    if config.model.vectors is not None:
        open_vector_file(Path(config.model.vectors), config.model.embedding_size)
    if config.model.pretrained not in (None, AUTO):
        check_encoder(read_encoder(Path(str(config.model.pretrained))), config)
    with announced(f"Reading {config.data.name}"):
        corpus = load_corpus(config.data)
    print_corpus(corpus)
    check_task(config.trainer, labels_of(corpus.train), len(corpus.labels))
    prepare_store(uri, patience=PATIENCE_IN_A_SWEEP if member else 0)
    experiment_id = obtain_experiment(uri, experiment_name(config.tracking.experiment))
    encoder = obtain_encoder(config, corpus, uri, experiment_id)
    empty_folder(folder)
    command = shlex.join(["nlp-rnn", "train", *overrides])
    origin = Origin("", experiment_id, uri, corpus.digest, command)
    return _run(config, corpus, encoder, folder, origin, member)


def resume(folder: Path, member: Member | None = None) -> Result:
    """Go on with the run in `folder` that was interrupted, in the same MLflow run.

    On one CPU process the weights end bit-identical to those of a run that was never stopped.

    Raises:
        ConfigError: there is no interrupted run in `folder`.
        DataError: the data is no longer what the run began with.
    """
    folder = folder.absolute()
    origin = read_origin(folder, "train")
    config = read_config(folder / CONFIG)
    check(config)
    check_processes(config)
    from nlp_rnn.data.corpus import load_corpus
    from nlp_rnn.pretraining.encoder_cache import obtain_encoder
    from nlp_rnn.tracking.store import prepare_store

    corpus = load_corpus(config.data)
    if corpus.digest != origin.data_digest:
        raise DataError(
            f"The data of {config.data.name} changed since the run in {folder} began; "
            "it cannot go on. Start a new one."
        )
    prepare_store(origin.tracking_uri)
    encoder = obtain_encoder(config, corpus, origin.tracking_uri, origin.experiment_id)
    return _run(config, corpus, encoder, folder, origin, member)


def _run(
    config: RunConfig,
    corpus: "Corpus",
    encoder: "Encoder | None",
    folder: Path,
    origin: Origin,
    member: Member | None = None,
) -> Result:
    """The part of the story that MLflow is told."""
    from nlp_rnn.classifier.classifier_folder import save_classifier
    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.runs.evaluation import evaluate
    from nlp_rnn.tokens.tokenization import tokenize_corpus
    from nlp_rnn.tokens.word_vectors import add_vectors
    from nlp_rnn.tracking.run_lifecycle import tracked_run
    from nlp_rnn.training.device import memory_errors

    with tracked_run(
        origin.tracking_uri,
        origin.experiment_id,
        run_id=origin.run_id or None,
        parent_run_id=member.parent_run_id if member else None,
        name=config.tracking.run_name or run_name(config, member),
        parameters=recorded(config),
        tags=run_tags(config, corpus, folder) | dict(member.tags if member else {}),
        folder=folder,
        system_metrics=config.tracking.system_metrics,
    ) as run:
        print(f"run folder    {folder}", flush=True)
        if not origin.run_id:
            write_down(config, folder, origin, run)
            log_data(config.data, corpus, run)
            if encoder is not None:
                run.log_parameters({"model.pretrained_digest": encoder.digest})
        with announced(f"Tokenizing with {config.tokenizer.name}"):
            given = encoder.tokenizer_json if encoder else None
            tokens = tokenize_corpus(corpus, config.tokenizer, given)
        if config.model.vectors is not None:
            tokens = add_vectors(tokens, Path(config.model.vectors), config.model.embedding_size)
        print_lines(tokens.quality.lines)
        if not origin.run_id:
            notes = (*corpus.notes, *corpus.quality.lines, *tokens.quality.lines)
            run.log_text("".join(f"{note}\n" for note in notes), "data_notes.txt")
            run.log_final(corpus.quality.figures | tokens.quality.figures)
        watcher = member.on_epoch if member else None
        with memory_errors("trainer.batch_size"):
            network, training = _train_network(
                config, corpus, encoder, tokens, folder, run, watcher
            )
        result = Result(
            run.run_id, origin.experiment_id, origin.tracking_uri, str(folder / "classifier")
        )
        save_classifier(
            Path(result.classifier),
            architecture=network.architecture,
            state={name: tensor.cpu().numpy() for name, tensor in network.state_dict().items()},
            tokenizer_json=tokens.tokenizer_json,
            labels=corpus.labels,
            thresholds=training.thresholds or None,
            separator=corpus.separator,
            provenance=provenance(config, corpus, training, run.run_id)
            | ({"pretrained": encoder.digest} if encoder else {}),
        )
        with announced("Reading the test split"):
            classifier = TextClassifier.load(result.classifier, config.trainer.threads)
            result.metrics = training_metrics(network, training)
            result.metrics |= evaluate(classifier, corpus, folder, run)
        result.metrics |= log_speed(config.tracking.speed, Path(result.classifier), run)
        write_json(folder / RESULT, asdict(result))
        shutil.rmtree(folder / CHECKPOINT)
        run.log_text((folder / RESULT).read_text(encoding="utf-8"), RESULT)
        log_results(result.metrics, Path(result.classifier), config, corpus, run, origin.command)
    print_result(result.run_id, result.classifier, result.metrics)
    return result


def _train_network(
    config: RunConfig,
    corpus: "Corpus",
    encoder: "Encoder | None",
    tokens: "TokenizedCorpus",
    folder: Path,
    run: "TrackedRun",
    watcher: "Callable[[int, Mapping[str, float]], None] | None" = None,
) -> "tuple[TextNetwork, TrainingResult]":
    from nlp_rnn.model.embedding_vectors import set_vectors
    from nlp_rnn.model.network import make_network
    from nlp_rnn.training.defaults import filled
    from nlp_rnn.training.finishing import finish
    from nlp_rnn.training.objective import Objective
    from nlp_rnn.training.progress import TrainingProgress
    from nlp_rnn.training.range_test import try_learning_rates
    from nlp_rnn.training.trainer import Trainer

    labels, checkpoint = len(corpus.labels), folder / CHECKPOINT / TRAINING
    network = make_network(config.model, tokens.vocab_size, labels, config.seed)
    if tokens.vectors is not None:
        set_vectors(network.embedding, tokens.vectors.matrix, tokens.vectors.covered)
    if encoder is not None:
        set_encoder(network, encoder, tokens)
    with (
        processes_of(config) as processes,
        TrainingProgress(Objective(config.trainer, tokens.train.labels).monitor) as progress,
    ):
        tell_workers(config, tokens, labels, checkpoint, processes)

        def on_epoch(event: "EpochEnd") -> None:
            progress.on_epoch(event)
            # on disk before the checkpoint that counts this epoch as done
            run.log_metrics(event.metrics, step=event.epoch)
            if watcher is not None:
                watcher(event.epoch, event.metrics)

        recipe = filled(config, int(tokens.train.lengths.sum()))
        trainer = Trainer(
            network,
            recipe.trainer,
            recipe.optimizer,
            seed=config.seed,
            on_update=progress.on_update,
            on_epoch=on_epoch,
            checkpoint=checkpoint,
            processes=processes,
        )
        rate = recipe.optimizer.learning_rate
        filled_in = ("language_model", "r_drop", "average_decay")
        used = {name: f"{getattr(recipe.trainer, name):g}" for name in filled_in}
        used["learning_rate"] = f"{rate:g}"
        used["embedding_dropout"] = f"{network.dropouts.embedding:g}"
        run.set_tags(used | {"device": str(trainer.device), "precision": trainer.precision})
        if config.trainer.find_learning_rate and processes.first and not trainer.state.updates:
            found = try_learning_rates(trainer, tokens.train)
            log_range_test(found, folder, run)
            print(f"learning rate {found.suggestion:.1e} suggested, {rate:.1e} used", flush=True)
        training = trainer.fit(tokens.train, tokens.validation)
        training = finish(trainer, training, tokens.train, tokens.validation)
        if trainer.profile is not None:
            run.log_text(trainer.profile.table, "profile.txt")
        return network, training
