"""Tiny static embedding models and sentence encoders, in the layouts of the real ones."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
PIECES = [
    *"abcdefghijklmnopqrstuvwxyz!?.,",
    *(f"##{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"),
]
CARD = "---\nlanguage: en\nlicense: apache-2.0\n---\n# A tiny model\n"


def tiny_tokenizer(words: list[str]) -> Tokenizer:
    """A WordPiece tokenizer as that of BERT, which reads all letters and some whole words."""
    tokens = list(dict.fromkeys([*SPECIAL, *PIECES, *words]))
    vocabulary = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer()
    tokenizer.pre_tokenizer = BertPreTokenizer()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    return tokenizer


def write_static_model(
    folder: Path, words: list[str], size: int = 12, shared: bool = False, **meanings: list[str]
) -> Path:
    """Write a static embedding model whose vectors are random.

    Parameters
    ----------
    folder : Path
        The folder to write.
    words : list of str
        Words that are tokens.
    size : int
        Dimensions.
    shared : bool
        Whether the file has weights and a mapping, by which tokens share vectors.
    **meanings : list of str
        Words with nearly the same vector.
    """
    folder.mkdir(parents=True)
    tokenizer = tiny_tokenizer([*words, *(word for group in meanings.values() for word in group)])
    random = np.random.default_rng(0)
    number = tokenizer.get_vocab_size()
    rows = random.normal(size=(number, size)).astype(np.float32)
    mapping = np.arange(number)
    for group in meanings.values():
        ids = [tokenizer.token_to_id(word) for word in group]
        rows[ids] = rows[ids[0]] + 0.1 * random.normal(size=(len(ids), size))
        mapping[ids] = ids[0]
    arrays: dict[str, Any] = {"embeddings": rows}
    if shared:
        arrays["mapping"] = mapping.astype(np.int64)
        arrays["weights"] = random.uniform(0.5, 1.5, number).astype(np.float32)
    save_file(arrays, folder / "model.safetensors")
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "config.json").write_text(json.dumps({"normalize": True}))
    (folder / "README.md").write_text(CARD)
    return folder
