"""Configuration keys in which the two configurations of a pair may differ."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.rules import Rules
from nlp_rnn.comparison.select import affects_result, group_of_preset
from nlp_rnn.config.option import MISSING
from nlp_rnn.config.schemas import SCHEMAS, conf_dir
from nlp_rnn.config.signature import plain
from nlp_rnn.tracking.logged_values import PARAMETER_LENGTH, stored_value

__all__ = ["DifferingKeys", "candidate_key", "compare_keys"]

MUST_BE_EQUAL = (
    ("data.", "split"),
    ("tokenizer.", "tokenizer"),
    ("trainer.max_", "budget"),
    ("trainer.patience", "budget"),
    ("trainer.batch_size", "budget"),
    ("trainer.accumulation", "budget"),
    ("trainer.monitor", "stopping rule"),
    ("model.bidirectional", "direction"),
)
"""Beginnings of keys that must be equal, and what they determine; the first match counts."""

WITHOUT_EFFECT = ("data.path", "data.name", "model.name")
"""Keys that may always differ: the digest of the data is compared, and the name is only a name."""

CELL_KEYS = ("model.cell", "model.name", "cell")
"""Keys and tags whose values stand for a cell."""

SIZE, MATCH = "model.hidden_size", "model.match"

MOST_LISTED = 3
"""Differing keys that a reason lists."""


@dataclass(frozen=True)
class DifferingKeys:
    """What two configurations differ in, besides the compared key.

    Attributes
    ----------
    cells : bool
        Whether the compared key stands for cells, and these differ. Then the hidden size may
        differ, but must be matched.
    problem : str
        Keys that must not differ, as a reason; empty if there are none.
    match : str
        Value of `model.match` of both that makes their hidden sizes differ; empty if none does.
    remark : str
        Keys that the presets set differently, as a sentence without a period; empty if none.
    """

    cells: bool
    problem: str
    match: str
    remark: str


def compare_keys(first: Run, second: Run, rules: Rules) -> DifferingKeys:
    """Sort the keys in which two runs differ into allowed ones and others.

    Besides `rules.by` they may differ in tuned keys, in keys without effect on the result, in what
    belongs to a cell if cells are compared, in the hidden size if the same `model.match` sets it,
    and in the keys that the presets set, if `rules.by` is the name of a preset.
    """
    by, a, b = rules.by, first.config, second.config
    cells = by in CELL_KEYS and a.get("model.cell") != b.get("model.cell")
    match, by_preset = "", []
    others: list[tuple[str, str]] = []
    for key in sorted(set(a) | set(b)):
        if a.get(key) == b.get(key) or not affects_result(key):
            continue
        if key in (by, *WITHOUT_EFFECT, *rules.tuned_keys):
            continue
        if by == "model.pretrained" and key.startswith("pretraining."):
            continue  # only a pretrained model has these keys
        if cells and key in ("model.cell", SIZE):
            continue
        values = f"{key} is {a.get(key, 'absent')} and {b.get(key, 'absent')}"
        if key == SIZE and _size_is_matched(a, b, by):
            match = a.get(MATCH, "") if by != MATCH else ""
        elif key.startswith(f"{group_of_preset(by)}.") and _set_by_presets(key, first, second, by):
            by_preset.append(values)
        # One cell has an option that the other cannot have, such as a forget bias.
        elif not (cells and not (key in a and key in b) and not _required(key)):
            others.append((key, values))
    return DifferingKeys(cells, _problem(others, by), match, "; ".join(by_preset))


def candidate_key(run: Run, keys: list[str], rules: Rules, by_match: bool) -> tuple[object, ...]:
    """Return the values of a run that are equal for the configurations of any pair with it.

    Parameters
    ----------
    run : Run
        Any run of the configuration.
    keys : list of str
        Keys that all configurations have.
    rules : Rules
        Compared key and tuned keys.
    by_match : bool
        Whether `model.match`, where it is set, stands for the hidden size.
    """
    free = {rules.by, *WITHOUT_EFFECT, *rules.tuned_keys}
    if rules.by in CELL_KEYS:
        free |= {"model.cell", SIZE}
    if rules.by == MATCH:
        free.add(SIZE)
    prefix = f"{group_of_preset(rules.by)}."
    values: list[object] = []
    for key in keys:
        if key in free or key.startswith(prefix) or not affects_result(key):
            continue
        match = run.config.get(MATCH, "None") if by_match and key == SIZE else "None"
        values.append(run.config[key] if match == "None" else ("match", match))
    return tuple(values)


def _required(key: str) -> bool:
    return any(key.startswith(beginning) for beginning, _ in MUST_BE_EQUAL)


def _problem(differences: list[tuple[str, str]], by: str) -> str:
    for key, values in differences:
        for beginning, what in MUST_BE_EQUAL:
            if key.startswith(beginning) and not key.startswith(f"{group_of_preset(by)}."):
                return f"different {what}: {values}"
    if not differences:
        return ""
    listed = "; ".join(values for _, values in differences[:MOST_LISTED])
    return f"they differ in more than {by}: {listed}"


def _size_is_matched(a: Mapping[str, str], b: Mapping[str, str], by: str) -> bool:
    """Whether different hidden sizes follow from `model.match`."""
    same_cell = a.get("model.cell") == b.get("model.cell")
    if by == MATCH:
        return same_cell
    return same_cell and a.get(MATCH, "None") not in ("None", "") and a[MATCH] == b.get(MATCH)


def _set_by_presets(key: str, first: Run, second: Run, by: str) -> bool:
    """Whether both values of a key are those of the presets that the runs name.

    A preset that is not in `conf/`, such as one of the user, may set every key of its group.
    """
    group, _, name = key.partition(".")
    for run in (first, second):
        preset = _preset(group, run.level(by))
        if preset is None:
            continue
        expected = preset.get(name)
        if expected != MISSING and expected != run.config.get(key):
            return False
    return True


@lru_cache
def _preset(group: str, name: str) -> Mapping[str, str] | None:
    """The values of `conf/GROUP/NAME.yaml` as MLflow prints them, or None if there is no file."""
    from omegaconf import OmegaConf

    path = conf_dir() / group / f"{name}.yaml"
    if not path.is_file():
        return None
    schema = re.search(rf"/schema/{group}@_here_: (\w+)", path.read_text(encoding="utf-8"))
    if schema is None or schema[1] not in SCHEMAS[group]:
        return None
    loaded: Any = OmegaConf.load(path)
    del loaded["defaults"]
    merged = OmegaConf.merge(OmegaConf.structured(SCHEMAS[group][schema[1]]), loaded)
    values = plain(OmegaConf.to_container(merged, resolve=False))
    return {key: stored_value(value, PARAMETER_LENGTH) for key, value in values.items()}
