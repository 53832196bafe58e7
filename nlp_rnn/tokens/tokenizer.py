"""Training, caching and use of a tokenizer; a text never has an empty list of token ids.

The tokenizer is one of the library `tokenizers`. Its `tokenizer.json` includes the truncation.
WordPiece and Unigram get other ids at each training. Therefore a tokenizer is trained only once per
data set and options, and identified by the hash of its content. This module imports nothing that
a saved classifier does not need.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import DataError
from nlp_rnn.sources.separator import unescape_separator
from nlp_rnn.tokens.special_tokens import without_special_texts

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

# For BPE each word begins with this mark, so that a subword within a word is another token than the
# same letters at its beginning. The alternative of the library, a prefix for subwords within words,
# results in another tokenizer at each training.
MARK = "▁"
WORD_START = r"(?<!\w)(?=\w)"
MARKED_WORD = rf"{MARK}?\w+|[^\w\s{MARK}]+"

# A character, with its marks, of a script that is written without spaces. Each of them is a word,
# because a vocabulary cannot cover whole sentences. The normalizer separates Chinese characters.
UNSPACED = r"[\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー]\p{M}*"

# Variation selectors say only how the character before them is drawn. As separate words they would
# reveal where, for example, a heart was removed from a text.
VARIATION_SELECTOR = r"[\x{FE00}-\x{FE0F}]"

# Part of the key of a cached tokenizer: raise it when the code below would train another one.
TRAINING_VERSION = 6

_ENDLESS = re.compile(r"\S{1000}(?=\S)")


def train_tokenizer(
    texts: Iterable[str], config: "TrainedTokenizerConfig", separator: str | None = None
) -> "Tokenizer":
    """Train a tokenizer.

    Byte-pair encoding: Sennrich et al. 2016, arXiv:1508.07909. Over bytes, with the space before a
    word as part of it: Radford et al. 2019. WordPiece: Schuster & Nakajima 2012. Unigram: Kudo
    2018, arXiv:1804.10959.

    Texts are normalized as the options say, and variation selectors are removed. All kinds but
    byte_bpe then split texts into runs of letters and runs of punctuation, and treat each Chinese
    character as a word. `word` does the same with Japanese, Thai, Lao, Khmer and Burmese.

    Parameters
    ----------
    texts : iterable of str
        The train split, and nothing else.
    config : TrainedTokenizerConfig
        Kind and options.
    separator : str, optional
        A string in the texts that becomes a special token.

    Raises
    ------
    DataError
        The vocabulary is too small for the characters of the texts, or would have no token.
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
            "Set tokenizer=word, or another tokenizer.vocab_size."
        ) from error
    _check_vocabulary(tokenizer, config, len(common["special_tokens"]))
    set_truncation(tokenizer, config)
    return tokenizer


def _set_steps(tokenizer: "Tokenizer", config: "TrainedTokenizerConfig") -> None:
    """Set the normalizer and the pre-tokenizer."""
    from tokenizers import Regex, normalizers, pre_tokenizers

    from nlp_rnn.config.tokenizer import TokenizerKind, UnicodeForm

    steps: list[Any] = []
    if config.unicode is not UnicodeForm.none:
        steps.append(getattr(normalizers, config.unicode.name.upper())())
    if config.strip_accents:
        steps += [normalizers.NFD(), normalizers.StripAccents()]
    if config.kind not in (TokenizerKind.char, TokenizerKind.byte_bpe):
        steps.append(normalizers.Replace(Regex(VARIATION_SELECTOR), ""))
        # only adds blanks around Chinese characters: without spaces, a text would be one word
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
    """Return `text` in a form on which a tokenizer can be trained.

    Words of over 1,000 characters are divided by blanks: BPE would train for hours on them. Each
    separator is replaced by a blank: the library would treat it as letters. An escaped one is text.
    """
    text = encodable(text)
    text = unescape_separator(text.replace(separator, " "), separator) if separator else text
    return _ENDLESS.sub(r"\g<0> ", text) if len(text) >= 1000 else text


