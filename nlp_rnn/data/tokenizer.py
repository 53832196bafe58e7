"""Training texts become a tokenizer, and texts become lists of token ids; never an empty list.

The tokenizer is one of the `tokenizers` library and is saved whole in `tokenizer.json`,
truncation included. WordPiece and Unigram give other ids each time they are trained, so a
tokenizer is trained once, kept under a key of its data and options, and named by the hash of
its content. Imports nothing that a saved classifier can do without.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from nlp_rnn.config import TokenizerConfig

__all__ = ["PAD_ID", "UNKNOWN_ID", "content_hash", "encode", "keep_tokenizer", "train_tokenizer"]

PAD = "[PAD]"
UNKNOWN = "[UNK]"
PAD_ID = 0
UNKNOWN_ID = 1

# Part of the key of a kept tokenizer: raise it when the code below would train another one.
TRAINING_VERSION = 2


def train_tokenizer(texts: Iterable[str], config: "TokenizerConfig") -> "Tokenizer":
    """Train on `texts` (the training split, nothing else).

    Byte-pair encoding: Sennrich et al. 2016, arXiv:1508.07909. WordPiece: Schuster & Nakajima
    2012. Unigram: Kudo 2018, arXiv:1804.10959. All see words as the Unicode-aware split into
    runs of letters and runs of punctuation, after NFKC and, by option, lower-casing.

    Raises:
        DataError: `vocab_size` is smaller than the characters the texts need, or no text
            has a token.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    from nlp_rnn.config import CountedTokenizerConfig, TokenizerKind

    common: dict[str, Any] = {
        "special_tokens": [PAD, UNKNOWN],
        "show_progress": False,
        "vocab_size": config.vocab_size,
    }
    if isinstance(config, CountedTokenizerConfig):
        common["min_frequency"] = config.min_frequency
    trainer: Any
    match config.kind:
        case TokenizerKind.bpe:
            # a piece within a word is another token than the same letters at its beginning
            tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN, continuing_subword_prefix="##"))
            trainer = trainers.BpeTrainer(continuing_subword_prefix="##", **common)
        case TokenizerKind.wordpiece:
            tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
            trainer = trainers.WordPieceTrainer(**common)
        case TokenizerKind.unigram:
            tokenizer = Tokenizer(models.Unigram())
            trainer = trainers.UnigramTrainer(unk_token=UNKNOWN, **common)
        case TokenizerKind.word | TokenizerKind.char:
            tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
            trainer = trainers.WordLevelTrainer(**common)
    steps: list[Any] = [normalizers.NFKC()]
    if config.lowercase:
        steps.append(normalizers.Lowercase())
    tokenizer.normalizer = normalizers.Sequence(steps)
    if config.kind is TokenizerKind.char:
        # every character is a token, a run of white space is one
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"\s+|\S"), "isolated")
    else:
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    try:
        tokenizer.train_from_iterator((encodable(text) for text in texts), trainer)
    except Exception as error:  # the library raises bare Exception
        raise DataError(
            f"The {config.kind.name} tokenizer could not be trained: {error}. "
            "Type tokenizer=word, or another tokenizer.vocab_size."
        ) from error
    _check_vocabulary(tokenizer, config)
    tokenizer.enable_truncation(max_length=config.max_length)
    return tokenizer


def _check_vocabulary(tokenizer: "Tokenizer", config: "TokenizerConfig") -> None:
    size = tokenizer.get_vocab_size()
    if tokenizer.token_to_id(PAD) != PAD_ID or tokenizer.token_to_id(UNKNOWN) != UNKNOWN_ID:
        raise DataError(f"tokenizer.kind={config.kind.name} did not keep {PAD} and {UNKNOWN}.")
    if size <= 2:
        raise DataError(
            "The training texts hold no token that occurs often enough to be kept. "
            "Type tokenizer.min_frequency=1, or look at the texts."
        )


def keep_tokenizer(
    texts: Iterable[str], config: "TokenizerConfig", data_digest: str, cache: Path
) -> "Tokenizer":
    """The tokenizer kept in `cache` for this data and these options; trained first if missing."""
    from filelock import FileLock
    from tokenizers import Tokenizer, __version__

    from nlp_rnn.config import plain

    shaping = [TRAINING_VERSION, __version__, data_digest, plain(config)]
    key = hashlib.sha256(json.dumps(shaping).encode()).hexdigest()[:16]
    path = cache / "tokenizers" / f"{key}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    # One trains, the others wait for it: trained twice, some kinds would give other ids.
    with FileLock(path.with_suffix(".lock")):
        if path.is_file():
            return Tokenizer.from_file(str(path))
        tokenizer = train_tokenizer(texts, config)
        temporary = path.with_suffix(".part")
        temporary.write_text(tokenizer.to_str(), encoding="utf-8")
        os.replace(temporary, path)
    return tokenizer


def content_hash(tokenizer: "Tokenizer") -> str:
    """SHA-256 of the tokenizer's JSON, in hexadecimal."""
    return hashlib.sha256(tokenizer.to_str().encode()).hexdigest()


def encodable(text: str) -> str:
    """`text` with lone surrogates, which UTF-8 cannot hold, replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def encode(tokenizer: "Tokenizer", texts: Sequence[str]) -> list[list[int]]:
    """Token ids of each text, cut at the tokenizer's `max_length`; `[UNKNOWN_ID]` when empty."""
    encodings = tokenizer.encode_batch_fast(
        [encodable(text) for text in texts], add_special_tokens=False
    )
    return [encoding.ids or [UNKNOWN_ID] for encoding in encodings]
