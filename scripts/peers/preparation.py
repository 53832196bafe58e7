"""Input of the programs of `scripts/bench_peers`: rows (parquet), texts (JSON) and token ids.

This project loads, splits and tokenizes the texts once, so that every program trains on the same
rows and tokens. `handover.py` reads these files.
"""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from nlp_rnn.config.data import FilesConfig
from nlp_rnn.config.tokenizer import CountedTokenizerConfig, TokenizerKind
from nlp_rnn.data.corpus import load_corpus
from nlp_rnn.tokens.tokenizer import cached_tokenizer, encode

# As in conf/tokenizer/bpe.yaml, so that `nlp-rnn train` uses the same tokenizer.
MIN_FREQUENCY = 5
SPLITS = ("train", "validation", "test")


def prepare(
    path: str,
    work: Path,
    *,
    limit: int | None,
    test_limit: int | None,
    vocab_size: int,
    max_length: int,
    facts: dict[str, int],
) -> dict[str, int]:
    """Write the data set at `path` to the folder `work`, and return the sizes of its splits.

    Parameters
    ----------
    path
        Folder of the data set.
    work
        Folder to write to.
    limit
        `data.limit`: number of rows before the validation split is cut.
    test_limit
        Number of test texts, a seeded random sample.
    vocab_size
        Size of the vocabulary of the tokenizer.
    max_length
        Largest number of tokens of a text.
    facts
        Values for facts.json, which also gets `vocab_size` and `num_labels`.

    Returns
    -------
    dict
        Numbers of texts and tokens of each split: `train_texts`, `train_tokens`, …
    """
    corpus = load_corpus(FilesConfig(name="files", path=path, limit=limit))
    files = work / "files"
    files.mkdir(parents=True)
    for split in SPLITS:
        rows = getattr(corpus, split)
        if split == "test":
            rows = rows.shuffle(seed=0).select(range(min(len(rows), test_limit or len(rows))))
        names = [corpus.labels[label] for label in rows["label"]]
        pq.write_table(
            pa.table({"text": list(rows["text"]), "label": names}), files / f"{split}.parquet"
        )
    # loaded as by `nlp-rnn train`, which then finds this tokenizer in the cache
    corpus = load_corpus(FilesConfig(name="files", path=str(files)))
    config = CountedTokenizerConfig(
        name="bpe",
        kind=TokenizerKind.bpe,
        vocab_size=vocab_size,
        max_length=max_length,
        min_frequency=MIN_FREQUENCY,
    )
    tokenizer = cached_tokenizer(corpus.train["text"], config, corpus.digest, work / "cache")
    counts = {}
    for split in SPLITS:
        rows = getattr(corpus, split)
        texts, labels = list(rows["text"]), np.asarray(rows["label"])
        ids = encode(tokenizer, texts)
        lengths = np.array([len(text) for text in ids])
        counts |= {f"{split}_texts": len(texts), f"{split}_tokens": int(lengths.sum())}
        flat = np.concatenate(ids).astype(np.int32)
        np.savez(work / f"{split}.npz", ids=flat, lengths=lengths, labels=labels)
        (work / f"{split}.json").write_text(json.dumps(texts), encoding="utf-8")
    sizes = {"vocab_size": tokenizer.get_vocab_size(), "num_labels": len(corpus.labels)}
    (work / "facts.json").write_text(json.dumps(facts | sizes), encoding="utf-8")
    return counts
