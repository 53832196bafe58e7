"""Tokenized splits of a corpus, cached as memory-mapped Arrow files by content."""

import hashlib
import itertools
import json
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.caches import cache_dir
from nlp_rnn.config.tokenizer import TokenizerConfig, TokenizerKind
from nlp_rnn.data.corpus import Corpus, quiet_datasets
from nlp_rnn.data.quality import Quality
from nlp_rnn.errors import DataError
from nlp_rnn.sources.arrow_cache import arrow_batches, texts_of, write_arrow_file
from nlp_rnn.tokens.batches import TokenizedTexts
from nlp_rnn.tokens.tokenizer import (
    UNKNOWN_ID,
    cached_tokenizer,
    content_hash,
    encode_with_counts,
    set_truncation,
)

if TYPE_CHECKING:
    import pyarrow
    from datasets import Dataset

__all__ = ["TokenVectors", "TokenizedCorpus", "cache_dir", "open_tokens", "tokenize_corpus"]

# Part of the key of cached token ids: raise it when `encode` would return other ids.
ENCODING_VERSION = 2

# Share of unknown words in validation from which subwords are suggested.
MANY_UNKNOWN = 0.2


@dataclass(frozen=True)
class TokenVectors:
    """Word vectors for a vocabulary of V tokens.

    Attributes
    ----------
    matrix : float32 array of shape (V, E)
        The vectors; 0 for tokens without a vector.
    covered : bool array of shape (V,)
        Whether a token has a vector.
    """

    matrix: NDArray[np.float32]
    covered: NDArray[np.bool_]


@dataclass(frozen=True)
class TokenizedCorpus:
    """The train and validation splits as token ids.

    The test split is not included: the finished classifier encodes it once.

    Attributes
    ----------
    train, validation : TokenizedTexts
        The token ids.
    files : dict of str to Path
        The cached file of each split, for `open_tokens` in another process.
    tokenizer_json : str
        The tokenizer.
    vocab_size : int
        The number of its tokens.
    quality : Quality
        Lengths, truncation and unknown tokens.
    vectors : TokenVectors or None
        Word vectors for the vocabulary.
    """

    train: TokenizedTexts
    validation: TokenizedTexts
    files: dict[str, Path]
    tokenizer_json: str
    vocab_size: int
    quality: Quality
    vectors: TokenVectors | None = None


def tokenize_corpus(
    corpus: Corpus, config: TokenizerConfig, pretrained: str | None = None
) -> TokenizedCorpus:
    """Tokenize the train and validation split; the tokenizer and the token ids are cached.

    Parameters
    ----------
    corpus : Corpus
        The texts. The tokenizer is trained on its train split.
    config : TokenizerConfig
        The tokenizer and its truncation.
    pretrained : str, optional
        JSON of a tokenizer to use instead. `config` still determines the truncation.

    Raises
    ------
    DataError
        The tokenizer cannot be trained or loaded.
    """
    import pyarrow.compute as pc
    from tokenizers import Tokenizer

    cache = cache_dir()
    if pretrained is not None:
        tokenizer = Tokenizer.from_str(pretrained)
        set_truncation(tokenizer, config)
    else:
        tokenizer = cached_tokenizer(
            texts_of(corpus.train), config, corpus.digest, cache, corpus.separator
        )
    identity = content_hash(tokenizer)
    schema = _schema(corpus.train.features.arrow_schema.field("label").type)

    def rows(dataset: "Dataset") -> "Iterator[pyarrow.RecordBatch]":
        for table in arrow_batches(dataset):
            texts = table.column("text").combine_chunks()
            ids, counts = encode_with_counts(tokenizer, texts.to_pylist())
            yield _record_batch(schema, ids, counts, table.column("label"), pc.utf8_length(texts))

    files: dict[str, Path] = {}

    def tokenized(split: str) -> "Dataset":
        key = hashlib.sha256(
            json.dumps([ENCODING_VERSION, corpus.digest, split, identity]).encode()
        ).hexdigest()[:16]
        files[split] = cache / "tokens" / f"{key}.arrow"
        with quiet_datasets():
            return write_arrow_file(files[split], schema, rows(getattr(corpus, split)))

    train, validation = tokenized("train"), tokenized("validation")
    quality = Quality()
    max_length = config.max_length
    for split, dataset in (("train", train), ("validation", validation)):
        _describe(split, dataset, max_length, quality)
    unknown = quality.figures["data/validation_unknown_tokens"]
    if unknown > MANY_UNKNOWN and config.kind is TokenizerKind.word:
        quality.lines.append(
            f"validation: {unknown:.0%} of the words are unknown; "
            "tokenizer=bpe splits them into subwords"
        )
    return TokenizedCorpus(
        train=TokenizedTexts(train),
        validation=TokenizedTexts(validation),
        files=files,
        tokenizer_json=tokenizer.to_str(),
        vocab_size=tokenizer.get_vocab_size(),
        quality=quality,
    )


