"""What a classifier is to start from becomes the first weights of its embedding and encoder."""

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.signature import flatten
from nlp_rnn.errors import ClassifierError, ConfigError, DataError
from nlp_rnn.pretraining.encoder_folder import ENCODER, Encoder, read_encoder

if TYPE_CHECKING:
    from nlp_rnn.model.network import TextNetwork
    from nlp_rnn.tokens.tokenization import TokenizedCorpus

__all__ = ["check_encoder", "set_encoder", "tokenizer_options", "with_local_encoder"]

SIZES = ("cell", "embedding_size", "hidden_size", "num_layers", "bidirectional")
BEGINNINGS = ("model.recurrent_init", "model.forget_bias")


def tokenizer_options(config: RunConfig) -> dict[str, Any]:
    """The options that decide which tokenizer it is; how texts are cut is not among them."""
    skipped = ("tokenizer.name", "tokenizer.max_length", "tokenizer.truncation")
    return {
        key.partition(".")[2]: value
        for key, value in flatten(config).items()
        if key.startswith("tokenizer.") and key not in skipped
    }


def with_local_encoder(config: RunConfig) -> RunConfig:
    """Return a copy of `config` in which a `model.pretrained` of MLflow is a local folder.

    The encoder is downloaded once into the cache.

    Raises:
        ClassifierError: MLflow has no such encoder.
    """
    place = config.model.pretrained
    if place is None or not place.startswith("runs:/"):
        return config
    from nlp_rnn.classifier.location import local_folder
    from nlp_rnn.tokens.tokenization import cache_dir
    from nlp_rnn.tracking.environment import default_tracking_uri
    from nlp_rnn.tracking.uri import resolve_uri

    run_id = place.removeprefix("runs:/").removesuffix(f"/{ENCODER}")
    kept = cache_dir() / "encoders" / run_id
    if not kept.is_dir():
        uri = resolve_uri(config.tracking.uri, Path.cwd())
        try:
            with default_tracking_uri(uri), local_folder(f"runs:/{run_id}/{ENCODER}") as found:
                read_encoder(found)
                kept.parent.mkdir(parents=True, exist_ok=True)
                os.rename(_copied(found, kept), kept)
        except ClassifierError as error:
            reason = str(error).splitlines()[0]
            raise ClassifierError(
                f"{reason}\nType model.pretrained=runs:/ID with the id of a run of nlp-rnn "
                "pretrain, or the path of its run folder."
            ) from error
    return replace(config, model=replace(config.model, pretrained=str(kept)))


def _copied(found: Path, kept: Path) -> Path:
    import shutil
    import tempfile

    temporary = Path(tempfile.mkdtemp(dir=kept.parent, prefix="."))
    shutil.copytree(found, temporary, dirs_exist_ok=True)
    return temporary


def check_encoder(encoder: Encoder, config: RunConfig) -> None:
    """Refuse a model or tokenizer that is not the encoder's.

    Raises:
        ConfigError: with the words to type instead.
    """
    flat = flatten(config)
    wanted = {f"model.{name}": encoder.sizes[name] for name in SIZES}
    options: Mapping[str, Any] = encoder.provenance["options"]
    wanted |= {key: options[key] for key in BEGINNINGS if key in options}
    wanted |= {f"tokenizer.{key}": value for key, value in encoder.tokenizer_options.items()}
    wrong = {key: value for key, value in wanted.items() if flat.get(key) != value}
    if not wrong:
        return
    found = ", ".join(f"{key}={_word(flat.get(key))}" for key in wrong)
    groups = {"model.cell": "model", "tokenizer.kind": "tokenizer"}
    typed = " ".join(f"{groups.get(key, key)}={_word(value)}" for key, value in wrong.items())
    raise ConfigError(
        f"{encoder.folder} was pretrained otherwise than {found}.\nType {typed}, or pretrain again."
    )


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) or value is None else str(value)


def set_encoder(network: "TextNetwork", encoder: Encoder, tokens: "TokenizedCorpus") -> None:
    """Copy the pretrained weights into `network`, all of them exactly.

    Raises:
        DataError: the texts were tokenized by another tokenizer.
    """
    import torch

    if _content(tokens.tokenizer_json) != _content(encoder.tokenizer_json):
        raise DataError(
            f"The texts were not tokenized by the tokenizer of {encoder.folder}.\n"
            "Pretrain again on this data, or leave model.pretrained out."
        )
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for name, value in encoder.state.items():
            parameters[name].copy_(torch.from_numpy(value.copy()))


def _content(tokenizer_json: str) -> Any:
    return json.loads(tokenizer_json) | {"truncation": None}
