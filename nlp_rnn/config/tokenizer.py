"""Schemas of the tokenizer."""

from dataclasses import dataclass
from enum import Enum

from nlp_rnn.config.option import MISSING, at_least, between, option

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
    """Options of every tokenizer."""

    name: str = option(MISSING, "Name of the tokenizer, for run names and tables.")
    kind: TokenizerKind = option(TokenizerKind.bpe, "Algorithm; set it with tokenizer=….")
    max_length: int = option(800, "Tokens of a text to read at most.", at_least(1))
    truncation: Truncation = option(
        Truncation.head_tail, "Part of a longer text to read: head, tail, or half of each."
    )


@dataclass
class GivenTokenizerConfig(TokenizerConfig):
    """An existing tokenizer, used as it is."""

    path: str = option(MISSING, "A tokenizer.json, a folder that holds one, or a name on the hub.")
    revision: str | None = option(
        None, "Branch, tag or commit on the hub (null: the default branch)."
    )


@dataclass
class TrainedTokenizerConfig(TokenizerConfig):
    """A tokenizer that is trained on the training split."""

    vocab_size: int = option(8000, "Vocabulary size at most.", between(8, 1000000))
    lowercase: bool = option(True, "Convert texts to lower case.")
    unicode: UnicodeForm = option(UnicodeForm.nfkc, "Unicode normalization form.")
    strip_accents: bool = option(False, "Remove accents.")
    split_digits: bool = option(False, "Make every digit a token.")


@dataclass
class CountedTokenizerConfig(TrainedTokenizerConfig):
    """A trained tokenizer with a minimum frequency: all kinds except unigram."""

    min_frequency: int = option(
        2, "Occurrences that a token or a merge needs at least.", at_least(1)
    )
