"""Section on speed: latency by text length, throughput, memory and cold start."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from nlp_rnn.classifier.speed import LENGTHS
from nlp_rnn.comparison.records import Configuration
from nlp_rnn.report.context import ReportContext
from nlp_rnn.report.figure_files import (
    BASELINE_COLOUR,
    LineStyle,
    add_axes,
    legend_above,
    new_figure,
    plot_line,
)
from nlp_rnn.report.page import Block, Figures, Paragraph, Placeholder, Section, Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["latency_figure", "latency_section"]

RUNTIMES = {"onnx": "onnxruntime", "torch": "torch"}
SHORT_NAMES = {"onnx": "ONNX", "torch": "torch"}
# Row of the table and metric of each value that does not depend on the length of a text.
OTHER_METRICS = (
    *(
        (f"32 texts per batch, {name}, texts/s", f"throughput/{runtime}_batch32_texts_per_second")
        for runtime, name in SHORT_NAMES.items()
    ),
    ("next token of a stream, µs", "latency/stream_token_us"),
    ("cold start to the first prediction, ms", "latency/onnx_cold_start_ms"),
    ("memory beyond the libraries, MB", "memory/onnx_mb"),
    ("memory of the process, MB", "memory/process_mb"),
)
# Tag of a run and its readable name.
TAGS = (
    ("processor", "Processor"),
    ("speed", "Measured"),
    ("torch_kernel", "Kernel of torch"),
    ("onnxruntime", "onnxruntime"),
    ("torch", "torch"),
)


def latency_section(context: ReportContext) -> Section:
    """Return the section: latency by text length, throughput, memory and cold start."""
    title = "Latency, throughput and memory"
    timed = [c for c in context.baselines_first if any(_curve(c, name) for name in RUNTIMES)]
    if all(configuration.is_baseline for configuration in timed):
        missing = (
            "The runs did not measure the speed of their classifiers (tracking.speed=none, or an "
            "old version), so latency by length, throughput, memory and cold start are not known. "
            "Run nlp-rnn bench to measure a saved classifier."
        )
        return Section("latency", title, [Placeholder(missing)])
    baselines = frozenset(c.name for c in timed if c.is_baseline)
    count = ", ".join(f"{c.name} n = {len(c.runs)}" for c in timed)
    figures = []
    for runtime, name in RUNTIMES.items():
        curves = {c.name: curve for c in timed if (curve := _curve(c, runtime))}
        if not curves:
            continue
        context.tables.setdefault("latency", []).extend(
            {
                "configuration": configuration,
                "runtime": name,
                "tokens": length,
                "p50_ms": p50,
                "p95_ms": p95,
            }
            for configuration, curve in curves.items()
            for length, (p50, p95) in curve.items()
        )
        figure = latency_figure(curves, context.styles, baselines, name)
        saved = context.save_figure(
            figure, f"latency_{runtime}", f"Latency (one text) on {name} by the length of the text"
        )
        caption = (
            f"Latency of one text on {name} with one thread: the thick line is the median (p50), "
            f"the thin line above it p95. Means over the runs: {count}."
        )
        figures.append((saved, caption))
    conditions = " ".join(f"{name}: {value}." for name, value in _conditions(timed))
    blocks: list[Block] = [Figures(figures), _table(timed), Paragraph(conditions)]
    if not context.comparison.same_machine:
        machines = "The runs were measured on several machines, so the values are not comparable."
        blocks.insert(0, Paragraph(machines))
    return Section("latency", title, blocks)


def latency_figure(
    curves: Mapping[str, Mapping[int, tuple[float, float]]],
    styles: Mapping[str, LineStyle],
    baselines: frozenset[str],
    runtime: str,
) -> "Figure":
    """Draw the latency in ms over the tokens of a text: p50, and p95 as a thin line.

    `curves` maps the name of a configuration and the number of tokens to (p50, p95).
    """
    figure = new_figure(3.0)
    axes = add_axes(figure, "length of the text (tokens)", f"latency on {runtime} (ms)")
    for name, curve in curves.items():
        style, lengths = styles[name], list(curve)
        colour = BASELINE_COLOUR if name in baselines else style.colour
        p50, p95 = zip(*curve.values(), strict=True)
        axes.plot(lengths, p95, style.dash, color=colour, lw=0.8, alpha=0.55)
        plot_line(axes, lengths, p50, colour, style, name)
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    legend_above(axes)
    return figure


def _table(configurations: Sequence[Configuration]) -> Table:
    rows = []
    for runtime, name in SHORT_NAMES.items():
        curves = [_curve(configuration, runtime) for configuration in configurations]
        for length in LENGTHS:
            if any(length in curve for curve in curves):
                cells = [
                    " / ".join(map(_format, curve[length])) if length in curve else "–"
                    for curve in curves
                ]
                rows.append([f"{length} tokens, {name}, ms", *cells])
    for head, metric in OTHER_METRICS:
        means = [_mean(configuration, metric) for configuration in configurations]
        if any(mean is not None for mean in means):
            rows.append([head, *map(_format, means)])
    return Table(
        ["", *(configuration.name for configuration in configurations)],
        rows,
        "Measured after training with one thread in a new process; ONNX is onnxruntime. Means over "
        "the runs. Latency is p50 / p95: half of the calls, and 95 % of them, took less. It "
        "includes tokenization. The texts are random words of the vocabulary; those in batches "
        "have 100 tokens. A dash means that the value was not measured, or that "
        "tokenizer.max_length truncates such texts. n = "
        + ", ".join(f"{len(c.runs)} {c.name}" for c in configurations)
        + " runs.",
    )


def _conditions(configurations: Sequence[Configuration]) -> list[tuple[str, str]]:
    """Return the conditions of the measurement, with the configurations where they differ."""
    conditions = []
    for tag, tag_name in TAGS:
        names_by_value: dict[str, list[str]] = {}
        for configuration in configurations:
            for run in configuration.runs:
                # the load differs in every run
                value = run.tags.get(tag, "").partition(", load")[0]
                if value and configuration.name not in names_by_value.setdefault(value, []):
                    names_by_value[value].append(configuration.name)
        if len(names_by_value) == 1:
            conditions.append((tag_name, next(iter(names_by_value))))
        elif names_by_value:
            values = (f"{value} ({', '.join(names)})" for value, names in names_by_value.items())
            conditions.append((tag_name, "; ".join(values)))
    loads = [
        float(run.tags["speed"].rpartition("load ")[2])
        for configuration in configurations
        for run in configuration.runs
        if ", load " in run.tags.get("speed", "") and "None" not in run.tags["speed"]
    ]
    if loads:
        load = f"{min(loads):.1f} to {max(loads):.1f}; on a busy machine all times are too high"
        conditions.append(("Load average of the machine", load))
    return conditions


def _curve(configuration: Configuration, runtime: str) -> dict[int, tuple[float, float]]:
    """Return (p50, p95) in ms by the number of tokens."""
    curve = {}
    for length in LENGTHS:
        metric = f"latency/{runtime}_batch1_{length}"
        p50 = _mean(configuration, f"{metric}_p50_ms")
        p95 = _mean(configuration, f"{metric}_p95_ms")
        if p50 is not None and p95 is not None:
            curve[length] = (p50, p95)
    return curve


def _mean(configuration: Configuration, metric: str) -> float | None:
    value = configuration.means.get(metric, math.nan)
    return value if math.isfinite(value) else None


def _format(value: float | None) -> str:
    """Format a number with three digits; an unknown one is a dash."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
