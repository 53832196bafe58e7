"""A tiny random sentence encoder in the layout of sentence-transformers, for tests."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

__all__ = ["save_tiny_encoder"]

SIZE = 16
MODULES = (
    ("", "sentence_transformers.models.Transformer"),
    ("1_Pooling", "sentence_transformers.models.Pooling"),
    ("2_Normalize", "sentence_transformers.models.Normalize"),
)


def save_tiny_encoder(folder: Path, words: Sequence[str], seed: int = 0) -> Path:
    """Save an encoder that knows some words; skip the test without sentence-transformers."""
    pytest.importorskip("sentence_transformers", reason="needs nlp_rnn[teacher]")
    import torch
    import transformers

    torch.manual_seed(seed)
    encoder = folder / "encoder"
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(words)]
    config = transformers.BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=SIZE,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=2 * SIZE,
        max_position_embeddings=40,
    )
    transformers.BertModel(config).save_pretrained(encoder)
    (encoder / "vocab.txt").write_text("\n".join(vocabulary))
    transformers.BertTokenizerFast(str(encoder / "vocab.txt")).save_pretrained(encoder)
    files = {
        "modules.json": [
            {"idx": index, "name": str(index), "path": path, "type": kind}
            for index, (path, kind) in enumerate(MODULES)
        ],
        "sentence_bert_config.json": {"max_seq_length": 32, "do_lower_case": False},
        "1_Pooling/config.json": {
            "word_embedding_dimension": SIZE,
            "pooling_mode_mean_tokens": True,
        },
        "2_Normalize/config.json": {},
    }
    for name, content in files.items():
        path = encoder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
    (encoder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# Tiny\n")
    return encoder