def set_truncation(tokenizer: "Tokenizer", config: "TokenizerConfig") -> None:
    """Set the truncation in the tokenizer, from where `encode` reads it.

    The library cannot retain both ends of a text. For `head_tail` its stride, which elsewhere is
    the overlap of windows, is the number of tokens that are retained from the end.
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
        raise DataError(f"The tokenizer of kind {config.kind.name} has no {PAD} or {UNKNOWN}.")
    if size <= special:
        raise DataError(
            "No token of the training texts occurs often enough for the vocabulary. "
            "Set tokenizer=bpe, which uses subwords, or tokenizer.min_frequency=1."
        )


def cached_tokenizer(
    texts: Iterable[str],
    config: "TokenizerConfig",
    data_digest: str,
    cache: Path,
    separator: str | None = None,
) -> "Tokenizer":
    """Return the tokenizer of a data set and options from the cache; train or load it if missing.

    Parameters
    ----------
    texts : iterable of str
        The train split; it is not iterated over if the cache has the tokenizer.
    config : TokenizerConfig
        A tokenizer to train, or the path of an existing one.
    data_digest : str
        Digest of the corpus.
    cache : Path
        The cache folder.
    separator : str, optional
        A string in the texts that is a special token.

    Raises
    ------
    DataError
        The tokenizer cannot be trained or loaded.
    """
    from filelock import FileLock
    from tokenizers import Tokenizer, __version__

    from nlp_rnn.config.signature import plain
    from nlp_rnn.config.tokenizer import GivenTokenizerConfig, TrainedTokenizerConfig

    source = ""
    if isinstance(config, GivenTokenizerConfig):
        from nlp_rnn.tokens.existing_tokenizer import read_tokenizer_json, renumber_vocabulary

        source = read_tokenizer_json(config)
        data_digest = hashlib.sha256(source.encode()).hexdigest()  # it does not depend on the data
    key_parts = [TRAINING_VERSION, __version__, data_digest, plain(config)]
    key_parts += [separator] if separator is not None else []
    key = hashlib.sha256(json.dumps(key_parts).encode()).hexdigest()[:16]
    path = cache / "tokenizers" / f"{key}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    # Other processes wait for the training: trained twice, some kinds have other ids.
    with FileLock(path.with_suffix(".lock")):
        if path.is_file():
            tokenizer = Tokenizer.from_file(str(path))
        elif isinstance(config, GivenTokenizerConfig):
            tokenizer = Tokenizer.from_str(renumber_vocabulary(source, PAD, UNKNOWN))
            if separator is not None:
                tokenizer.add_special_tokens([separator])
            set_truncation(tokenizer, config)
        else:
            assert isinstance(config, TrainedTokenizerConfig)
            tokenizer = train_tokenizer(texts, config, separator)
        if not path.is_file():
            temporary = path.with_suffix(".part")
            temporary.write_text(tokenizer.to_str(), encoding="utf-8")
            os.replace(temporary, path)
    return Tokenizer.from_str(without_special_texts(tokenizer.to_str(), separator))


def content_hash(tokenizer: "Tokenizer") -> str:
    """Return the SHA-256 hash of the tokenizer's JSON, in hexadecimal digits."""
    return hashlib.sha256(tokenizer.to_str().encode()).hexdigest()


def encodable(text: str) -> str:
    """Return `text` with lone surrogates, which UTF-8 cannot represent, replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def encode(tokenizer: "Tokenizer", texts: Sequence[str]) -> list[list[int]]:
    """Return the token ids of each text, truncated by the tokenizer; `[UNKNOWN_ID]` if empty."""
    return encode_with_counts(tokenizer, texts)[0]


def encode_with_counts(
    tokenizer: "Tokenizer", texts: Sequence[str]
) -> tuple[list[list[int]], list[int]]:
    """Return the token ids of each text as `encode` does, and its tokens before truncation.

    Returns
    -------
    ids : list of lists of int
        Token ids; `[UNKNOWN_ID]` for a text without tokens.
    counts : list of int
        Tokens before truncation; 0 for a text without tokens.
    """
    truncation = tokenizer.truncation
    max_length, tail = (truncation["max_length"], truncation["stride"]) if truncation else (0, 0)
    encodings = tokenizer.encode_batch_fast(
        [encodable(text) for text in texts], add_special_tokens=False
    )
    ids: list[list[int]] = []
    counts: list[int] = []
    for encoding in encodings:
        tokens = encoding.ids
        count = len(tokens)
        # only a text of full length can be truncated
        if count == max_length and (windows := encoding.overflowing):
            if tail:
                # windows overlap by `tail`; the last one ends with the text
                tokens = tokens[: max_length - tail] + windows[-1].ids[-tail:]
                count = (max_length - tail) * len(windows) + len(windows[-1].ids)
            else:
                count += sum(len(window.ids) for window in windows)
        ids.append(tokens or [UNKNOWN_ID])
        counts.append(count)
    return ids, counts
