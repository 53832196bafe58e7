"""Runs with made-up predictions for tests of comparisons, as they are read from MLflow."""

from dataclasses import replace
from typing import Any

import numpy as np

from nlp_rnn.comparison.compare import compare_runs
from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.records import Comparison
from nlp_rnn.comparison.rules import Rules
from nlp_rnn.scoring.metrics import score_predictions
from nlp_rnn.scoring.predictions import Predictions

CONFIG = {
    "data.name": "texts",
    "data.seed": "0",
    "data.fraction": "None",
    "tokenizer.vocab_size": "8000",
    "model.hidden_size": "128",
    "model.bidirectional": "True",
    "trainer.max_epochs": "10",
    "trainer.device": "auto",
}
NAMES = ("no", "yes")
RULES = Rules(resamples=300)


def correct_predictions(
    texts: int,
    accuracy: float,
    seeds: int,
    random: np.random.Generator,
    seed_sd: float = 0.003,
    difficulty: np.ndarray | None = None,
) -> np.ndarray:
    """Return which texts each seed predicts correctly, bool (seeds, texts).

    The prediction of a text is correct if a weighted sum of its difficulty and of noise is below
    a bound. So the runs mostly fail on the same texts, and two of them differ on about one in ten.
    """
    from scipy.stats import norm

    if difficulty is None:
        difficulty = random.normal(size=texts)
    chance = random.normal(size=(seeds, texts))
    level = accuracy + seed_sd * random.normal(size=(seeds, 1))
    hardness = np.sqrt(0.85) * difficulty + np.sqrt(0.15) * chance
    return np.asarray(hardness < norm.ppf(np.clip(level, 0.01, 0.99)))


def predictions(correct: np.ndarray, names: tuple[str, ...] = NAMES) -> Predictions:
    """Return the predictions of one run; `correct`, bool (n,), says which ones are correct.

    The labels of the texts alternate.
    """
    texts = len(correct)
    labels = np.arange(texts, dtype=np.int64) % 2
    predicted = np.where(correct, labels, 1 - labels)
    return Predictions(
        rows=np.arange(texts, dtype=np.int64),
        labels=labels,
        predictions=predicted,
        probabilities=np.eye(len(names), dtype=np.float32)[predicted],
        lengths=np.arange(texts, dtype=np.int64) % 50 + 1,
        label_names=names,
    )


def run(
    cell: str, seed: int | None, correct: np.ndarray | None, signature: str = "", **fields: Any
) -> Run:
    """Return a run; `fields` replace fields of `Run`, except `config`, `metrics` and `tags`.

    These three are merged with the defaults.
    """
    config = CONFIG | {"model.cell": cell, "model.name": cell} | dict(fields.pop("config", {}))
    if seed is not None:
        config["seed"] = str(seed)
    metrics = {
        "validation/accuracy": 0.8,
        "parameters/recurrent": 4000.0 if cell == "lstm" else 3000.0,
        "parameters/total": 10_000.0,
        "latency/onnx_batch1_p95_ms": 2.0 if cell == "lstm" else 1.0,
        "train/seconds": 60.0,
    }
    score = 0.8 if correct is None else float(correct.mean())
    metrics |= {"test/accuracy": score, "test/macro_f1": score} | dict(fields.pop("metrics", {}))
    signature = signature or f"{cell:0<8}"
    tags = {"data": "texts", "cell": cell, "signature": signature} | dict(fields.pop("tags", {}))
    values: dict[str, Any] = {
        "run_id": f"{cell}-{signature}-{seed}",
        "name": f"{cell} seed{seed}",
        "experiment_id": "1",
        "configuration_name": f"{cell} h128 texts {signature}",
        "signature": signature,
        "cell": cell,
        "seed": seed,
        "kind": "train",
        "status": "FINISHED",
        "config": config,
        "metrics": metrics,
        "tags": tags,
        "machine": "here one core",
        "digest": "d1",
        "started": seed or 0,
        "artifacts": "",
        "predictions": None if correct is None else predictions(correct),
    }
    return Run(**(values | fields))


def two_cells(
    texts: int = 1000, seeds: int = 5, gru: float = 0.8, lstm: float = 0.8, seed: int = 0
) -> list[Run]:
    """Return runs of a GRU and an LSTM on the same texts with the same seeds."""
    random = np.random.default_rng(seed)
    difficulty = random.normal(size=texts)
    runs = []
    for cell, accuracy in (("gru", gru), ("lstm", lstm)):
        by_seed = correct_predictions(texts, accuracy, seeds, random, difficulty=difficulty)
        runs += [run(cell, seed, correct) for seed, correct in enumerate(by_seed, start=1)]
    return runs


def multi_label_decisions(
    truth: np.ndarray,
    accuracy: float,
    seeds: int,
    random: np.random.Generator,
    difficulty: np.ndarray,
    seed_sd: float = 0.003,
) -> np.ndarray:
    """Return the predicted labels of each seed, bool (seeds, texts, labels).

    As in `correct_predictions`, for every label of every text; `truth` and `difficulty` have the
    shape (texts, labels).
    """
    correct = correct_predictions(
        truth.size, accuracy, seeds, random, seed_sd, difficulty.ravel()
    ).reshape(seeds, *truth.shape)
    return np.asarray(np.where(correct, truth, ~truth))


def multi_label_runs(
    texts: int = 400,
    labels: int = 6,
    seeds: int = 4,
    gru: float = 0.9,
    lstm: float = 0.9,
    seed: int = 0,
) -> list[Run]:
    """Return runs of a GRU and an LSTM on the same multi-label texts with the same seeds."""
    random = np.random.default_rng(seed)
    truth = random.random((texts, labels)) < np.linspace(0.5, 0.05, labels)
    difficulty = random.normal(size=truth.shape)
    runs = []
    for cell, accuracy in (("gru", gru), ("lstm", lstm)):
        decisions = multi_label_decisions(truth, accuracy, seeds, random, difficulty)
        for number, predicted in enumerate(decisions, start=1):
            saved = Predictions(
                rows=np.arange(texts, dtype=np.int64),
                labels=truth,
                predictions=predicted,
                probabilities=np.where(predicted, 0.8, 0.1).astype(np.float32),
                lengths=np.arange(texts, dtype=np.int64) % 50 + 1,
                label_names=tuple(f"label{index}" for index in range(labels)),
            )
            scores = score_predictions(truth, predicted, labels)
            metrics = {f"test/{name}": value for name, value in scores.items()}
            metrics |= {f"validation/{name}": value for name, value in scores.items()}
            tags = {"task": "multi_label", "data": "talk"}
            made = run(cell, number, None, predictions=saved, metrics=metrics, tags=tags)
            name = made.configuration_name.replace("texts", "talk")
            others = {"test/accuracy", "validation/accuracy"}
            kept = {name: value for name, value in made.metrics.items() if name not in others}
            runs.append(replace(made, metrics=kept, configuration_name=name, digest="d2"))
    return runs


def changed(runs: list[Run], cell: str, **config: str) -> list[Run]:
    """Return the runs with other values in the configuration of one cell; `__` means a dot."""
    dotted = {key.replace("__", "."): value for key, value in config.items()}
    return [
        replace(run, config={**run.config, **dotted}) if run.cell == cell else run for run in runs
    ]


def compared(runs: list[Run], rules: Rules = RULES) -> Comparison:
    (comparison,) = compare_runs(runs, rules)
    return comparison
