"""Pretraining pipeline: from a configuration to language models, an MLflow run and a folder."""

import os
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.config.compose import read_config
from nlp_rnn.config.data import TableConfig
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.signature import flatten
from nlp_rnn.errors import DataError
from nlp_rnn.pretraining.encoder_folder import ENCODER, save_encoder
from nlp_rnn.pretraining.initial_weights import tokenizer_options
from nlp_rnn.runs.console import announced, print_corpus, print_lines
from nlp_rnn.runs.resolve import with_absolute_paths
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
from nlp_rnn.runs.run_logging import log_data, short_name
from nlp_rnn.tracking.tags import CONFIGURATION_TAG

if TYPE_CHECKING:
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.data.unlabelled import Unlabelled
    from nlp_rnn.pretraining.language_models import LanguageModels
    from nlp_rnn.pretraining.pretraining_texts import PretrainingTexts
    from nlp_rnn.tracking.tracked_run import TrackedRun
    from nlp_rnn.training.events import TrainingResult

__all__ = [
    "data_digest",
    "pretrain",
    "read_unlabelled_texts",
    "resume",
    "resume_with_data",
    "shaping_options",
    "start",
]

TENSORS = "pretraining.safetensors"

# Options of the model that shape its embedding and encoder.
MODEL_KEYS = (
    "cell",
    "embedding_size",
    "hidden_size",
    "num_layers",
    "bidirectional",
    "recurrent_init",
    "forget_bias",
)
# Options without influence on the result.
NOT_SHAPING = ("pretraining.checkpoint_minutes",)


def shaping_options(config: RunConfig) -> dict[str, Any]:
    """Return the options that the result of a pretraining depends on, by dotted key."""
    flat = flatten(config)
    keys = [f"model.{key}" for key in MODEL_KEYS] + [
        key for key in flat if key.startswith("pretraining.") and key not in NOT_SHAPING
    ]
    return {key: flat[key] for key in keys if key in flat}


def pretrain(config: RunConfig, folder: Path, overrides: list[str]) -> dict[str, Any]:
    """Pretrain, and write `encoder/`, `config.yaml` and `result.json` into `folder`.

    Parameters
    ----------
    config : RunConfig
        The configuration, whose options of the data, tokenizer, model and pretraining are used.
    folder : Path
        The run folder.
    overrides : list of str
        The command-line arguments, which are logged.

    Returns
    -------
    dict
        The content of `result.json`.

    Raises
    ------
    NlpRnnError
        If the user has to change something. Until the training starts, nothing is written.
    """
    config = with_absolute_paths(config)
    from nlp_rnn.data.corpus import load_corpus
    from nlp_rnn.tracking.store import experiment_name, obtain_experiment, prepare_store
    from nlp_rnn.tracking.uri import resolve_uri
    from nlp_rnn.training.device import choose_device, choose_precision

    choose_precision(config.trainer.precision, choose_device(config.trainer.device))
    uri = resolve_uri(config.tracking.uri, Path.cwd())
    if config.tracking.uri is not None:
        config = replace(config, tracking=replace(config.tracking, uri=uri))
    with announced(f"Reading {config.data.name}"):
        corpus = load_corpus(config.data)
    print_corpus(corpus)
    unlabelled = read_unlabelled_texts(config, corpus)
    prepare_store(uri)
    experiment_id = obtain_experiment(uri, experiment_name(config.tracking.experiment, uri))
    command = shlex.join(["nlp-rnn", "pretrain", *overrides])
    return start(config, corpus, unlabelled, folder, uri, experiment_id, command)


def start(
    config: RunConfig,
    corpus: "Corpus",
    unlabelled: "Unlabelled | None",
    folder: Path,
    uri: str,
    experiment_id: str,
    command: str,
) -> dict[str, Any]:
    """Pretrain in `folder` from the beginning, and discard an interrupted pretraining in it."""
    empty_folder(folder)
    origin = Origin("", experiment_id, uri, data_digest(corpus, unlabelled), command)
    with resumable(folder, "pretrain"):
        return _run(config, corpus, unlabelled, folder, origin)


