"""Errors in the arguments of `nlp-rnn train`, with the key, choice or form that was meant."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from nlp_rnn.config.schemas import conf_dir, known_keys
from nlp_rnn.errors import ConfigError

__all__ = [
    "ambiguous_value",
    "other_type",
    "unknown_choice",
    "unknown_flag",
    "unknown_form",
    "unknown_key",
]

# What other programs call an option.
OTHER_NAMES = {
    "batch": "trainer.batch_size",
    "bs": "trainer.batch_size",
    "cell": "model",
    "column": "data.text",
    "cuda": "trainer.device",
    "csv": "data.path",
    "dataset": "data.path",
    "delim": "data.delimiter",
    "early_stopping": "trainer.patience",
    "emb_dim": "model.embedding_size",
    "embedding_dim": "model.embedding_size",
    "embeddings": "model.vectors",
    "epochs": "trainer.max_epochs",
    "experiment_name": "tracking.experiment",
    "file": "data.path",
    "folder": "output_dir",
    "gpu": "trainer.device",
    "gradient_accumulation_steps": "trainer.accumulation",
    "hidden": "model.hidden_size",
    "hidden_dim": "model.hidden_size",
    "layers": "model.num_layers",
    "learning_rate": "optimizer.learning_rate",
    "lr": "optimizer.learning_rate",
    "max_grad_norm": "optimizer.max_gradient_norm",
    "max_len": "tokenizer.max_length",
    "max_seq_length": "tokenizer.max_length",
    "num_epochs": "trainer.max_epochs",
    "num_train_epochs": "trainer.max_epochs",
    "o": "output_dir",
    "out": "output_dir",
    "output": "output_dir",
    "output_folder": "output_dir",
    "per_device_train_batch_size": "trainer.batch_size",
    "random_state": "seed",
    "resume": "resume",
    "run_dir": "output_dir",
    "scheduler": "optimizer.schedule",
    "sep": "data.delimiter",
    "separator": "data.delimiter",
    "target": "data.label",
    "train_file": "data.path",
    "uri": "tracking.uri",
    "warmup": "optimizer.warmup_fraction",
}
BASELINES = ("majority", "linear")
MOST_CHOICES = 3
# Keys whose value may be a list of columns.
COLUMNS = ("data.text", "data.label", "data.columns")
KEYS = "nlp-rnn train --cfg job prints every key."
EXAMPLES = "nlp-rnn train --help shows examples."
FLAGS = "There are -m, --cfg job, --config-dir FOLDER, --dry-run, --debug and --help."
TYPES = {"Integer": "a whole number", "Float": "a number", "bool": "true or false"}


def unknown_key(key: str) -> str:
    """Return the message about a key that does not exist, or not with these choices."""
    schemas = known_keys()
    if key in schemas:
        # options of tables are most often meant for files
        choices = sorted(schemas[key], key=lambda choice: choice != "data=files")
        listed = ", ".join(choices[:MOST_CHOICES]) + ", …" * (len(choices) > MOST_CHOICES)
        return f"{key} has no effect here: it belongs to {listed}."
    meant = _meant(key)
    hint = f" Did you mean {meant}?" if meant else ""
    return f"There is no key {key}.{hint}\n{KEYS}"


def unknown_choice(group: str, choice: str) -> str:
    """Return the message about a choice of a group that does not exist."""
    choices = sorted(path.stem for path in (conf_dir() / group).glob("*.yaml"))
    if group.split("/")[0] == "data" and _is_path(path := f"{group}/{choice}"[len("data/") :]):
        return (
            f"data={path} is a file or folder; data= selects the kind of data.\n"
            f"Set data=files data.path={path}"
        )
    close = difflib.get_close_matches(choice.lower(), choices, n=1, cutoff=0.75)
    hint = f"\nDid you mean {group}={close[0]}?" if close else ""
    if group == "model" and choice in BASELINES:
        hint = f"\nThe baseline {choice} is not a network: run nlp-rnn baselines data=…"
    if not choices:
        return f"There is no group {group}.\n{EXAMPLES}"
    return f"There is no {group}={choice}; there are {', '.join(choices)}.{hint}"


def ambiguous_value(argument: str) -> str:
    """Return the message about `KEY=A,B` in the arguments of a single run."""
    key, _, value = argument.partition("=")
    message = f"{argument} has several values, but one run has one value of each option.\n"
    if key in COLUMNS:
        return f"{message}For several columns set '{key}=[{value}]', with the quotation marks."
    if key == "data.path":
        return f"{message}For several files set a pattern, such as 'data.path=FOLDER/*.csv'"
    return f"{message}Add -m to train a sweep: one run for each value."


def other_type(argument: str, cause: str) -> str:
    """Return the message about `KEY=VALUE` whose value is not of the type of the option.

    Parameters
    ----------
    argument : str
        The argument.
    cause : str
        Message of OmegaConf; for any other message the result is empty.
    """
    key, _, value = argument.partition("=")
    if match := re.match(r"Invalid value .*, expected one of \[(.+)\]", cause):
        return f"{argument} does not exist. Set {key} to one of {match[1]}."
    match = re.match(r"Value .* (?:could not be converted to|is not a valid) (\w+)", cause)
    if match is None or match[1] not in TYPES:
        return ""
    return f"{key} must be {TYPES[match[1]]}, not {value}."


def unknown_flag(argument: str, following: Sequence[str]) -> ConfigError:
    """Return the error for a flag that the command does not have.

    Parameters
    ----------
    argument : str
        The flag, with its value if it is of the form `--name=value`.
    following : sequence of str
        The arguments after it, of which the first may be the value.
    """
    name = re.sub(r"^-+", "", argument.partition("=")[0]).replace("-", "_")
    value = argument.partition("=")[2]
    if not value:
        value = next((word for word in following[:1] if not re.search("^-|=", word)), "VALUE")
    meant = _meant(name, cutoff=0.9)
    if name in ("config_name", "cn", "config_path", "cp"):
        hint = (
            "To use your own files, put them into FOLDER/experiment/NAME.yaml and set "
            "--config-dir FOLDER experiment=NAME."
        )
    elif name in known_keys() or meant:
        key = name if name in known_keys() else meant
        hint = f"Options have no dashes: set {key}={value}"
    else:
        hint = FLAGS
    return ConfigError(f"There is no flag {argument.partition('=')[0]}.\n{hint}")


def unknown_form(argument: str) -> ConfigError:
    """Return the error for an argument that is not of the form `KEY=VALUE`."""
    key, sign, value = argument.partition("=")
    if argument.startswith("~"):
        hint = "Options cannot be removed. Leave it out, or set another value."
    elif sign and key.strip():
        hint = f"Set {key.strip()}={value.strip()}"
    elif not sign and (argument in known_keys() or argument == "output_dir"):
        hint = f"Set {argument}=VALUE, without blanks around the sign."
    elif _is_path(argument):
        hint = f"Set data=files data.path={argument}"
    else:
        hint = EXAMPLES
    return ConfigError(f"{argument!r} is not of the form KEY=VALUE.\n{hint}")


def _meant(key: str, cutoff: float = 0.6) -> str:
    """Return the key, group or output_dir that a wrong key resembles most; empty if none does."""
    known = known_keys()
    last = key.rpartition(".")[2].lower()
    if last in OTHER_NAMES:
        return OTHER_NAMES[last]
    same_name = [name for name in known if name.partition(".")[2] == last]
    if len(same_name) == 1:
        return same_name[0]
    groups = {name.split(".")[0] for name in known} | {"experiment", "output_dir", "resume"}
    candidates = [*known, *(() if "." in key else groups)]
    close = difflib.get_close_matches(key, candidates, n=1, cutoff=cutoff)
    return close[0] if close else ""


def _is_path(text: str) -> bool:
    """Return whether a text is the name of a file or folder: it exists, or has a suffix."""
    return Path(text).exists() or bool(re.search(r"\.[A-Za-z]\w{1,7}(\.(gz|zst))?$", text))
