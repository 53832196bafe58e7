"""Schemas of the tokenizer."""

from dataclasses import dataclass
from enum import Enum

from nlp_rnn.config.option import MISSING

__all__ = [
    "CountedTokenizerConfig",
    "GivenTokenizerConfig",
    "TokenizerConfig",
    "TokenizerKind",
    "TrainedTokenizerConfig",
    "Truncation",
    "UnicodeForm",
]

TokenizerKind = Enum(
    "TokenizerKind", ["bpe", "byte_bpe", "wordpiece", "unigram", "word", "char", "given"]
)
Truncation = Enum("Truncation", ["head", "tail", "head_tail"])
UnicodeForm = Enum("UnicodeForm", ["none", "nfc", "nfd", "nfkc", "nfkd"])


@dataclass
class TokenizerConfig:
    """What every tokenizer has: `max_length` tokens of a text are kept, and which."""

    name: str = MISSING
    kind: TokenizerKind = TokenizerKind.bpe
    max_length: int = 800
    truncation: Truncation = Truncation.head_tail


@dataclass
class GivenTokenizerConfig(TokenizerConfig):
    """A tokenizer that is there: `path` is a tokenizer.json, or a name on the hub."""

    path: str = MISSING
    revision: str | None = None


@dataclass
class TrainedTokenizerConfig(TokenizerConfig):
    """How texts become tokens; trained on the training split only."""

    vocab_size: int = 8000
    lowercase: bool = True
    unicode: UnicodeForm = UnicodeForm.nfkc
    strip_accents: bool = False
    split_digits: bool = False


@dataclass
class CountedTokenizerConfig(TrainedTokenizerConfig):
    """A tokenizer that keeps only what occurs often enough: all kinds but unigram."""

    min_frequency: int = 2