def resume(folder: Path) -> dict[str, Any]:
    """Resume the interrupted pretraining in `folder`, in the same MLflow run.

    In a single process on the CPU, the final weights are bit-identical to those of a pretraining
    without an interruption.

    Raises
    ------
    ConfigError
        If there is no interrupted pretraining.
    DataError
        If the data has changed.
    """
    folder = folder.absolute()
    read_origin(folder, "pretrain")
    config = read_config(folder / CONFIG)
    from nlp_rnn.data.corpus import load_corpus

    corpus = load_corpus(config.data)
    return resume_with_data(config, corpus, read_unlabelled_texts(config, corpus), folder)


def resume_with_data(
    config: RunConfig, corpus: "Corpus", unlabelled: "Unlabelled | None", folder: Path
) -> dict[str, Any]:
    """Resume the interrupted pretraining in `folder` with data that is already loaded."""
    from nlp_rnn.tracking.store import prepare_store

    origin = read_origin(folder, "pretrain")
    if data_digest(corpus, unlabelled) != origin.data_digest:
        raise DataError(
            f"The pretraining in {folder} cannot be resumed: the data of {config.data.name} has "
            "changed.\nStart a new one with nlp-rnn pretrain."
        )
    prepare_store(origin.tracking_uri)
    with resumable(folder, "pretrain"):
        return _run(config, corpus, unlabelled, folder, origin)


def read_unlabelled_texts(config: RunConfig, corpus: "Corpus") -> "Unlabelled | None":
    """Return the texts of `data.unlabelled`, or None without this option."""
    if not isinstance(config.data, TableConfig) or config.data.unlabelled is None:
        return None
    from nlp_rnn.data.unlabelled import read_unlabelled

    with announced("Reading the unlabelled texts"):
        unlabelled = read_unlabelled(config.data, corpus)
    print_lines(unlabelled.notes)
    return unlabelled


def data_digest(corpus: "Corpus", unlabelled: "Unlabelled | None") -> str:
    """Return a hash of the labelled and unlabelled texts."""
    return corpus.digest + (f"+{unlabelled.digest}" if unlabelled else "")


