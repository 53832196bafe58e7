"""Help texts of all options: for `--help`, `--cfg job` and the reference page."""

import dataclasses
import textwrap
from collections.abc import Iterator
from enum import Enum
from typing import Any

from nlp_rnn.config.option import MISSING
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.schemas import SCHEMAS, SWEEP_SCHEMAS, known_keys, option_help

__all__ = ["OptionText", "commented_yaml", "option_list", "option_texts"]

WIDTH = 100


@dataclasses.dataclass(frozen=True)
class OptionText:
    """One option of the configuration, as the help shows it.

    Attributes
    ----------
    key : str
        Dotted key, such as `trainer.batch_size`.
    type : str
        Type of the value, or the values that can be chosen.
    default : str
        Default value as in YAML; empty for an option that has to be set or depends on the choice.
    text : str
        What the option does, in one sentence.
    allowed : str
        Numbers that are allowed, such as "at least 1"; empty if there is no limit.
    choices : tuple of str
        Choices of the group that have the option, such as `data=files`; empty if all have it.
    """

    key: str
    type: str
    default: str
    text: str
    allowed: str
    choices: tuple[str, ...] = ()


def option_texts() -> list[OptionText]:
    """Return all options of `nlp-rnn train`, in the order of the schemas."""
    texts, keys = option_help(), known_keys()
    choices_of_groups: dict[str, set[str]] = {}
    for key, choices in keys.items():
        choices_of_groups.setdefault(key.split(".")[0], set()).update(choices)
    options = []
    for key, field in _fields():
        choices = keys.get(key, [])
        shared = set(choices) == choices_of_groups[key.split(".")[0]]
        options.append(
            OptionText(
                key,
                _type_text(field),
                _value_text(field.default),
                texts[key],
                allowed.text if (allowed := field.metadata.get("allowed")) else "",
                () if shared else tuple(choices),
            )
        )
    return options


def option_list() -> str:
    """Return the options as indented text for `--help`, at most 100 columns wide."""
    lines = []
    for option in option_texts():
        default = f"={option.default}" if option.default else ""
        lines.append(f"  {option.key}{default}")
        lines += textwrap.wrap(
            option.text, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6
        )
    return "\n".join(lines) + "\n"


def commented_yaml(values: dict[str, Any], prefix: str = "") -> str:
    """Return nested values as YAML with the help text of every option above it."""
    import yaml

    texts, lines = option_help(), []
    for name, value in values.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and not prefix:
            lines.append(f"{name}:")
            lines += [f"  {line}" for line in commented_yaml(value, f"{name}.").splitlines()]
            continue
        lines += textwrap.wrap(
            texts.get(key, ""), WIDTH - 2, initial_indent="# ", subsequent_indent="# "
        )
        lines += yaml.safe_dump({name: value}, allow_unicode=True, sort_keys=False).splitlines()
    return "\n".join(lines) + "\n"


def _fields() -> Iterator[tuple[str, dataclasses.Field[Any]]]:
    seen: set[str] = set()
    groups = [(group, node) for group, nodes in SCHEMAS.items() for node in nodes.values()]
    for group, schema in [*groups, *SWEEP_SCHEMAS.items()]:
        for field in dataclasses.fields(schema):
            key = f"{group}.{field.name}"
            if key not in seen:
                seen.add(key)
                yield key, field
    yield "seed", next(field for field in dataclasses.fields(RunConfig) if field.name == "seed")


def _type_text(field: dataclasses.Field[Any]) -> str:
    if isinstance(field.default, Enum):
        return ", ".join(member.name for member in type(field.default))
    if isinstance(field.type, type) and issubclass(field.type, Enum):
        return ", ".join(member.name for member in field.type)
    name = field.type.__name__ if isinstance(field.type, type) else str(field.type)
    return {"Any": "string or list"}.get(name, name.replace(" | None", ""))


def _value_text(value: Any) -> str:
    if value is dataclasses.MISSING or value == MISSING:
        return ""
    if isinstance(value, Enum):
        return value.name
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
