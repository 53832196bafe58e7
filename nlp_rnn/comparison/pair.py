"""Sort the runs of one data set into configurations, and pair those that can be compared."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from nlp_rnn.comparison.records import NotComparable, Rules, Run
from nlp_rnn.config.signature import NOT_IN_SIGNATURE
from nlp_rnn.tracking.tags import KIND

__all__ = [
    "LATENCY",
    "Pair",
    "Pairing",
    "is_baseline",
    "mean_metric",
    "pair_configurations",
    "usable_runs",
]

LATENCY = ("latency/onnx_batch1_p95_ms", "latency/onnx_batch1_p50_ms")
"""The runtime that is deployed, one text."""

# What must be equal, and what it is called; the first that fits names the difference.
HELD_EQUAL = (
    ("data.", "split"),
    ("tokenizer.", "tokenizer"),
    ("trainer.max_", "budget"),
    ("trainer.patience", "budget"),
    ("trainer.batch_size", "budget"),
    ("trainer.accumulation", "budget"),
    ("trainer.monitor", "stopping rule"),
    ("model.bidirectional", "direction"),
)
# Where the data lies does not matter: its digest is compared. A size may differ: it is matched.
FREE = ("data.path", "data.name", "model.name", "model.cell", "model.hidden_size", "model.match")

MOST_ALONE = 20
"""Configurations without any like them that are told of."""


@dataclass(frozen=True)
class Pair:
    """Two configurations, by name, that may be compared."""

    first: str
    second: str
    matching: tuple[str, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True)
class Pairing:
    """What to compare on one data set.

    Attributes:
        configurations: runs by name of their configuration, one for each seed; only those in
            a pair.
        baselines: the same for baselines.
        pairs: of candidates.
        not_comparable: pairs that may not be compared.
        notes: what was left out.
    """

    configurations: Mapping[str, tuple[Run, ...]]
    baselines: Mapping[str, tuple[Run, ...]]
    pairs: tuple[Pair, ...]
    not_comparable: tuple[NotComparable, ...]
    notes: tuple[str, ...]


def usable_runs(runs: Iterable[Run], metric: str) -> tuple[list[Run], list[str]]:
    """Return the runs that ended well, and sentences on those that did not."""
    kept: list[Run] = []
    out: dict[str, list[str]] = defaultdict(list)
    for run in runs:
        value = run.metrics.get(f"test/{metric}")
        if not run.signature and run.kind != KIND:
            out["was not made by nlp-rnn train|were not made by nlp-rnn train"].append(run.name)
        elif run.status != "FINISHED":
            out[f"is {run.status}|are {run.status}"].append(run.name)
        elif value is None:
            out[f"has no test/{metric}|have no test/{metric}"].append(run.name)
        elif not abs(value) < float("inf"):  # NaN too
            reason = f"a test/{metric} that is no number; without it its configuration looks better"
            out[f"has {reason}|have {reason}"].append(run.name)
        elif run.kind != KIND and not any(k.startswith("validation/") for k in run.metrics):
            reason = "no metric of a validation split, so it may have been chosen on the test"
            out[f"has {reason}|have {reason}"].append(run.name)
        else:
            kept.append(run)
    return kept, [_left_out(names, reason) for reason, names in out.items()]


def _left_out(names: Sequence[str], reason: str) -> str:
    one, several = reason.split("|")
    some = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    if len(names) == 1:
        return f"1 run {one}, and is left out: {some}."
    return f"{len(names):,} runs {several}, and are left out: {some}."


def is_baseline(run: Run) -> bool:
    """Whether a run is a yardstick: tagged so, or the network without recurrence."""
    return run.kind == KIND or run.cell == "average"


def pair_configurations(runs: Sequence[Run], rules: Rules) -> Pairing:
    """Sort the usable runs of one data set into configurations, and the configurations into pairs.

    A pair differs in `rules.by` and in nothing else, but for what both were tuned over, and for
    the hidden size if cells are compared, which then must be matched.
    """
    notes: list[str] = []
    configurations = _named(_by_signature([run for run in runs if not is_baseline(run)], notes))
    baselines = _named(_by_signature([run for run in runs if is_baseline(run)], notes))
    pairs: list[Pair] = []
    not_comparable: list[NotComparable] = []

    def judge(a: str, b: str) -> None:
        found = _pair(a, configurations[a], b, configurations[b], rules)
        if isinstance(found, Pair):
            pairs.append(found)
        else:
            not_comparable.append(found)

    for names in _alike(configurations, rules).values():
        for a, b in combinations(sorted(names), 2):
            if _level(configurations[a][0], rules.by) != _level(configurations[b][0], rules.by):
                judge(a, b)
    judged = {name for pair in pairs for name in (pair.first, pair.second)}
    judged |= {name for each in not_comparable for name in (each.first, each.second)}
    # a configuration that is like no other is refused once, beside the one it is most like
    for name in sorted(set(configurations) - judged)[:MOST_ALONE]:
        if nearest := _nearest(name, configurations, rules):
            judge(*sorted((name, nearest)))
    not_comparable = list(dict.fromkeys(not_comparable))
    paired = {name for pair in pairs for name in (pair.first, pair.second)}
    alone = sorted(set(configurations) - paired)
    if alone and pairs:
        some = ", ".join(alone[:5]) + (", …" if len(alone) > 5 else "")
        notes.append(f"Without a partner that differs in {rules.by} alone: {some}.")
    kept = {name: found for name, found in configurations.items() if name in paired or not pairs}
    return Pairing(kept, baselines, tuple(pairs), tuple(not_comparable), tuple(notes))


def _alike(configurations: Mapping[str, tuple[Run, ...]], rules: Rules) -> dict[object, list[str]]:
    """Names of configurations that share all that must be equal, as far as all of them have it."""
    configs = [runs[0].config for runs in configurations.values()]
    keys = sorted(set.intersection(*map(set, configs))) if configs else []
    free = {rules.by, *FREE, *rules.tuned_keys}
    held = [key for key in keys if not (key in free or _outside(key))]
    alike: dict[object, list[str]] = defaultdict(list)
    for name, runs in configurations.items():
        alike[tuple(runs[0].config[key] for key in held)].append(name)
    return alike


def _nearest(name: str, configurations: Mapping[str, tuple[Run, ...]], rules: Rules) -> str | None:
    """The configuration of another level whose configuration differs in the fewest keys."""
    own = configurations[name][0]
    others = [
        (sum(each[0].config.get(key) != value for key, value in own.config.items()), other)
        for other, each in configurations.items()
        if _level(each[0], rules.by) != _level(own, rules.by)
    ]
    return min(others)[1] if others else None


def _level(run: Run, by: str) -> str:
    return run.config.get(by, run.tags.get(by, ""))


def _by_signature(runs: Sequence[Run], notes: list[str]) -> list[tuple[Run, ...]]:
    """Configurations in the order of their first runs; the first run of a seed counts."""
    found: dict[str, dict[int | None, Run]] = defaultdict(dict)
    twice: Counter[str] = Counter()
    for run in sorted(runs, key=lambda run: (run.started, run.run_id)):
        seeds = found[run.signature or f"{run.kind} {run.cell or run.name}"]
        if run.seed in seeds:
            twice[f"{run.configuration_name or run.name}, seed {run.seed}"] += 1
        else:
            seeds[run.seed] = run
    for name, count in sorted(twice.items()):
        notes.append(
            f"{name} ran {count + 1} times; the first run counts, whatever the others reached."
        )
    order = [sorted(seeds.values(), key=lambda run: run.seed or 0) for seeds in found.values()]
    return [tuple(each) for each in order]


def _named(configurations: Sequence[tuple[Run, ...]]) -> dict[str, tuple[Run, ...]]:
    """Configurations under the shortest names that tell them apart."""
    by_name: dict[str, list[tuple[Run, ...]]] = defaultdict(list)
    for configuration in configurations:
        run = configuration[0]
        name = run.configuration_name.removesuffix(f" {run.signature}").removesuffix(
            f" {run.tags.get('data')}"
        )
        by_name[name or run.cell or run.name].append(configuration)
    named = {}
    for name, alike in by_name.items():
        keys = sorted({key for each in alike for key in each[0].config})
        differing = [
            key
            for key in keys
            if len({each[0].config.get(key) for each in alike}) > 1 and not _outside(key)
        ]
        for configuration in alike:
            run, full = configuration[0], name
            if len(alike) > 1:
                words = [f"{key.split('.')[-1]}={run.config.get(key)}" for key in differing[:3]]
                full = " ".join([name, *words])
            if full in named:
                full += f" {run.signature}"
            named[full] = configuration
    return named


def _outside(key: str) -> bool:
    """Whether a key shapes no result, so that configurations may differ in it."""
    return any(key == name or key.startswith(name + ".") for name in NOT_IN_SIGNATURE)


def mean_metric(runs: Sequence[Run], *names: str) -> float | None:
    """The mean of the first of these metrics that all runs have."""
    for name in names:
        values = [run.metrics[name] for run in runs if name in run.metrics]
        if values and len(values) == len(runs):
            return sum(values) / len(values)
    return None


def _pair(
    a: str, first: tuple[Run, ...], b: str, second: tuple[Run, ...], rules: Rules
) -> Pair | NotComparable:
    one, other = first[0].config, second[0].config
    others: list[str] = []
    for key in sorted(set(one) | set(other)):
        if key == rules.by or _outside(key) or one.get(key) == other.get(key):
            continue
        if key in rules.tuned_keys:
            continue
        if rules.by == "model.pretrained" and key.startswith("pretraining."):
            continue  # how, where there is one
        if key in FREE:
            if rules.by == "model.cell" or key != "model.hidden_size":
                continue
        difference = f"{key} is {one.get(key, 'absent')} and {other.get(key, 'absent')}"
        for beginning, what in HELD_EQUAL:
            if key.startswith(beginning):
                return NotComparable(a, b, f"another {what}: {difference}")
        # one cell has an option that the other cannot have, such as a forget bias
        if rules.by == "model.cell" and not (key in one and key in other):
            continue
        others.append(difference)
    if others:
        return NotComparable(a, b, f"more than {rules.by} differs: {'; '.join(others[:3])}")
    if not {run.seed for run in first} & {run.seed for run in second}:
        return NotComparable(a, b, "no seed in common, so nothing is paired")
    remarks = []
    for tag in ("precision", "device", "nlp_rnn"):
        values = {run.tags.get(tag, "") for run in (*first, *second)} - {""}
        if len(values) > 1:
            remarks.append(f"the runs differ in {tag}: {', '.join(sorted(values))}")
    if rules.by != "model.cell":
        return Pair(a, b, ("configuration",), tuple(remarks))
    matching = _matching(first, second, rules)
    if not matching:
        sizes = f"{one.get('model.hidden_size')} and {other.get('model.hidden_size')}"
        return NotComparable(a, b, f"sizes are not matched in any way: hidden size {sizes}")
    return Pair(a, b, matching, tuple(remarks))


def _matching(first: tuple[Run, ...], second: tuple[Run, ...], rules: Rules) -> tuple[str, ...]:
    found = ["tuning budget"] if rules.tuned_keys else []
    sizes = [runs[0].config.get("model.hidden_size") for runs in (first, second)]
    if sizes[0] == sizes[1]:
        found.append("size")
    one_machine = len({run.machine for run in (*first, *second)}) == 1
    for name, metrics, within in (
        ("parameters", ("parameters/recurrent",), rules.parameter_tolerance),
        ("latency", LATENCY, rules.latency_tolerance if one_machine else -1.0),
    ):
        a, b = mean_metric(first, *metrics), mean_metric(second, *metrics)
        if a and b and abs(a - b) <= within * max(a, b):
            found.append(name)
    return tuple(found)