def _run(
    config: RunConfig,
    corpus: "Corpus",
    unlabelled: "Unlabelled | None",
    folder: Path,
    origin: Origin,
) -> dict[str, Any]:
    """Tokenize, train and save the encoder, all logged to MLflow."""
    from nlp_rnn.pretraining.pretraining_texts import tokenize_texts
    from nlp_rnn.tracking.run_lifecycle import tracked_run
    from nlp_rnn.training.device import memory_errors

    parameters = {f"tokenizer.{key}": value for key, value in tokenizer_options(config).items()}
    parameters |= shaping_options(config) | flatten_data(config)
    model = short_name(config)
    with tracked_run(
        origin.tracking_uri,
        origin.experiment_id,
        run_id=origin.run_id or None,
        name=config.tracking.run_name
        or os.environ.get("MLFLOW_RUN_NAME")
        or f"pretraining {model} seed{config.pretraining.seed}",
        parameters=parameters,
        tags={
            "kind": "pretraining",
            CONFIGURATION_TAG: f"pretraining {model} {corpus.name}",
            "cell": config.model.cell,
            "data": corpus.name,
            "run_folder": str(folder),
        },
        folder=folder,
        system_metrics=config.tracking.system_metrics,
    ) as run:
        print(f"run folder    {folder}", flush=True)
        if not origin.run_id:
            save_inputs(config, folder, origin, run)
            log_data(config.data, corpus, run)
        with announced(f"Tokenizing with {config.tokenizer.name}"):
            texts = tokenize_texts(corpus, config.tokenizer, unlabelled)
        with memory_errors("pretraining.batch_size"):
            models, result = _train(config, texts, folder, run)
        provenance = {
            "data": corpus.name,
            "data_digest": data_digest(corpus, unlabelled),
            "options": shaping_options(config),
            "tokens": len(texts.train.tokens),
            "validation": result.best_metrics,
            "best_epoch": result.best_epoch,
            "mlflow_run_id": run.run_id,
        }
        digest = save_encoder(
            folder / ENCODER,
            models.architecture,
            {name: tensor.cpu().numpy() for name, tensor in models.encoder_state().items()},
            texts.tokenizer_json,
            tokenizer_options(config),
            provenance,
        )
        metrics = _metrics(models, result)
        content: dict[str, Any] = {
            "run_id": run.run_id,
            "experiment_id": origin.experiment_id,
            "tracking_uri": origin.tracking_uri,
            "data_digest": origin.data_digest,
            "command": origin.command,
            "encoder": str(folder / ENCODER),
        }
        content |= {"digest": digest, "metrics": metrics}
        for path in sorted((folder / ENCODER).iterdir()):
            run.log_file(path, ENCODER)
        run.set_tags({"encoder_digest": digest})
        write_json(folder / RESULT, content)
        shutil.rmtree(folder / CHECKPOINT)
        run.log_text((folder / RESULT).read_text(encoding="utf-8"), RESULT)
        run.log_final(metrics)
        run.set_note(
            f"**Language models** of **{corpus.name}**, {model}: the perplexity of the validation "
            f"texts is **{metrics['validation/perplexity']:.1f}** per token.\n\n"
            f"    nlp-rnn train model.pretrained=runs:/{run.run_id} …\n\n"
            f"Created by `{origin.command}`"
        )
    print(
        f"perplexity {metrics['validation/perplexity']:.1f}  "
        f"{metrics['train/tokens_per_second']:,.0f} tokens/s\n"
        f"encoder       {folder / ENCODER}\nMLflow run    {run.run_id}",
        flush=True,
    )
    return content


def _train(
    config: RunConfig, texts: "PretrainingTexts", folder: Path, run: "TrackedRun"
) -> "tuple[LanguageModels, TrainingResult]":
    from nlp_rnn.model.network import make_network
    from nlp_rnn.pretraining.language_models import LanguageModels
    from nlp_rnn.pretraining.pretrainer import Pretrainer
    from nlp_rnn.training.events import EpochEnd
    from nlp_rnn.training.progress import TrainingProgress

    seed = config.pretraining.seed
    network = make_network(config.network, texts.vocab_size, 1, seed)
    models = LanguageModels(network, seed, config.pretraining.dropout)
    with TrainingProgress("perplexity") as progress:

        def on_epoch(event: EpochEnd) -> None:
            progress.on_epoch(event)
            run.log_metrics(event.metrics, step=event.epoch)

        trainer = Pretrainer(
            models,
            config.pretraining,
            config.trainer,
            on_update=progress.on_update,
            on_epoch=on_epoch,
            checkpoint=folder / CHECKPOINT / TENSORS,
        )
        run.set_tags({"device": str(trainer.device), "precision": trainer.precision})
        return models, trainer.fit(texts.train, texts.validation)


def _metrics(models: "LanguageModels", result: "TrainingResult") -> dict[str, float]:
    counts = models.architecture.parameter_counts()
    return result.best_metrics | {
        "train/seconds": result.seconds,
        "train/tokens_per_second": result.tokens_per_second,
        "train/epochs": float(result.epochs),
        "train/best_epoch": float(result.best_epoch),
        "train/updates": float(result.updates),
        "parameters/embedding": float(counts["embedding"]),
        "parameters/recurrent": float(counts["recurrent"]),
        "parameters/total": float(sum(p.numel() for p in models.parameters())),
    }


def flatten_data(config: RunConfig) -> dict[str, Any]:
    """Return the options of the data with dotted keys."""
    return {key: value for key, value in flatten(config).items() if key.startswith("data.")}
