"""A tiny random sentence encoder in the layout of sentence-transformers, for tests."""

from collections.abc import Sequence
from pathlib import Path

import pytest

__all__ = ["save_tiny_encoder"]


def save_tiny_encoder(folder: Path, words: Sequence[str], seed: int = 0) -> Path:
    """Save an encoder that knows some words; skip the test without sentence-transformers."""
    library = pytest.importorskip("sentence_transformers", reason="needs nlp_rnn[teacher]")
    import torch
    import transformers

    torch.manual_seed(seed)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(words)]
    parts = folder / "parts"
    parts.mkdir(parents=True)
    (parts / "vocab.txt").write_text("\n".join(vocabulary))
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=40,
    )
    transformers.BertModel(config).save_pretrained(parts)
    transformers.BertTokenizerFast(str(parts / "vocab.txt")).save_pretrained(parts)
    transformer = library.models.Transformer(str(parts), max_seq_length=32)
    pooling = library.models.Pooling(16)
    encoder = library.SentenceTransformer(
        modules=[transformer, pooling, library.models.Normalize()], device="cpu"
    )
    encoder.save(str(folder / "encoder"))
    card = folder / "encoder" / "README.md"
    card.write_text("---\nlicense: apache-2.0\n---\n# Tiny\n")
    return folder / "encoder"
