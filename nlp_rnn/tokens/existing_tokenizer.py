"""An existing tokenizer.json, from a file or the hub, with a renumbered vocabulary."""

import json
from pathlib import Path
from typing import Any

from nlp_rnn.config.tokenizer import GivenTokenizerConfig
from nlp_rnn.errors import DataError

__all__ = ["read_tokenizer_json", "renumber_vocabulary"]

FILE = "tokenizer.json"
_PADS = ("[PAD]", "<pad>", "<PAD>", "[pad]", "<|pad|>")


def read_tokenizer_json(config: GivenTokenizerConfig) -> str:
    """Return the content of the tokenizer.json at `config.path`.

    Parameters
    ----------
    config : GivenTokenizerConfig
        `path` is a file, a folder with a tokenizer.json, or the name of a repository on the hub.

    Raises
    ------
    DataError
        There is no such file, or it cannot be read or downloaded.
    """
    path = Path(config.path).expanduser()
    if path.is_dir():
        path = path / FILE
    if path.exists():
        if config.revision is not None:
            raise DataError(
                f"tokenizer.revision={config.revision} applies to the hub, but {path} is a file.\n"
                "Remove tokenizer.revision."
            )
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read: {error}") from error
    if path.suffix == ".json" or config.path.count("/") > 1:
        raise DataError(
            f"There is no file {path.absolute()}.\n"
            "Set tokenizer.path to a tokenizer.json, or to the name of a repository on the hub."
        )
    return _from_hub(config)


def _from_hub(config: GivenTokenizerConfig) -> str:
    from contextlib import nullcontext

    import huggingface_hub

    from nlp_rnn.sources.hub import hub_is_reachable, offline
    from nlp_rnn.sources.path_errors import first_line

    reached = hub_is_reachable()
    try:
        with nullcontext() if reached else offline():
            downloaded = huggingface_hub.hf_hub_download(
                config.path, FILE, revision=config.revision, local_files_only=not reached
            )
        return Path(downloaded).read_text(encoding="utf-8")
    except Exception as error:
        where = "the hub" if reached else "the cache, and the hub cannot be reached"
        raise DataError(
            f"There is no {FILE} of {config.path} in {where}: {first_line(error)}\n"
            "Look up the name on the hub, or set tokenizer.path to a local tokenizer.json."
        ) from error


def renumber_vocabulary(content: str, pad: str, unknown: str) -> str:
    """Renumber a vocabulary so that the padding token is 0 and the unknown token 1.

    All other tokens keep their order. Padding, truncation and the special tokens at the ends of a
    text are removed, so that a text consists of its own tokens only.

    Parameters
    ----------
    content : str
        A tokenizer.json: BPE, WordPiece, WordLevel or Unigram.
    pad, unknown : str
        Tokens that are added if the tokenizer has no padding or unknown token.

    Returns
    -------
    str
        The changed tokenizer.json.

    Raises
    ------
    DataError
        `content` is not a tokenizer.json, or its model is not supported.
    """
    from tokenizers import Tokenizer

    try:
        Tokenizer.from_str(content)
        whole: dict[str, Any] = json.loads(content)
        model = whole["model"]
        kind = model.get("type", "BPE")
        ids: dict[str, int] = {token["content"]: token["id"] for token in whole["added_tokens"]}
        if kind == "Unigram":
            scores = {token: score for token, score in model["vocab"]}
            ids |= {token: index for index, (token, _) in enumerate(model["vocab"])}
            unknown_id = model.get("unk_id")
            unknown = unknown if unknown_id is None else model["vocab"][unknown_id][0]
        elif kind in ("BPE", "WordPiece", "WordLevel"):
            ids |= model["vocab"]
            unknown = model.get("unk_token") or unknown
        else:
            raise DataError(
                f"Tokenizers of type {kind} are not supported.\n"
                "Set tokenizer.path to one of type BPE, WordPiece, WordLevel or Unigram."
            )
    except DataError:
        raise
    except Exception as error:  # the library raises bare Exception
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise DataError(
            f"tokenizer.path does not name a valid tokenizer: {reason}\n"
            "Set it to a tokenizer.json of the library tokenizers."
        ) from error
    padding = (whole.get("padding") or {}).get("pad_token")
    pad = next((token for token in (padding, *_PADS) if token in ids and token != unknown), pad)
    rest = sorted((token for token in ids if token not in (pad, unknown)), key=ids.__getitem__)
    new = {token: index for index, token in enumerate([pad, unknown, *rest])}
    if kind == "Unigram":
        lowest = min(scores.values(), default=0.0) - 10.0
        model["vocab"] = [[token, scores.get(token, lowest)] for token in new]
        model["unk_id"] = 1
    else:
        model["vocab"] = new
        model["unk_token"] = unknown
    known = {token["content"] for token in whole["added_tokens"]}
    for token in whole["added_tokens"]:
        token["id"] = new[token["content"]]
    for token in (pad, unknown):
        if token not in known:
            whole["added_tokens"].append(_special(token, new[token]))
    whole["added_tokens"].sort(key=lambda token: token["id"])
    whole |= {"truncation": None, "padding": None, "post_processor": None}
    return json.dumps(whole, ensure_ascii=False)


def _special(token: str, number: int) -> dict[str, Any]:
    flags = ("single_word", "lstrip", "rstrip", "normalized")
    return {"id": number, "content": token, "special": True, **dict.fromkeys(flags, False)}
