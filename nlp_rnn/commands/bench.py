"""Command `nlp-rnn bench`: latency, throughput and memory of a saved classifier."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.commands.argument_parser import choice, number, parse_arguments
from nlp_rnn.errors import ConfigError

if TYPE_CHECKING:
    from nlp_rnn.classifier.predictor import TextClassifier

__all__ = ["HELP", "bench"]

HELP = """\
Measure how fast a saved classifier predicts on this machine: one text by its length, many texts,
memory, the time from a fresh process to the first prediction, and for one-directional models a
token of a stream.

  nlp-rnn bench MODEL
  nlp-rnn bench MODEL --runtime torch --output bench.json

  --runtime NAME   onnx, int8 or torch; default: onnx, and int8 if the folder holds it
  --texts N        texts for the throughput, of 5 to 400 tokens, default 1000
  --calls N        predictions for each latency, default 200
  --output FILE    write the figures as JSON
  --json           print only the JSON

All figures are measured on one thread.
"""

LENGTHS = (10, 50, 100, 400)


def bench(arguments: list[str]) -> int:
    """Run the command and return the exit code."""
    parsed = parse_arguments(
        "bench", arguments, ("--runtime", "--texts", "--calls", "--output"), ("--json",)
    )
    if len(parsed.positional) != 1:
        raise ConfigError(
            "bench needs one classifier.\nRun nlp-rnn bench FOLDER_OR_URI, or nlp-rnn bench --help."
        )
    texts = int(number(parsed, "--texts", 1, 1e6, whole=True) or 1000)
    calls = int(number(parsed, "--calls", 1, 1e6, whole=True) or 200)
    if "--runtime" in parsed.options:
        runtimes = [choice(parsed, "--runtime", ("onnx", "int8", "torch"), "onnx")]
    else:
        runtimes = ["onnx", "int8"]
    import nlp_rnn
    from nlp_rnn.classifier.manifest import INT8_GRAPH
    from nlp_rnn.tracking.machine import machine_tags

    measured: list[dict[str, Any]] = []
    for runtime in runtimes:
        classifier = nlp_rnn.load(parsed.positional[0], threads=1, runtime=runtime)
        measured.append(_measure(classifier, texts, calls))
        if "--runtime" not in parsed.options and INT8_GRAPH not in classifier.config["files"]:
            break
    figures = {"classifier": parsed.positional[0], "machine": machine_tags(), "runtimes": measured}
    as_json = json.dumps(figures, indent=2) + "\n"
    if path := parsed.options.get("--output"):
        Path(path).write_text(as_json, encoding="utf-8")
    print(as_json if "--json" in parsed.flags else _table(figures), end="")
    return 0


def _measure(classifier: "TextClassifier", count: int, calls: int) -> dict[str, Any]:
    """Return all figures of one runtime."""
    import numpy as np

    from nlp_rnn.classifier import latency

    longest = min(classifier.config["max_length"] or LENGTHS[-1], LENGTHS[-1])
    lengths = [length for length in LENGTHS if length < longest] + [longest]
    random = np.random.default_rng(0)
    many = [
        text
        for length, number_of in zip(
            *np.unique(random.integers(min(5, longest), longest + 1, count), return_counts=True),
            strict=True,
        )
        for text in latency.texts_of_length(classifier, int(length), int(number_of))
    ]
    order = random.permutation(len(many))
    figures: dict[str, Any] = {
        "runtime": classifier.runtime,
        "one_text": latency.latency_by_length(classifier, lengths, calls),
        "many_texts": latency.throughput(classifier, [many[index] for index in order]),
        "cold_start_seconds": latency.cold_start(classifier),
        "memory_bytes": latency.memory_of_process(classifier),
    }
    if classifier.can_stream:
        figures["stream_token_us"] = latency.step_latency(classifier, 10 * calls)
    return figures


def _table(figures: dict[str, Any]) -> str:
    machine = figures["machine"]
    lines = [f"{machine['processor']}, {machine['cores']} cores, one thread"]
    for measured in figures["runtimes"]:
        cold, megabytes = measured["cold_start_seconds"], measured["memory_bytes"] / 1e6
        lines.append(f"\n{measured['runtime']}")
        for length, times in measured["one_text"].items():
            lines.append(
                f"  one text of {length:>3} tokens   {times['p50_ms']:8.2f} ms median   "
                f"{times['p95_ms']:8.2f} ms p95"
            )
        many = measured["many_texts"]
        lines += [
            f"  many texts             {many['texts_per_second']:8,.0f} texts/s   "
            f"{many['tokens_per_second']:10,.0f} tokens/s",
            f"  first prediction       {cold:8.2f} s in a fresh process",
            f"  memory                 {megabytes:8.1f} MB beyond the libraries",
        ]
        if "stream_token_us" in measured:
            lines.append(f"  a token of a stream    {measured['stream_token_us']:8.1f} µs")
    return "\n".join(lines) + "\n"