def _schema(label: "pyarrow.DataType") -> "pyarrow.Schema":
    """Return the schema of cached splits, with label and token ids of each text.

    `num_tokens` is counted before truncation, `num_unknown` after it.
    """
    import pyarrow

    numbers = ("num_tokens", "num_unknown", "num_characters")
    return pyarrow.schema(
        [
            ("label", label),
            ("input_ids", pyarrow.list_(pyarrow.int32())),
            *((name, pyarrow.int32()) for name in numbers),
        ]
    )


def _record_batch(
    schema: "pyarrow.Schema", ids: list[list[int]], counts: list[int], labels: Any, characters: Any
) -> "pyarrow.RecordBatch":
    import pyarrow

    flat = np.fromiter(itertools.chain.from_iterable(ids), np.int32)
    offsets = np.zeros(len(ids) + 1, np.int32)
    np.cumsum([len(tokens) for tokens in ids], out=offsets[1:])
    unknown = np.add.reduceat(flat == UNKNOWN_ID, offsets[:-1], dtype=np.int32)
    num_tokens = np.array(counts, np.int32)
    unknown[num_tokens == 0] = 0  # the token of an empty text is not an unknown word
    columns = [
        labels.combine_chunks().cast(schema.field("label").type),
        pyarrow.ListArray.from_arrays(offsets, flat),
        *(pyarrow.array(numbers) for numbers in (num_tokens, unknown)),
        characters,
    ]
    return pyarrow.RecordBatch.from_arrays(columns, schema=schema)


def _describe(split: str, dataset: "Dataset", max_length: int, quality: Quality) -> None:
    """Record lengths, truncation, characters per token and unknown tokens of a split."""
    tokens, unknown, characters = (
        dataset.data.column(name).to_numpy()
        for name in ("num_tokens", "num_unknown", "num_characters")
    )
    median, p95, longest = (int(q) for q in np.quantile(tokens, (0.5, 0.95, 1.0)))
    truncated = np.minimum(tokens, max_length)
    figures = {
        "tokens_median": median,
        "tokens_p95": p95,
        "tokens_max": longest,
        "texts_cut": float((tokens > max_length).mean()),
        "tokens_cut": 1 - float(truncated.sum()) / max(int(tokens.sum()), 1),
        "characters_per_token": float(characters.sum()) / max(int(tokens.sum()), 1),
        "unknown_tokens": float(unknown.sum()) / max(int(truncated.sum()), 1),
    }
    quality.figures.update({f"data/{split}_{name}": value for name, value in figures.items()})
    quality.lines.append(
        f"{split}: {median:,} tokens per text (median), {p95:,} (95 %), {longest:,} (maximum); "
        f"tokenizer.max_length={max_length} truncates {figures['texts_cut']:.1%} of the texts"
    )
    quality.lines.append(
        f"{split}: {figures['characters_per_token']:.2f} characters per token, "
        f"{figures['unknown_tokens']:.2%} of the tokens unknown"
    )


def open_tokens(path: Path) -> TokenizedTexts:
    """Open a file of token ids that `tokenize_corpus` wrote in another process.

    Raises
    ------
    DataError
        There is no such file, as when machines do not share the cache.
    """
    from datasets import Dataset

    if not path.is_file():
        raise DataError(
            f"{path} does not exist on {platform.node()}.\nSet NLP_RNN_CACHE to a folder that all "
            "machines share."
        )
    with quiet_datasets():
        return TokenizedTexts(Dataset.from_file(str(path)))
