"""A corpus becomes tokenized splits, kept in the cache as memory-mapped Arrow by content."""

import hashlib
import itertools
import json
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

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

# Part of the key of kept token ids: raise it when `encode` would give other ids.
ENCODING_VERSION = 2

# Share of the words of validation from which pieces of words are proposed.
MANY_UNKNOWN = 0.2


@dataclass(frozen=True)
class TokenVectors:
    """Word vectors float32 (V, E) of a vocabulary, 0 where `covered` bool (V,) is False."""

    matrix: NDArray[np.float32]
    covered: NDArray[np.bool_]


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
    quality: Quality
    vectors: TokenVectors | None = None


def cache_dir() -> Path:
    """Where tokenizers and token ids are kept: `NLP_RNN_CACHE`, else `~/.cache/nlp_rnn`."""
    if path := os.environ.get("NLP_RNN_CACHE"):
        return Path(path).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "nlp_rnn"


def tokenize_corpus(
    corpus: Corpus, config: TokenizerConfig, pretrained: str | None = None
) -> TokenizedCorpus:
    """Train or find the tokenizer, and tokenize train and validation or find them tokenized.

    `pretrained` is the JSON of a tokenizer to take instead; how texts are cut, `config` says.
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
            "tokenizer=bpe reads them in pieces"
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
    """Token ids and labels of a text; its tokens before the cut, unknown ones after, characters."""
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
    unknown[num_tokens == 0] = 0  # the token of an empty text is no word that was not known
    columns = [
        labels.combine_chunks().cast(schema.field("label").type),
        pyarrow.ListArray.from_arrays(offsets, flat),
        *(pyarrow.array(numbers) for numbers in (num_tokens, unknown)),
        characters,
    ]
    return pyarrow.RecordBatch.from_arrays(columns, schema=schema)


def _describe(split: str, dataset: "Dataset", max_length: int, quality: Quality) -> None:
    """Note lengths, what the cut takes, characters per token and unknown tokens."""
    tokens, unknown, characters = (
        dataset.data.column(name).to_numpy()
        for name in ("num_tokens", "num_unknown", "num_characters")
    )
    median, p95, longest = (int(q) for q in np.quantile(tokens, (0.5, 0.95, 1.0)))
    kept = np.minimum(tokens, max_length)
    figures = {
        "tokens_median": median,
        "tokens_p95": p95,
        "tokens_max": longest,
        "texts_cut": float((tokens > max_length).mean()),
        "tokens_cut": 1 - float(kept.sum()) / max(int(tokens.sum()), 1),
        "characters_per_token": float(characters.sum()) / max(int(tokens.sum()), 1),
        "unknown_tokens": float(unknown.sum()) / max(int(kept.sum()), 1),
    }
    quality.figures.update({f"data/{split}_{name}": value for name, value in figures.items()})
    quality.lines.append(
        f"{split}: {median:,} tokens a text (median), {p95:,} (95 %), {longest:,} at most; "
        f"tokenizer.max_length={max_length} cuts {figures['texts_cut']:.1%} of the texts"
    )
    quality.lines.append(
        f"{split}: {figures['characters_per_token']:.2f} characters a token, "
        f"{figures['unknown_tokens']:.2%} of the tokens unknown"
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
