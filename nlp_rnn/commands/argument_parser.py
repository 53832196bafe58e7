"""Arguments, options and flags of the commands that Hydra does not parse."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nlp_rnn.errors import ConfigError

__all__ = ["ParsedArguments", "choice", "number", "parse_arguments", "run_to_resume"]

# What other programs call an option.
OTHER_NAMES = {"--file": "--input", "--path": "--input", "--o": "--output"}


@dataclass(frozen=True)
class ParsedArguments:
    """Positional arguments in their order, options with their values, and flags.

    `repeated` has all values of the options that may be set several times.
    """

    positional: list[str]
    options: dict[str, str]
    flags: set[str]
    repeated: dict[str, list[str]] = field(default_factory=dict)


def parse_arguments(
    command: str,
    arguments: Sequence[str],
    options: Collection[str],
    flags: Collection[str] = (),
    repeated: Collection[str] = (),
) -> ParsedArguments:
    """Parse `--name value`, `--name=value`, `--flag` and positional arguments.

    Options in `repeated` may be set several times, the others once.
    A lone `--` ends the options, so that a text can begin with dashes.

    Raises
    ------
    ConfigError
        If the command does not have an option, or an option is set twice or has no value.
    """
    parsed = ParsedArguments([], {}, set())
    rest = list(arguments)
    while rest:
        argument = rest.pop(0)
        name, equals, value = argument.partition("=")
        if argument == "--":
            parsed.positional.extend(rest)
            break
        if not argument.startswith("--"):
            parsed.positional.append(argument)
        elif argument in flags:
            parsed.flags.add(argument)
        elif name in repeated and (equals or rest):
            parsed.repeated.setdefault(name, []).append(value if equals else rest.pop(0))
        elif name not in (*options, *repeated):
            from difflib import get_close_matches

            known = sorted([*options, *flags, *repeated])
            close = get_close_matches(OTHER_NAMES.get(name, name), known, n=1)
            advice = f"nlp-rnn {command} --help shows an example."
            if "--text" in known or command == "predict":
                advice += " A text that starts with dashes goes after a lone --."
            raise ConfigError(
                f"{command} has no option {name}; its options are {', '.join(known)}.\n"
                f"{f'Did you mean {close[0]}?' if close else advice}"
            )
        elif name in parsed.options or not (equals or rest):
            fault = "is set twice" if name in parsed.options else "needs a value"
            raise ConfigError(f"{name} {fault}.\nSet {name} VALUE once.")
        else:
            parsed.options[name] = value if equals else rest.pop(0)
    return parsed


def run_to_resume(arguments: Sequence[str]) -> Path | None:
    """Return the folder of `resume=FOLDER`; None if there is no such argument.

    Raises
    ------
    ConfigError
        If there are other arguments.
    """
    folders = [arg.removeprefix("resume=") for arg in arguments if arg.startswith("resume=")]
    if not folders:
        return None
    if len(arguments) > 1:
        others = " ".join(arg for arg in arguments if not arg.startswith("resume="))
        raise ConfigError(
            f"resume=FOLDER uses the saved configuration of the run; also found {others}.\n"
            "Remove the other arguments."
        )
    return Path(folders[0])


def choice(parsed: ParsedArguments, name: str, choices: Sequence[str], default: str) -> str:
    """Return the value of an option that has a fixed set of values.

    Raises
    ------
    ConfigError
        If the value is not one of `choices`.
    """
    value = parsed.options.get(name, default)
    if value not in choices:
        raise ConfigError(f"{name} is {value!r}; the choices are {', '.join(choices)}.")
    return value


def number(
    parsed: ParsedArguments, name: str, low: float, high: float, whole: bool
) -> float | None:
    """Return the value of an option that is a number from `low` to `high`; None if it is not set.

    Raises
    ------
    ConfigError
        If the value is not such a number.
    """
    if name not in parsed.options:
        return None
    try:
        value = (int if whole else float)(parsed.options[name])
    except ValueError:
        value = float("nan")
    if not low <= value <= high:
        kind = "whole number" if whole else "number"
        bound = f"from {low:g}" if high == float("inf") else f"from {low:g} to {high:g}"
        raise ConfigError(f"{name} must be a {kind} {bound}, not {parsed.options[name]!r}.")
    return value
