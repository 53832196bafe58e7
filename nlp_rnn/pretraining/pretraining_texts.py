"""Tokenized texts for pretraining: those of a corpus and unlabelled ones, without truncation."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nlp_rnn.caches import cache_dir
from nlp_rnn.config.tokenizer import TokenizerConfig
from nlp_rnn.data.corpus import Corpus, quiet_datasets
from nlp_rnn.data.unlabelled import Unlabelled
from nlp_rnn.pretraining.token_stream import TokenTexts
from nlp_rnn.sources.arrow_cache import arrow_batches, texts_of, write_arrow_file
from nlp_rnn.tokens.tokenization import ENCODING_VERSION
from nlp_rnn.tokens.tokenizer import cached_tokenizer, content_hash, encode_with_counts

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset
    from tokenizers import Tokenizer

__all__ = ["PretrainingTexts", "tokenize_texts"]


@dataclass(frozen=True)
class PretrainingTexts:
    """Token ids for training and validation, and their tokenizer.

    `tokenizer_json` is the tokenizer in the format of `tokenizers`, without truncation, and
    `vocab_size` the number of its tokens.
    """

    train: TokenTexts
    validation: TokenTexts
    tokenizer_json: str
    vocab_size: int


def tokenize_texts(
    corpus: Corpus, config: TokenizerConfig, unlabelled: Unlabelled | None = None
) -> PretrainingTexts:
    """Tokenize the training split with the unlabelled texts, and the validation split.

    The token ids are cached. The tokenizer is that of a classifier of this corpus. The test split
    is not used.
    """
    tokenizer = cached_tokenizer(
        texts_of(corpus.train), config, corpus.digest, cache_dir(), corpus.separator
    )
    tokenizer.no_truncation()
    train = _tokenized(tokenizer, corpus.train, (corpus.digest, "train"))
    if unlabelled is not None:
        extra = _tokenized(tokenizer, unlabelled.texts, (unlabelled.digest, "unlabelled"))
        train = TokenTexts(
            np.concatenate([train.tokens, extra.tokens]),
            np.concatenate([train.lengths, extra.lengths]),
        )
    validation = _tokenized(tokenizer, corpus.validation, (corpus.digest, "validation"))
    return PretrainingTexts(train, validation, tokenizer.to_str(), tokenizer.get_vocab_size())


def _tokenized(tokenizer: "Tokenizer", texts: "Dataset", name: tuple[str, str]) -> TokenTexts:
    import pyarrow

    key = json.dumps([ENCODING_VERSION, "whole", *name, content_hash(tokenizer)])
    path = cache_dir() / "tokens" / f"{hashlib.sha256(key.encode()).hexdigest()[:16]}.arrow"
    schema = pyarrow.schema([("input_ids", pyarrow.list_(pyarrow.int32()))])

    def rows() -> "Iterator[pyarrow.RecordBatch]":
        for table in arrow_batches(texts.select_columns("text")):
            ids, _ = encode_with_counts(tokenizer, table.column("text").to_pylist())
            yield pyarrow.RecordBatch.from_pydict({"input_ids": ids}, schema=schema)

    with quiet_datasets():
        column = write_arrow_file(Path(path), schema, rows()).data.column("input_ids")
    chunks = [chunk.flatten().to_numpy() for chunk in column.chunks]
    lengths = [np.diff(chunk.offsets.to_numpy()) for chunk in column.chunks]
    return TokenTexts(np.concatenate(chunks), np.concatenate(lengths).astype(np.int64))
