"""The name of a data set on the Hugging Face hub becomes the rows of its splits."""

import contextlib
import socket
import threading
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.config.data import HubConfig
from nlp_rnn.errors import DataError
from nlp_rnn.sources.columns import listed
from nlp_rnn.sources.files import SPLITS

if TYPE_CHECKING:
    from datasets import Dataset

__all__ = ["hub_answers", "offline", "read_hub"]

_PATIENCE = 1.5  # seconds; the libraries' own retries take 24


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Keep the libraries off the network; `datasets` counts even the reading of a file there."""
    import datasets
    import huggingface_hub

    places: tuple[Any, ...] = (datasets.config, huggingface_hub.constants)
    before = [place.HF_HUB_OFFLINE for place in places]
    for place in places:
        place.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.HF_HUB_OFFLINE = value


def read_hub(config: HubConfig, notes: list[str]) -> "dict[str, Dataset]":
    """Load `config.path` from the hub, or from the cache when the hub does not answer.

    Fails within seconds when there is neither. Raises `DataError`.
    """
    import datasets

    if Path(config.path).expanduser().exists():
        raise DataError(
            f"{config.path} is on this machine. Type data=files data.path={config.path}"
        )
    reached = hub_answers()
    try:
        with contextlib.nullcontext() if reached else offline():
            found = datasets.load_dataset(config.path, config.subset, revision=config.revision)
    except Exception as error:
        raise DataError(_explain(error, config, reached)) from error
    if not reached:
        _check_revision(found, config)
        notes.append(f"the hub was not reached: {config.path} was read from the cache")
    return _choose_splits(found, config)


def hub_answers() -> bool:
    """Knock once at the hub's door; behind a proxy only the proxy could tell, so believe it."""
    import datasets

    if datasets.config.HF_HUB_OFFLINE:
        return False
    address = urllib.parse.urlsplit(datasets.config.HF_ENDPOINT)
    if urllib.request.getproxies().get(address.scheme):
        return True
    port = address.port or (443 if address.scheme == "https" else 80)
    answers: list[bool] = []

    def knock() -> None:
        with contextlib.suppress(OSError):
            socket.create_connection((address.hostname or "", port), _PATIENCE).close()
            answers.append(True)

    # in a thread, because looking up a name has no time limit of its own
    thread = threading.Thread(target=knock, daemon=True)
    thread.start()
    thread.join(_PATIENCE)
    return bool(answers)


def _explain(error: Exception, config: HubConfig, reached: bool) -> str:
    import datasets

    if not reached or isinstance(error, ConnectionError):
        return (
            f"The hub ({datasets.config.HF_ENDPOINT}) cannot be reached and the cache has no "
            f"{config.path}{f' {config.subset}' if config.subset else ''}.\n"
            "With a copy on this machine type data=files data.path=FOLDER"
        )
    if isinstance(error, datasets.exceptions.DatasetNotFoundError):
        told = str(error).splitlines()[0]  # not its cause, which tells of status 404
        if told.startswith("Revision"):
            return f"{told}\nType data.revision=NAME: a branch, a tag or a commit of the set."
        return (
            f"{told}\n"
            "Look the name up on the hub (OWNER/NAME); for a gated set run `hf auth login` first."
        )
    # which subsets there are stands in the second line
    words = " ".join(str(error).split()) or type(error).__name__
    advice = "\nType data.subset=NAME" if isinstance(error, ValueError) else ""
    return f"{config.path} cannot be loaded from the hub: {words[:500]}{advice}"


def _check_revision(found: "dict[str, Dataset]", config: HubConfig) -> None:
    """Refuse another revision than the one asked for: offline, `datasets` takes the latest."""
    if config.revision and not any(
        config.revision in Path(file["filename"]).parts
        for dataset in found.values()
        for file in dataset.cache_files
    ):
        raise DataError(
            f"The hub cannot be reached, and the cache may have {config.path} in another revision "
            f"than {config.revision}.\nType data.revision=null to use what the cache has."
        )


def _choose_splits(found: "dict[str, Dataset]", config: HubConfig) -> "dict[str, Dataset]":
    names = {
        "train": config.train_split,
        "validation": config.validation_split,
        "test": config.test_split,
    }
    if names["validation"] is None and "validation" not in names.values():
        names["validation"] = "validation" if "validation" in found else None
    chosen: dict[str, Dataset] = {}
    for split in SPLITS:
        name = names[split]
        if name is None:
            continue
        if name not in found:
            raise DataError(
                f"{config.path} has no split {name!r}; it has: {listed(found)}.\n"
                f"Type data.{split}_split=NAME"
            )
        if list(names.values()).count(name) > 1:
            raise DataError(
                f"The split {name!r} of {config.path} cannot serve twice "
                "(data.train_split, data.validation_split, data.test_split)."
            )
        chosen[split] = found[name]
    return chosen
