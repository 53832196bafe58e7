"""A configuration becomes the encoder its classifier starts from, pretrained if need be, and kept.

A pretraining is kept in the cache under what decides its outcome: texts, tokenizer, model and
options. So the seeds of a sweep share one, and whoever types an interrupted command again goes on.
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

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

# Part of the key: raise it when the same options would give another encoder.
VERSION = 1


def obtain_encoder(
    config: RunConfig, corpus: "Corpus", uri: str, experiment_id: str
) -> Encoder | None:
    """What `model.pretrained` names, checked; `auto` is found in the cache, or pretrained first.

    Raises:
        NlpRnnError: it is not there, is damaged, or does not fit; or the pretraining failed.
    """
    place = config.model.pretrained
    if place is None:
        return None
    folder = Path(place) if place != AUTO else _kept(config, corpus, uri, experiment_id)
    encoder = read_encoder(folder)
    check_encoder(encoder, config)
    return encoder


def _kept(config: RunConfig, corpus: "Corpus", uri: str, experiment_id: str) -> Path:
    from filelock import FileLock

    from nlp_rnn.pretraining.initial_weights import tokenizer_options
    from nlp_rnn.tokens.tokenization import cache_dir

    more = read_unlabelled_texts(config, corpus)
    shaping = [
        VERSION,
        data_digest(corpus, more),
        corpus.separator,
        tokenizer_options(config),
        shaping_options(config),
    ]
    key = hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()[:16]
    folder = cache_dir() / "pretraining" / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    # one pretrains, the others wait for it
    with FileLock(folder.with_suffix(".lock")):
        try:
            encoder = read_encoder(folder)
            print(f"pretrained    {encoder.folder} was there", flush=True)
            return folder
        except ClassifierError:
            pass  # not there yet, or damaged: it is made again
        if interrupted(folder):
            try:
                resume_with_data(config, corpus, more, folder)
                return folder
            except (ConfigError, DataError, TrackingError, TrainingError) as error:
                print(f"The pretraining cannot go on: {error}\nIt starts again.", flush=True)
        command = "nlp-rnn train model.pretrained=auto"
        start(config, corpus, more, folder, uri, experiment_id, command)
    return folder
