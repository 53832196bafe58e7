"""Comparisons of made-up runs for tests of the report."""

import itertools
from dataclasses import replace
from typing import Any

import numpy as np

from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.records import (
    Comparison,
    Configuration,
    Difference,
    Interval,
    NotComparable,
    Recommendation,
    RequiredSamples,
)
from nlp_rnn.comparison.rules import Outcome, Rules
from nlp_rnn.inspection.memory_horizon import MemoryHorizon
from nlp_rnn.report.context import RiskRow, TrainingCurve
from nlp_rnn.scoring.predictions import Predictions

LABELS = ("animal", "city", "person", "number")
NAMES = ("lstm h128", "gru h128", "rnn h128", "gru h155")
NAN = float("nan")


def made_predictions(
    seed: int, accuracy: float, texts: int, labels: tuple[str, ...] = LABELS
) -> Predictions:
    """Return predictions with an accuracy of about `accuracy`, higher for short texts."""
    shared = np.random.default_rng(0)  # all runs have the same texts
    truth = shared.integers(len(labels), size=texts)
    lengths = shared.integers(3, 60, size=texts)
    hard = shared.normal(size=texts)
    logits = np.random.default_rng(seed).normal(size=(texts, len(labels)))
    logits[np.arange(texts), truth] += 4 * accuracy - 0.7 - hard - lengths / 60
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return Predictions(
        rows=np.arange(texts) * 2,
        labels=truth,
        predictions=probabilities.argmax(axis=1),
        probabilities=probabilities.astype(np.float32),
        lengths=lengths,
        label_names=labels,
    )


def made_run(name: str, seed: int | None, predictions: Predictions | None, **changes: Any) -> Run:
    accuracy = 0.5
    if predictions is not None:
        accuracy = float((predictions.predictions == predictions.labels).mean())
    number = 10 * len(name) + (seed or 0)
    values: dict[str, Any] = {
        "run_id": f"{name}-{seed}".replace(" ", "-"),
        "name": f"{name} seed{seed}",
        "experiment_id": "1",
        "configuration_name": name,
        "signature": "c0ffee00",
        "cell": name.split()[0],
        "seed": seed,
        "kind": "train",
        "status": "FINISHED",
        "config": {"model.cell": name.split()[0], "seed": str(seed)},
        "metrics": {
            "test/accuracy": accuracy,
            "test/macro_f1": accuracy - 0.01,
            "parameters/embedding": 1_024_000.0,
            "parameters/recurrent": 264_192.0 if name.startswith("lstm") else 198_144.0,
            "parameters/head": 1_542.0,
            "parameters/total": 1_289_734.0 if name.startswith("lstm") else 1_223_686.0,
            "train/seconds": 40.0 + number % 7,
            "train/tokens_per_second": 51_000.0 + number,
            "train/epochs": 4.0,
            "train/updates": 400.0,
            "latency/onnx_batch1_p50_ms": 0.5 + 0.01 * (number % 11),
            "latency/onnx_batch1_p95_ms": 0.8 + 0.02 * (number % 11),
            **made_speed(slower=1.4 if name.startswith("lstm") else 1.0),
        },
        "tags": {
            "processor": "Processor 9",
            "speed": f"quick, 1 thread, load {0.5 + number % 3}",
            "torch_kernel": "oneDNN" if name.startswith("lstm") else "torch",
            "onnxruntime": "1.22.0",
        },
        "machine": "this one, a Processor 9",
        "digest": "d1ge57",
        "started": 0,
        "artifacts": "",
        "predictions": predictions,
    }
    return Run(**(values | changes))


def made_speed(slower: float) -> dict[str, float]:
    metrics = {
        "throughput/onnx_batch32_texts_per_second": 2345.0 / slower,
        "throughput/torch_batch32_texts_per_second": 1234.0,
        "latency/onnx_cold_start_ms": 432.0,
        "memory/onnx_mb": 12.3 * slower,
        "memory/process_mb": 98.7,
    }
    for length in (10, 50, 100):  # texts of 400 tokens are truncated
        for runtime, times in (("onnx", 1.0), ("torch", 1.3)):
            name = f"latency/{runtime}_batch1_{length}"
            metrics[f"{name}_p50_ms"] = slower * times * (0.1 + length / 100)
            metrics[f"{name}_p95_ms"] = 1.2 * metrics[f"{name}_p50_ms"]
    return metrics


def made_configuration(
    name: str, accuracy: float, seeds: int, texts: int, labels: tuple[str, ...] = LABELS
) -> Configuration:
    runs = tuple(
        made_run(name, seed, made_predictions(seed + 100 * len(name), accuracy, texts, labels))
        for seed in range(1, seeds + 1)
    )
    return configuration_of(name, runs)


def configuration_of(name: str, runs: tuple[Run, ...], is_baseline: bool = False) -> Configuration:
    scores = {run.seed or 0: 100 * run.metrics["test/accuracy"] for run in runs}
    values = np.array(list(scores.values()))
    mean, sd = float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else NAN
    keys = set.intersection(*(set(run.metrics) for run in runs))
    return Configuration(
        name=name,
        level="" if is_baseline else name.split()[0],
        is_baseline=is_baseline,
        runs=runs,
        scores=scores,
        score=Interval(mean, mean - 1.6, mean + 1.6),
        sd=sd,
        means={key: float(np.mean([run.metrics[key] for run in runs])) for key in keys},
    )


