"""Initial weights from a pretrained encoder: download, check that it fits, copy the weights."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.config.model import NetworkConfig
from nlp_rnn.config.pretraining import AUTO
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.signature import flatten
from nlp_rnn.errors import ClassifierError, ConfigError, DataError
from nlp_rnn.pretraining.encoder_folder import ENCODER, Encoder, read_encoder

if TYPE_CHECKING:
    from nlp_rnn.model.network import TextNetwork
    from nlp_rnn.tokens.tokenization import TokenizedCorpus

__all__ = [
    "check_encoder",
    "initial_network",
    "set_encoder",
    "tokenizer_options",
    "with_local_encoder",
]

SIZES = ("cell", "embedding_size", "hidden_size", "num_layers", "bidirectional")
INITIALIZATION = ("model.recurrent_init", "model.forget_bias")


def tokenizer_options(config: RunConfig) -> dict[str, Any]:
    """Return the options that determine the tokenizer, except for truncation."""
    skipped = ("tokenizer.name", "tokenizer.max_length", "tokenizer.truncation")
    return {
        key.partition(".")[2]: value
        for key, value in flatten(config).items()
        if key.startswith("tokenizer.") and key not in skipped
    }


def with_local_encoder(config: RunConfig) -> RunConfig:
    """Return a copy of `config` whose `model.pretrained` is a local folder that fits the model.

    An encoder of `runs:/ID` is downloaded once into the cache; null and `auto` stay as they are.

    Raises
    ------
    ClassifierError
        If there is no such encoder.
    ConfigError
        If the model or the tokenizer differ from those of the encoder.
    """
    pretrained = config.model.pretrained if isinstance(config.model, NetworkConfig) else None
    if pretrained is None or pretrained == AUTO:
        return config
    if pretrained.startswith("runs:/"):
        pretrained = str(_download(pretrained, config))
        config = replace(config, model=replace(config.network, pretrained=pretrained))
    check_encoder(read_encoder(Path(pretrained)), config)
    return config


def _download(pretrained: str, config: RunConfig) -> Path:
    """Return the cached folder of an encoder that was logged to MLflow."""
    from nlp_rnn.caches import cache_dir
    from nlp_rnn.classifier.location import local_folder
    from nlp_rnn.tracking.environment import default_tracking_uri
    from nlp_rnn.tracking.uri import resolve_uri

    run_id = pretrained.removeprefix("runs:/").removesuffix(f"/{ENCODER}")
    folder = cache_dir() / "encoders" / run_id
    if not folder.is_dir():
        uri = resolve_uri(config.tracking.uri, Path.cwd())
        try:
            with default_tracking_uri(uri), local_folder(f"runs:/{run_id}/{ENCODER}") as download:
                read_encoder(download)
                folder.parent.mkdir(parents=True, exist_ok=True)
                os.rename(_copied(download, folder.parent), folder)
        except ClassifierError as error:
            reason = str(error).splitlines()[0]
            raise ClassifierError(
                f"{reason}\nSet model.pretrained to runs:/ID, with the ID of a run of nlp-rnn "
                "pretrain, or to the path of its run folder."
            ) from error
    return folder


def _copied(folder: Path, parent: Path) -> Path:
    """Copy `folder` to a temporary folder in `parent`, from where it can be renamed atomically."""
    import shutil
    import tempfile

    temporary = Path(tempfile.mkdtemp(dir=parent, prefix="."))
    shutil.copytree(folder, temporary, dirs_exist_ok=True)
    return temporary


def check_encoder(encoder: Encoder, config: RunConfig) -> None:
    """Check that `config` describes the same cell, sizes and tokenizer as the encoder has.

    Raises
    ------
    ConfigError
        If they differ; the message has the options to set.
    """
    flat = flatten(config)
    expected = {f"model.{name}": encoder.sizes[name] for name in SIZES}
    options: Mapping[str, Any] = encoder.provenance["options"]
    expected |= {key: options[key] for key in INITIALIZATION if key in options}
    expected |= {f"tokenizer.{key}": value for key, value in encoder.tokenizer_options.items()}
    different = {key: value for key, value in expected.items() if flat.get(key) != value}
    if not different:
        return
    size = "model.hidden_size"
    if size in different and flat.get("model.match") is not None:
        raise ConfigError(
            f"{encoder.folder} was pretrained with {size}={different[size]}, but model.match="
            f"{flat['model.match']} requires {size}={flat[size]}.\n"
            f"Remove model.match, or pretrain an encoder with {size}={flat[size]}."
        )
    actual = ", ".join(f"{key}={_argument(flat.get(key))}" for key in different)
    groups = {"model.cell": "model", "tokenizer.kind": "tokenizer"}
    arguments = " ".join(
        f"{groups.get(key, key)}={_argument(value)}" for key, value in different.items()
    )
    raise ConfigError(
        f"{encoder.folder} was not pretrained with {actual}.\nSet {arguments}, or pretrain again."
    )


def _argument(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def initial_network(
    config: RunConfig, tokens: "TokenizedCorpus", num_labels: int, encoder: Encoder | None
) -> "TextNetwork":
    """Return a network with its initial weights, word vectors or a pretrained encoder.

    Parameters
    ----------
    config : RunConfig
        The resolved configuration.
    tokens : TokenizedCorpus
        The tokenized texts, with word vectors if `model.vectors` is set.
    num_labels : int
        C.
    encoder : Encoder, optional
        The pretrained encoder.
    """
    from nlp_rnn.model.embedding_vectors import set_vectors
    from nlp_rnn.model.network import make_network

    network = make_network(config.network, tokens.vocab_size, num_labels, config.seed)
    if tokens.vectors is not None:
        set_vectors(network.embedding, tokens.vectors.matrix, tokens.vectors.covered)
    if encoder is not None:
        set_encoder(network, encoder, tokens)
    return network


def set_encoder(network: "TextNetwork", encoder: Encoder, tokens: "TokenizedCorpus") -> None:
    """Copy all pretrained weights into the embedding and the encoder of `network`.

    Raises
    ------
    DataError
        If the texts were tokenized by another tokenizer.
    """
    import torch

    if _without_truncation(tokens.tokenizer_json) != _without_truncation(encoder.tokenizer_json):
        raise DataError(
            f"The texts were not tokenized by the tokenizer of {encoder.folder}.\n"
            "Pretrain again on this data, or remove model.pretrained."
        )
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for name, value in encoder.state.items():
            parameters[name].copy_(torch.from_numpy(value.copy()))


def _without_truncation(tokenizer_json: str) -> Any:
    return json.loads(tokenizer_json) | {"truncation": None}
