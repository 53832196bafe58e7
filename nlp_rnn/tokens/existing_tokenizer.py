"""A tokenizer.json, from a file or the hub, becomes one whose padding is id 0 and unknown id 1."""

import json
from pathlib import Path
from typing import Any

from nlp_rnn.config.tokenizer import GivenTokenizerConfig
from nlp_rnn.errors import DataError

__all__ = ["read_tokenizer_json", "renumber_vocabulary"]

FILE = "tokenizer.json"
_PADS = ("[PAD]", "<pad>", "<PAD>", "[pad]", "<|pad|>")


def read_tokenizer_json(config: GivenTokenizerConfig) -> str:
    """The content of the tokenizer.json that `config.path` names; `DataError` if there is none."""
    path = Path(config.path).expanduser()
    if path.is_dir():
        path = path / FILE
    if path.exists():
        if config.revision is not None:
            raise DataError(
                f"tokenizer.revision={config.revision} is for a tokenizer of the hub, {path} is a "
                "file.\nLeave it out."
            )
        try:
            return path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{path} cannot be read: {error}") from error
    if path.suffix == ".json" or config.path.count("/") > 1:
        raise DataError(
            f"There is no file {path.absolute()}.\n"
            "Type tokenizer.path=FILE, a tokenizer.json, or the name of one on the hub."
        )
    return _from_hub(config)


def _from_hub(config: GivenTokenizerConfig) -> str:
    from contextlib import nullcontext

    import huggingface_hub

    from nlp_rnn.sources.files import first_line
    from nlp_rnn.sources.hub import hub_is_reachable, offline

    reached = hub_is_reachable()
    try:
        with nullcontext() if reached else offline():
            found = huggingface_hub.hf_hub_download(
                config.path, FILE, revision=config.revision, local_files_only=not reached
            )
        return Path(found).read_text(encoding="utf-8")
    except Exception as error:
        what = "from the hub" if reached else "from the hub, which cannot be reached"
        raise DataError(
            f"{config.path} gives no {FILE} {what}: {first_line(error)}\n"
            "Look the name up on the hub, or type tokenizer.path=FILE, a tokenizer.json here."
        ) from error


def renumber_vocabulary(content: str, pad: str, unknown: str) -> str:
    """Renumber the vocabulary so that padding is 0 and unknown 1.

    Where they are not there they are added, as `pad` and `unknown`. Everything else keeps its
    order. Special tokens at the ends of a text, padding and truncation of the original are left
    out: a text is nothing but its own tokens. Raises `DataError` for what is no tokenizer.
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
            ids |= {token: place for place, (token, _) in enumerate(model["vocab"])}
            place = model.get("unk_id")
            unknown = unknown if place is None else model["vocab"][place][0]
        elif kind in ("BPE", "WordPiece", "WordLevel"):
            ids |= model["vocab"]
            unknown = model.get("unk_token") or unknown
        else:
            raise DataError(
                f"A tokenizer of the kind {kind} cannot be used.\n"
                "Give one of the kinds BPE, WordPiece, WordLevel or Unigram."
            )
    except DataError:
        raise
    except Exception as error:  # the library raises bare Exception
        reason = str(error).splitlines()[0][:160] if str(error) else type(error).__name__
        raise DataError(
            f"What tokenizer.path names is no tokenizer: {reason}\n"
            "Give a tokenizer.json of the tokenizers library."
        ) from error
    padding = (whole.get("padding") or {}).get("pad_token")
    pad = next((token for token in (padding, *_PADS) if token in ids and token != unknown), pad)
    rest = sorted((token for token in ids if token not in (pad, unknown)), key=ids.__getitem__)
    new = {token: place for place, token in enumerate([pad, unknown, *rest])}
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