def made_baselines(texts: int) -> tuple[Configuration, ...]:
    majority = Configuration(
        "majority class", "", True, (), {}, Interval(27.0, 23.1, 30.9), NAN, {}
    )
    run = made_run("linear", None, None, kind="baseline", metrics={"test/accuracy": 0.61})
    return majority, configuration_of("linear (TF-IDF, SVM)", (run,), is_baseline=True)


def made_difference(first: Configuration, second: Configuration, texts: int) -> Difference:
    by_seed = {seed: first.scores[seed] - second.scores[seed] for seed in first.scores}
    mean = float(np.mean(list(by_seed.values())))
    return Difference(
        first=first.name,
        second=second.name,
        metric="accuracy",
        matching=("size",),
        interval=Interval(mean, mean - 0.9, mean + 0.9),
        by_seed=by_seed,
        texts=texts,
        p_values={"bootstrap": 0.02, "mcnemar": 0.0004, "wilcoxon": 0.0625},
        adjusted={"bootstrap": 0.04, "mcnemar": 0.0008, "wilcoxon": NAN},
        effect_size=0.9,
        cliffs_delta=0.44,
        aso=0.31,
        wins=120,
        losses=88,
        detectable=2.2,
        outcome=Outcome.inconclusive,
        outcomes=dict.fromkeys((0.25, 0.5, 1.0), Outcome.inconclusive),
        required=RequiredSamples(seeds=12, texts=4_000),
    )


def made_comparison(
    configurations: int = 2, seeds: int = 5, texts: int = 300, labels: tuple[str, ...] = LABELS
) -> Comparison:
    """Return a comparison of up to four configurations in pairs, without the sixth pair."""
    accuracies = (0.78, 0.72, 0.60, 0.75)
    candidates = [
        made_configuration(name, accuracy, seeds, texts, labels)
        for name, accuracy in list(zip(NAMES, accuracies, strict=True))[:configurations]
    ]
    pairs = list(itertools.combinations(candidates, 2))
    not_comparable = [
        NotComparable(a.name, b.name, "other budget: 3 and 4 epochs") for a, b in pairs[5:]
    ]
    differences = tuple(made_difference(a, b, texts) for a, b in pairs[:5])
    return Comparison(
        data="questions",
        digest="d1ge57",
        label_names=labels,
        rules=Rules(),
        configurations=tuple(candidates),
        baselines=made_baselines(texts),
        differences=differences,
        not_comparable=tuple(not_comparable),
        verdict=(
            "Inconclusive: lstm h128 is 1.20 points ahead of gru h128 [+0.30, +2.10] on 300 texts. "
            "12 seeds or 4,000 texts would decide."
            if differences
            else "Only one configuration was found, so nothing is compared. Train a second one."
        ),
        robustness=("With a ROPE of ±0.25 points, lstm h128 is better.",) if differences else (),
        inconclusive=("lstm h128 − gru h128: 12 seeds, or 4,000 texts.",) if differences else (),
        recommendations=(
            Recommendation(
                "most accurate", "lstm h128", "It is ahead.", "81.3 % against 80.1 %, n = 300."
            ),
            Recommendation("low latency", None, "Neither is faster.", "0.81 and 0.83 ms."),
        )
        if differences
        else (),
        notes=("1 run left out: it failed.",),
        methods=("Latency: one thread, 1,000 calls, onnxruntime.",),
        same_machine=True,
    )


def made_curves(comparison: Comparison) -> dict[str, TrainingCurve]:
    curves = {}
    for configuration in comparison.configurations:
        for run in configuration.runs:
            best = configuration.scores[run.seed or 0]
            scores = tuple(best - 30 * 0.4**epoch for epoch in range(1, 5))
            slow = run.metrics["train/seconds"] / 4
            updates, seconds = (100.0, 200.0, 300.0, 400.0), (slow, 2 * slow, 3 * slow, 4 * slow)
            curves[run.run_id] = TrainingCurve(updates, seconds, scores)
    return curves


def made_memory_horizons(comparison: Comparison) -> dict[str, MemoryHorizon]:
    horizons = {}
    for configuration in comparison.configurations:
        for run in configuration.runs[:2]:
            lives = {"layer 1, left to right": 4.0 * (run.seed or 1)}
            accuracies = {1: 0.3, 3: 0.45, 10: 0.6}
            horizons[run.run_id] = MemoryHorizon(lives, accuracies, accuracies, 0.8, 120, 20)
    return horizons


def made_risk_coverage(comparison: Comparison) -> dict[str, list[RiskRow]]:
    rows: list[RiskRow] = [(n / 100, 1 - n / 100, 0.5 + n / 250) for n in range(99)]
    rows.append((0.99, 0.0, None))
    return {run.run_id: rows for c in comparison.configurations for run in c.runs}


def made_texts(texts: int = 300) -> dict[int, str]:
    text = "Which of the rivers that cross the old town was moved when the harbour was built ?"
    return {2 * row: " ".join(text.split()[row % 5 : 6 + row % 11]) for row in range(texts)}


def without_predictions(comparison: Comparison) -> Comparison:
    configurations = tuple(
        replace(c, runs=tuple(replace(run, predictions=None) for run in c.runs))
        for c in comparison.configurations
    )
    return replace(comparison, configurations=configurations)


def without_metrics(comparison: Comparison, prefix: str) -> Comparison:
    def others(metrics: Any) -> dict[str, float]:
        return {key: value for key, value in metrics.items() if not key.startswith(prefix)}

    configurations = tuple(
        replace(
            c,
            means=others(c.means),
            runs=tuple(replace(run, metrics=others(run.metrics)) for run in c.runs),
        )
        for c in comparison.configurations
    )
    return replace(comparison, configurations=configurations)
