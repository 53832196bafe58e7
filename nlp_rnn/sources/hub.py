"""Read the splits of a data set from the Hugging Face hub, or from its local cache."""

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

__all__ = ["hub_is_reachable", "offline", "read_hub"]

_TIMEOUT = 1.5  # seconds; the retries of the libraries take 24


@contextlib.contextmanager
def offline() -> Iterator[None]:
    """Keep the libraries off the network; `datasets` would report even the loading of a file."""
    import datasets
    import huggingface_hub

    modules: tuple[Any, ...] = (datasets.config, huggingface_hub.constants)
    before = [module.HF_HUB_OFFLINE for module in modules]
    for module in modules:
        module.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        for module, value in zip(modules, before, strict=True):
            module.HF_HUB_OFFLINE = value


def read_hub(config: HubConfig, notes: list[str]) -> "dict[str, Dataset]":
    """Load the splits of `config.path` from the hub, or from the cache if it cannot be reached.

    Parameters
    ----------
    config : HubConfig
        The data set and its splits.
    notes : list of str
        Receives a line if the cache was used.

    Returns
    -------
    dict of str to Dataset
        `train`, and `validation` and `test` where they are configured.

    Raises
    ------
    DataError
        The data set or one of the splits does not exist, or neither the hub nor the cache has it.
        Without a network this takes less than two seconds.
    """
    import datasets

    if Path(config.path).expanduser().exists():
        raise DataError(f"{config.path} is a local path. Set data=files data.path={config.path}")
    reached = hub_is_reachable()
    try:
        with contextlib.nullcontext() if reached else offline():
            splits = datasets.load_dataset(config.path, config.subset, revision=config.revision)
    except Exception as error:
        raise DataError(_explain(error, config, reached)) from error
    if not reached:
        _check_revision(splits, config)
        notes.append(f"the hub cannot be reached: {config.path} was read from the cache")
    return _choose_splits(splits, config)


def hub_is_reachable() -> bool:
    """Return whether a connection to the hub can be opened within 1.5 seconds.

    Behind a proxy this is assumed, because only the proxy could tell.
    """
    import datasets

    if datasets.config.HF_HUB_OFFLINE:
        return False
    address = urllib.parse.urlsplit(datasets.config.HF_ENDPOINT)
    if urllib.request.getproxies().get(address.scheme):
        return True
    port = address.port or (443 if address.scheme == "https" else 80)
    connected = threading.Event()

    def connect() -> None:
        with contextlib.suppress(OSError):
            socket.create_connection((address.hostname or "", port), _TIMEOUT).close()
            connected.set()

    # in a thread, because the lookup of a host name has no time limit
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(_TIMEOUT)
    return connected.is_set()


def _explain(error: Exception, config: HubConfig, reached: bool) -> str:
    import datasets

    if not reached or isinstance(error, ConnectionError):
        return (
            f"The hub ({datasets.config.HF_ENDPOINT}) cannot be reached and the cache has no "
            f"{config.path}{f' {config.subset}' if config.subset else ''}.\n"
            "If there is a local copy, set data=files data.path=FOLDER"
        )
    if isinstance(error, datasets.exceptions.DatasetNotFoundError):
        message = str(error).splitlines()[0]  # not its cause, which is only about status 404
        if message.startswith("Revision"):
            return f"{message}\nSet data.revision to a branch, a tag or a commit of the data set."
        return (
            f"{message}\nLook up the name on the hub (OWNER/NAME). For a gated data set run "
            "`hf auth login` first."
        )
    # the second line of the error lists the subsets
    reason = " ".join(str(error).split()) or type(error).__name__
    advice = "\nSet data.subset=NAME" if isinstance(error, ValueError) else ""
    return f"{config.path} cannot be loaded from the hub: {reason[:500]}{advice}"


def _check_revision(splits: "dict[str, Dataset]", config: HubConfig) -> None:
    """Raise `DataError` for another revision than `config.revision`, which `datasets` allows."""
    if config.revision and not any(
        config.revision in Path(file["filename"]).parts
        for dataset in splits.values()
        for file in dataset.cache_files
    ):
        raise DataError(
            f"The hub cannot be reached, and the cache may have {config.path} in another revision "
            f"than {config.revision}.\nSet data.revision=null to use the cached revision."
        )


def _choose_splits(available: "dict[str, Dataset]", config: HubConfig) -> "dict[str, Dataset]":
    names = {
        "train": config.train_split,
        "validation": config.validation_split,
        "test": config.test_split,
    }
    if names["validation"] is None and "validation" not in names.values():
        names["validation"] = "validation" if "validation" in available else None
    chosen: dict[str, Dataset] = {}
    for split in SPLITS:
        name = names[split]
        if name is None:
            continue
        if name not in available:
            raise DataError(
                f"{config.path} has no split {name!r}; it has: {listed(available)}.\n"
                f"Set data.{split}_split=NAME"
            )
        if list(names.values()).count(name) > 1:
            raise DataError(
                f"The split {name!r} of {config.path} is used twice. Set data.train_split, "
                "data.validation_split and data.test_split to different splits."
            )
        chosen[split] = available[name]
    return chosen
