"""A corpus becomes tokenized splits, kept in the cache as memory-mapped Arrow by content."""

import hashlib
import json
import os
import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlp_rnn.config import TokenizerConfig
from nlp_rnn.data.batches import TokenizedTexts
from nlp_rnn.data.corpus import Corpus, quiet_datasets
from nlp_rnn.data.tokenizer import content_hash, encode, keep_tokenizer
from nlp_rnn.errors import DataError

__all__ = ["TokenizedCorpus", "cache_dir", "open_tokens", "tokenize_corpus"]

# Part of the key of kept token ids: raise it when `encode` would give other ids.
ENCODING_VERSION = 1


@dataclass(frozen=True)
class TokenizedCorpus:
    """The training and validation splits as token ids, and the tokenizer that made them.

    `files` are where both are kept, for `open_tokens` in another process.

    The test split is not here: it is read once, by the finished classifier.
    """

    train: TokenizedTexts
    validation: TokenizedTexts
    files: dict[str, Path]
    tokenizer_json: str
    vocab_size: int


def cache_dir() -> Path:
    """Where tokenizers and token ids are kept: `NLP_RNN_CACHE`, else `~/.cache/nlp_rnn`."""
    if path := os.environ.get("NLP_RNN_CACHE"):
        return Path(path).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "nlp_rnn"


def tokenize_corpus(corpus: Corpus, config: TokenizerConfig) -> TokenizedCorpus:
    """Train or find the tokenizer, and tokenize train and validation or find them tokenized."""
    cache = cache_dir()
    texts = (
        text for batch in corpus.train.select_columns("text").iter(1000) for text in batch["text"]
    )
    tokenizer = keep_tokenizer(texts, config, corpus.digest, cache)
    identity = content_hash(tokenizer)

    def ids(batch: dict[str, list[Any]]) -> dict[str, list[list[int]]]:
        return {"input_ids": encode(tokenizer, batch["text"])}

    files: dict[str, Path] = {}

    def tokenized(split: str) -> TokenizedTexts:
        from datasets import Features, List, Value

        key = hashlib.sha256(
            json.dumps([ENCODING_VERSION, corpus.digest, split, identity]).encode()
        ).hexdigest()[:16]
        folder = cache / "tokens"
        folder.mkdir(parents=True, exist_ok=True)
        files[split] = folder / f"{key}.arrow"
        dataset = getattr(corpus, split)
        with quiet_datasets():
            return TokenizedTexts(
                dataset.map(
                    ids,
                    batched=True,
                    remove_columns=[name for name in dataset.column_names if name != "label"],
                    features=Features({"label": Value("int64"), "input_ids": List(Value("int32"))}),
                    cache_file_name=str(files[split]),
                    new_fingerprint=key,
                )
            )

    return TokenizedCorpus(
        train=tokenized("train"),
        validation=tokenized("validation"),
        files=files,
        tokenizer_json=tokenizer.to_str(),
        vocab_size=tokenizer.get_vocab_size(),
    )


def open_tokens(path: Path) -> TokenizedTexts:
    """Token ids that `tokenize_corpus` kept, in another process.

    Raises:
        DataError: there is no such file, as when machines do not share the cache.
    """
    from datasets import Dataset

    if not path.is_file():
        raise DataError(
            f"{platform.node()} does not see {path}.\nLet NLP_RNN_CACHE be a folder that all "
            "machines share."
        )
    with quiet_datasets():
        return TokenizedTexts(Dataset.from_file(str(path)))
