"""Pretrained encoder of a classifier: loaded from a folder, or pretrained on demand and cached.

With `model.pretrained=auto` the encoder is that of language models trained on the training split
and the texts of `data.unlabelled`. The cache key is a hash of everything that determines the
result: the texts, the tokenizer and the options of the model and the pretraining. So all runs of a
sweep that differ only in the seed of the classifier share one encoder. A command that was
interrupted during the pretraining resumes it when it is run again.
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.config.model import NetworkConfig
from nlp_rnn.config.pretraining import AUTO
from nlp_rnn.config.run import RunConfig
from nlp_rnn.errors import ClassifierError, ConfigError, DataError, TrackingError, TrainingError
from nlp_rnn.pretraining.encoder_folder import Encoder, read_encoder
from nlp_rnn.pretraining.initial_weights import check_encoder
from nlp_rnn.pretraining.pipeline import (
    data_digest,
    read_unlabelled_texts,
    resume_with_data,
    shaping_options,
    start,
)
from nlp_rnn.runs.run_folder import interrupted

if TYPE_CHECKING:
    from nlp_rnn.data.corpus import Corpus

__all__ = ["obtain_encoder"]

# Part of the cache key. Increase it when a change of the code changes the encoders.
VERSION = 1


def obtain_encoder(
    config: RunConfig, corpus: "Corpus", uri: str, experiment_id: str
) -> Encoder | None:
    """Return the pretrained encoder that the option `model.pretrained` selects.

    The option is the path of an encoder folder; `auto` for the encoder from the cache, which is
    pretrained first if the cache does not have it; or null.

    Parameters
    ----------
    config : RunConfig
        The configuration of the classifier.
    corpus : Corpus
        The data set of the classifier. For `auto`, language models are trained on its training
        split and evaluated on its validation split.
    uri, experiment_id : str
        Tracking URI and id of the MLflow experiment to which a new pretraining is logged.

    Returns
    -------
    Encoder or None
        The encoder; None if `model.pretrained` is null.

    Raises
    ------
    ClassifierError
        The encoder folder is missing or damaged.
    ConfigError
        The encoder has another cell, another size or another tokenizer than `config`.
    NlpRnnError
        The pretraining failed.
    """
    pretrained = config.model.pretrained if isinstance(config.model, NetworkConfig) else None
    if pretrained is None:
        return None
    if pretrained == AUTO:
        folder = _cached_folder(config, corpus, uri, experiment_id)
    else:
        folder = Path(pretrained)
    encoder = read_encoder(folder)
    check_encoder(encoder, config)
    return encoder


def _cached_folder(config: RunConfig, corpus: "Corpus", uri: str, experiment_id: str) -> Path:
    """Return the cache folder with the encoder for `auto`; run or resume the pretraining if needed.

    A pretraining that cannot be resumed, or whose encoder is damaged, is started again.
    """
    from filelock import FileLock

    from nlp_rnn.caches import cache_dir
    from nlp_rnn.pretraining.initial_weights import tokenizer_options

    unlabelled = read_unlabelled_texts(config, corpus)
    key_parts = [
        VERSION,
        data_digest(corpus, unlabelled),
        corpus.separator,
        tokenizer_options(config),
        shaping_options(config),
    ]
    key = hashlib.sha256(json.dumps(key_parts, sort_keys=True).encode()).hexdigest()[:16]
    folder = cache_dir() / "pretraining" / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    # one process pretrains, the others wait for it
    with FileLock(folder.with_suffix(".lock")):
        try:
            encoder = read_encoder(folder)
            print(f"pretrained    {encoder.folder} (cached)", flush=True)
            return folder
        except ClassifierError:
            pass  # missing or damaged, so it is pretrained again
        if interrupted(folder):
            try:
                resume_with_data(config, corpus, unlabelled, folder)
                return folder
            except (ConfigError, DataError, TrackingError, TrainingError) as error:
                print(f"Starting the pretraining again: {error}", flush=True)
        command = "nlp-rnn train model.pretrained=auto"
        start(config, corpus, unlabelled, folder, uri, experiment_id, command)
    return folder
