"""Training texts become a tokenizer, and texts become lists of token ids; never an empty list.

The tokenizer is one of the `tokenizers` library and is saved whole in `tokenizer.json`,
truncation included. WordPiece and Unigram give other ids each time they are trained, so a
tokenizer is trained once, kept under a key of its data and options, and named by the hash of
its content. Imports nothing that a saved classifier can do without.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from nlp_rnn.config.tokenizer import TokenizerConfig, TrainedTokenizerConfig

__all__ = [
    "MARK",
    "MARKED_WORD",
    "PAD_ID",
    "UNKNOWN_ID",
    "VARIATION_SELECTOR",
    "WORD_START",
    "cached_tokenizer",
    "content_hash",
    "encode",
    "encode_with_counts",
    "set_truncation",
    "train_tokenizer",
]

PAD = "[PAD]"
UNKNOWN = "[UNK]"
PAD_ID = 0
UNKNOWN_ID = 1

# BPE reads a mark before each word, so that a piece within a word is another token than the same
# letters at its beginning. The library's own way, a prefix for pieces within words, makes another
# tokenizer at each training.
MARK = "▁"
WORD_START = r"(?<!\w)(?=\w)"
MARKED_WORD = rf"{MARK}?\w+|[^\w\s{MARK}]+"

# A character of a script that is written without spaces, with the marks on it. As words of their
# own these are what a vocabulary of words can know; Chinese is parted by the normalizer.
UNSPACED = r"[\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー]\p{M}*"

# What says how the character before is drawn, and nothing else: a heart with it is a heart. As a
# word of its own it would tell where a heart was taken out of a text.
VARIATION_SELECTOR = r"[\x{FE00}-\x{FE0F}]"

# Part of the key of a kept tokenizer: raise it when the code below would train another one.
TRAINING_VERSION = 6

_ENDLESS = re.compile(r"\S{1000}(?=\S)")


def train_tokenizer(
    texts: Iterable[str], config: "TrainedTokenizerConfig", separator: str | None = None
) -> "Tokenizer":
    """Train on `texts` (the training split, nothing else); `separator` in them becomes a token.

    Byte-pair encoding: Sennrich et al. 2016, arXiv:1508.07909; over bytes, with the space before a
    word as part of it: Radford et al. 2019. WordPiece: Schuster & Nakajima 2012. Unigram: Kudo
    2018, arXiv:1804.10959. All but byte_bpe see words as the Unicode-aware split into runs of
    letters and runs of punctuation, and each Chinese character as a word; `word` also each
    character of Japanese, Thai, Lao, Khmer and Burmese. Before that come the options' normalizers,
    and variation selectors are dropped.

    Raises:
        DataError: `vocab_size` is smaller than the characters the texts need, or no text
            has a token.
    """
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    from nlp_rnn.config.tokenizer import CountedTokenizerConfig, TokenizerKind

    common: dict[str, Any] = {
        "special_tokens": [PAD, UNKNOWN, *([separator] if separator else [])],
        "show_progress": False,
        "vocab_size": config.vocab_size,
    }
    if isinstance(config, CountedTokenizerConfig):
        common["min_frequency"] = config.min_frequency
    trainer: Any
    match config.kind:
        case TokenizerKind.bpe:
            tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
            trainer = trainers.BpeTrainer(**common)
        case TokenizerKind.byte_bpe:
            tokenizer = Tokenizer(models.BPE(unk_token=UNKNOWN))
            common["initial_alphabet"] = pre_tokenizers.ByteLevel.alphabet()
            trainer = trainers.BpeTrainer(**common)
        case TokenizerKind.wordpiece:
            tokenizer = Tokenizer(models.WordPiece(unk_token=UNKNOWN))
            trainer = trainers.WordPieceTrainer(**common)
        case TokenizerKind.unigram:
            tokenizer = Tokenizer(models.Unigram())
            trainer = trainers.UnigramTrainer(unk_token=UNKNOWN, **common)
        case _:
            tokenizer = Tokenizer(models.WordLevel(unk_token=UNKNOWN))
            trainer = trainers.WordLevelTrainer(**common)
    _set_steps(tokenizer, config)
    try:
        tokenizer.train_from_iterator((_trainable(text, separator) for text in texts), trainer)
    except Exception as error:  # the library raises bare Exception
        raise DataError(
            f"The {config.kind.name} tokenizer could not be trained: {error}. "
            "Type tokenizer=word, or another tokenizer.vocab_size."
        ) from error
    _check_vocabulary(tokenizer, config, len(common["special_tokens"]))
    set_truncation(tokenizer, config)
    return tokenizer


def _set_steps(tokenizer: "Tokenizer", config: "TrainedTokenizerConfig") -> None:
    """Set what happens to a text before its words are looked up."""
    from tokenizers import Regex, normalizers, pre_tokenizers

    from nlp_rnn.config.tokenizer import TokenizerKind, UnicodeForm

    steps: list[Any] = []
    if config.unicode is not UnicodeForm.none:
        steps.append(getattr(normalizers, config.unicode.name.upper())())
    if config.strip_accents:
        steps += [normalizers.NFD(), normalizers.StripAccents()]
    if config.kind not in (TokenizerKind.char, TokenizerKind.byte_bpe):
        steps.append(normalizers.Replace(Regex(VARIATION_SELECTOR), ""))
        # blanks around Chinese characters, nothing else: without spaces, a text was one word
        steps.append(
            normalizers.BertNormalizer(
                clean_text=False, handle_chinese_chars=True, strip_accents=False, lowercase=False
            )
        )
    if config.lowercase:
        steps.append(normalizers.Lowercase())
    if config.kind is TokenizerKind.bpe:
        steps.append(normalizers.Replace(Regex(WORD_START), MARK))
    tokenizer.normalizer = normalizers.Sequence(steps)
    before: list[Any] = []
    if config.split_digits:
        before.append(pre_tokenizers.Digits(individual_digits=True))
    if config.kind is TokenizerKind.char:
        # every character is a token, a run of white space is one
        before.append(pre_tokenizers.Split(Regex(r"\s+|\S"), "isolated"))
    elif config.kind is TokenizerKind.byte_bpe:
        before.append(pre_tokenizers.ByteLevel(add_prefix_space=not config.split_digits))
    elif config.kind is TokenizerKind.bpe:
        before.insert(0, pre_tokenizers.Split(Regex(MARKED_WORD), "removed", invert=True))
    else:
        before.insert(0, pre_tokenizers.Whitespace())
        if config.kind is TokenizerKind.word:
            before.append(pre_tokenizers.Split(Regex(UNSPACED), "isolated"))
    tokenizer.pre_tokenizer = before[0] if len(before) == 1 else pre_tokenizers.Sequence(before)


def _trainable(text: str, separator: str | None) -> str:
    """`text` with blanks in words of over 1,000 characters, on which BPE trains for hours.

    And one in place of each separator, which the library would learn letter by letter.
    """
    text = encodable(text)
    if separator is not None:
        text = text.replace(separator, " ")
    return _ENDLESS.sub(r"\g<0> ", text) if len(text) >= 1000 else text


def set_truncation(tokenizer: "Tokenizer", config: "TokenizerConfig") -> None:
    """Write into the tokenizer's JSON how long texts are cut; `encode` reads it from there.

    The library itself cannot keep both ends. For head and tail the stride, which elsewhere is the
    overlap of windows over a text, says how many of the `max_length` tokens are the text's last.
    """
    from nlp_rnn.config.tokenizer import Truncation

    tokenizer.enable_truncation(
        max_length=config.max_length,
        direction="left" if config.truncation is Truncation.tail else "right",
        stride=config.max_length // 2 if config.truncation is Truncation.head_tail else 0,
    )


def _check_vocabulary(
    tokenizer: "Tokenizer", config: "TrainedTokenizerConfig", special: int
) -> None:
    size = tokenizer.get_vocab_size()
    if tokenizer.token_to_id(PAD) != PAD_ID or tokenizer.token_to_id(UNKNOWN) != UNKNOWN_ID:
        raise DataError(f"tokenizer.kind={config.kind.name} did not keep {PAD} and {UNKNOWN}.")
    if size <= special:
        raise DataError(
            "The training texts hold no token that occurs often enough to be kept. "
            "Type tokenizer=bpe, which reads pieces of words, or tokenizer.min_frequency=1."
        )


def cached_tokenizer(
    texts: Iterable[str],
    config: "TokenizerConfig",
    data_digest: str,
    cache: Path,
    separator: str | None = None,
) -> "Tokenizer":
    """The tokenizer kept in `cache` for this data and these options; trained first if missing."""
    from filelock import FileLock
    from tokenizers import Tokenizer, __version__

    from nlp_rnn.config.signature import plain
    from nlp_rnn.config.tokenizer import GivenTokenizerConfig, TrainedTokenizerConfig

    source = ""
    if isinstance(config, GivenTokenizerConfig):
        from nlp_rnn.tokens.existing_tokenizer import read_tokenizer_json, renumber_vocabulary

        source = read_tokenizer_json(config)
        data_digest = hashlib.sha256(source.encode()).hexdigest()  # no data shapes it
    shaping = [TRAINING_VERSION, __version__, data_digest, plain(config)]
    if separator is not None:
        shaping.append(separator)
    key = hashlib.sha256(json.dumps(shaping).encode()).hexdigest()[:16]
    path = cache / "tokenizers" / f"{key}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    # One trains, the others wait for it: trained twice, some kinds would give other ids.
    with FileLock(path.with_suffix(".lock")):
        if path.is_file():
            return Tokenizer.from_file(str(path))
        if isinstance(config, GivenTokenizerConfig):
            tokenizer = Tokenizer.from_str(renumber_vocabulary(source, PAD, UNKNOWN))
            if separator is not None:
                tokenizer.add_special_tokens([separator])
            set_truncation(tokenizer, config)
        else:
            assert isinstance(config, TrainedTokenizerConfig)
            tokenizer = train_tokenizer(texts, config, separator)
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
    """Token ids of each text, cut as the tokenizer's JSON says; `[UNKNOWN_ID]` when empty."""
    return encode_with_counts(tokenizer, texts)[0]


def encode_with_counts(
    tokenizer: "Tokenizer", texts: Sequence[str]
) -> tuple[list[list[int]], list[int]]:
    """`encode`, and the tokens that each text would have uncut, 0 when it has none."""
    truncation = tokenizer.truncation
    most, tail = (truncation["max_length"], truncation["stride"]) if truncation else (0, 0)
    encodings = tokenizer.encode_batch_fast(
        [encodable(text) for text in texts], add_special_tokens=False
    )
    ids: list[list[int]] = []
    counts: list[int] = []
    for encoding in encodings:
        tokens = encoding.ids
        count = len(tokens)
        # only a text of full length can have been cut
        if count == most and (windows := encoding.overflowing):
            if tail:
                # windows overlap by `tail`; the last one ends with the text
                tokens = tokens[: most - tail] + windows[-1].ids[-tail:]
                count = (most - tail) * len(windows) + len(windows[-1].ids)
            else:
                count += sum(len(window.ids) for window in windows)
        ids.append(tokens or [UNKNOWN_ID])
        counts.append(count)
    return ids, counts
