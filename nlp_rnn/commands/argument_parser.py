"""The words after a command become its arguments and options."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from nlp_rnn.errors import ConfigError

__all__ = ["Words", "choice", "number", "read_words", "run_to_resume"]


@dataclass(frozen=True)
class Words:
    """Arguments in their order, options with a value, and flags that were given."""

    arguments: list[str]
    options: dict[str, str]
    flags: set[str]


def read_words(
    command: str, words: Sequence[str], options: Collection[str], flags: Collection[str] = ()
) -> Words:
    """Sort `words`: `--name value`, `--name=value`, `--flag`, and the rest; `--` ends the options.

    Raises:
        ConfigError: an option that the command does not have, one without a value or twice.
    """
    found = Words([], {}, set())
    rest = list(words)
    while rest:
        word = rest.pop(0)
        name, equals, value = word.partition("=")
        if word == "--":
            found.arguments.extend(rest)
            break
        if not word.startswith("--"):
            found.arguments.append(word)
        elif word in flags:
            found.flags.add(word)
        elif name not in options:
            known = ", ".join(sorted([*options, *flags]))
            raise ConfigError(
                f"{command} has no option {name}; it has {known}.\n"
                f"nlp-rnn {command} --help shows an example; a text goes after a lone --."
            )
        elif name in found.options or not (equals or rest):
            fault = "is given twice" if name in found.options else "needs a value"
            raise ConfigError(f"{name} {fault}.\nType {name} VALUE.")
        else:
            found.options[name] = value if equals else rest.pop(0)
    return found


def run_to_resume(words: Sequence[str]) -> Path | None:
    """The folder of `resume=FOLDER`; None where no word is one.

    Raises:
        ConfigError: there are other words beside it.
    """
    folders = [word.removeprefix("resume=") for word in words if word.startswith("resume=")]
    if not folders:
        return None
    if len(words) > 1:
        raise ConfigError(
            "resume=FOLDER goes on with that run's own configuration; found more: "
            f"{' '.join(word for word in words if not word.startswith('resume='))}."
        )
    return Path(folders[0])


def choice(words: Words, name: str, choices: Sequence[str], default: str) -> str:
    """The value of an option that has only so many.

    Raises:
        ConfigError: another value.
    """
    value = words.options.get(name, default)
    if value not in choices:
        raise ConfigError(f"{name} is {value!r}; there are {', '.join(choices)}.")
    return value


def number(words: Words, name: str, low: float, high: float, whole: bool) -> float | None:
    """The value of an option that is a number from `low` to `high`; None when not given.

    Raises:
        ConfigError: another value.
    """
    if name not in words.options:
        return None
    try:
        value = (int if whole else float)(words.options[name])
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        kind = "whole number" if whole else "number"
        bound = f"from {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
        raise ConfigError(f"{name} must be a {kind} {bound}, not {words.options[name]!r}.")
    return value
