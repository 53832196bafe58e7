"""What the runs timed in a fresh process becomes the section of a report on speed."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nlp_rnn.classifier.speed import LENGTHS
from nlp_rnn.comparison.records import Configuration
from nlp_rnn.report.context import Material
from nlp_rnn.report.figure_files import CONTROL, Style, axes_of, legend_above, new_figure, shortened
from nlp_rnn.report.page import Block, Figures, Missing, Section, Table, Words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["latency_figure", "speed_section"]

RUNTIMES = (("onnx", "onnxruntime"), ("torch", "torch"))
SHORT = {"onnx": "ONNX", "torch": "torch"}
OTHERS = (
    *(
        (f"32 texts at once, {words}, texts/s", f"throughput/{name}_batch32_texts_per_second")
        for name, words in SHORT.items()
    ),
    ("one more token of a stream, µs", "latency/stream_token_us"),
    ("cold start to the first answer, ms", "latency/onnx_cold_start_ms"),
    ("memory beyond the libraries, MB", "memory/onnx_mb"),
    ("memory of the process, MB", "memory/process_mb"),
)
TAGS = (
    ("processor", "Processor"),
    ("speed", "Measured"),
    ("torch_kernel", "Kernel of torch"),
    ("onnxruntime", "onnxruntime"),
    ("torch", "torch"),
)


def speed_section(material: Material) -> Section:
    """Latency by length, throughput, memory and cold start, as each run measured them."""
    title = "How fast it answers"
    comparison = material.comparison
    groups = [
        group
        for group in (*comparison.baselines, *comparison.configurations)
        if any(_mean(group, f"{_latency(name, n)}_p50_ms") for name, _ in RUNTIMES for n in LENGTHS)
    ]
    if not any(not group.is_baseline for group in groups):
        told = (
            "The runs did not time their classifiers (tracking.speed=none, or an old version), so "
            "latency by length, throughput, memory and cold start are unknown. nlp-rnn bench "
            "measures a saved classifier."
        )
        return Section("speed", title, [Missing(told)])
    figures = []
    for name, words in RUNTIMES:
        curves = {group.name: _curve(group, name) for group in groups}
        curves = {name: points for name, points in curves.items() if points}
        if not curves:
            continue
        material.tables.setdefault("speed", []).extend(
            {"group": group, "runtime": words, "tokens": length, "p50_ms": p50, "p95_ms": p95}
            for group, points in curves.items()
            for length, (p50, p95) in points.items()
        )
        grey = frozenset(group.name for group in groups if group.is_baseline)
        picture = material.picture(
            latency_figure(curves, material.styles, grey, words),
            f"latency_{name}",
            f"One answer on {words} by the length of its text",
        )
        count = ", ".join(f"{each.name} n = {len(each.runs)}" for each in groups)
        figures.append(
            (
                picture,
                f"One text on {words}, one thread, p50; the thin line above is p95. Means over the "
                f"runs: {count}.",
            )
        )
    blocks: list[Block] = [
        Figures(figures),
        _table(groups),
        Words(" ".join(f"{words}: {said}." for words, said in _conditions(groups))),
    ]
    if not comparison.same_machine:
        blocks.insert(0, Words("The runs were timed on several machines: do not compare them."))
    return Section("speed", title, blocks)


def latency_figure(
    curves: Mapping[str, Mapping[int, tuple[float, float]]],
    styles: Mapping[str, Style],
    grey: frozenset[str],
    runtime: str,
) -> "Figure":
    """A line for each group: milliseconds (p50, and thinner p95) over the tokens of a text."""
    figure = new_figure(3.0)
    axes = axes_of(figure, "length of the text (tokens)", f"one answer on {runtime} (ms)")
    for name, points in curves.items():
        style, at = styles[name], list(points)
        colour = CONTROL if name in grey else style.colour
        middle, high = zip(*points.values(), strict=True)
        axes.plot(at, high, style.dash, color=colour, lw=0.8, alpha=0.55)
        axes.plot(
            at,
            middle,
            style.dash,
            marker=style.marker,
            color=colour,
            lw=1.6,
            ms=6,
            mec="white",
            mew=0.6,
            label=shortened(name),
        )
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    legend_above(axes)
    return figure


def _table(groups: Sequence[Configuration]) -> Table:
    rows = []
    for name, words in SHORT.items():
        for length in LENGTHS:
            both = [
                [_mean(group, f"{_latency(name, length)}_p{share}_ms") for share in (50, 95)]
                for group in groups
            ]
            if any(known for (known, _) in both):
                cells = [" / ".join(map(_figure, each)) if each[0] else "–" for each in both]
                rows.append([f"{length} tokens, {words}, ms", *cells])
    for head, metric in OTHERS:
        means = [_mean(group, metric) for group in groups]
        if any(mean is not None for mean in means):
            rows.append([head, *map(_figure, means)])
    return Table(
        ["", *(group.name for group in groups)],
        rows,
        "ONNX: onnxruntime. One thread, in a fresh process after training; means over the runs, of "
        "p50 / p95 where there are two figures: half of the answers, and 95 % of them, "
        "took less. Tokenization included; texts of random words of the vocabulary; "
        "those at once have 100 tokens. A dash: "
        "not measured, or cut by tokenizer.max_length. n = "
        + ", ".join(f"{len(group.runs)} {group.name}" for group in groups)
        + " runs.",
    )


def _conditions(groups: Sequence[Configuration]) -> list[tuple[str, str]]:
    """What the figures depend on, as the runs recorded it, and of which groups where it differs."""
    told = []
    for tag, words in TAGS:
        found: dict[str, list[str]] = {}
        for group in groups:
            for run in group.runs:
                # the load is another in every run
                said = run.tags.get(tag, "").partition(", load")[0]
                if said and group.name not in found.setdefault(said, []):
                    found[said].append(group.name)
        if len(found) == 1:
            told.append((words, next(iter(found))))
        elif found:
            each = (f"{said} ({', '.join(names)})" for said, names in found.items())
            told.append((words, "; ".join(each)))
    loads = [
        float(run.tags["speed"].rpartition("load ")[2])
        for group in groups
        for run in group.runs
        if ", load " in run.tags.get("speed", "") and "None" not in run.tags["speed"]
    ]
    if loads:
        busy = f"{min(loads):.1f} to {max(loads):.1f}; on a busy machine every figure is too high"
        told.append(("Processes that wanted a core meanwhile (load average)", busy))
    return told


def _latency(runtime: str, length: int) -> str:
    return f"latency/{runtime}_batch1_{length}"


def _curve(group: Configuration, runtime: str) -> dict[int, tuple[float, float]]:
    found = {}
    for length in LENGTHS:
        p50 = _mean(group, f"{_latency(runtime, length)}_p50_ms")
        p95 = _mean(group, f"{_latency(runtime, length)}_p95_ms")
        if p50 is not None and p95 is not None:
            found[length] = (p50, p95)
    return found


def _mean(group: Configuration, metric: str) -> float | None:
    value = group.means.get(metric, math.nan)
    return value if math.isfinite(value) else None


def _figure(value: float | None) -> str:
    """Three digits of it."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
