"""The command `evaluate`: metrics of a saved classifier on labelled texts."""

import json
import sys
from pathlib import Path
from typing import Any

from nlp_rnn.api.evaluation_data import SPLITS
from nlp_rnn.commands.argument_parser import choice, number, parse_arguments
from nlp_rnn.errors import ConfigError

__all__ = ["HELP", "evaluate"]

HELP = """\
Test a saved classifier on labelled texts, with the data options of nlp-rnn train. Options that are
not set have the values of the training where they apply.

  nlp-rnn evaluate MODEL data=files data.path=more.csv data.text=review data.label=stars
  nlp-rnn evaluate MODEL data=imdb --split test --output scores.json

  --split NAME          test, validation, train, all, or unseen (texts that the classifier was not
                        trained on); default: test if the data has a test split or is the data
                        that the classifier was trained on, otherwise all
  --output FILE         write the metrics as JSON
  --predictions FILE    write the prediction for every text as Parquet
  --json                print the JSON and nothing else
  --windows             read texts that are longer than max_length to their end
  --threads N, --runtime NAME    as for nlp-rnn predict
"""

OPTIONS = ("--split", "--output", "--predictions", "--threads", "--runtime")


def evaluate(arguments: list[str]) -> int:
    """Run the command with its arguments and return the exit code."""
    parsed = parse_arguments("evaluate", arguments, OPTIONS, ("--json", "--windows"))
    overrides = parsed.positional[1:]
    for override in overrides:
        if "=" not in override:
            from nlp_rnn.config.hints import unknown_form

            raise unknown_form(override)
    if not any(override.startswith("data=") for override in overrides):
        raise ConfigError(
            "evaluate needs a classifier and data.\n"
            "Run nlp-rnn evaluate FOLDER_OR_URI data=files data.path=FILE, or "
            "nlp-rnn evaluate --help."
        )
    split = choice(parsed, "--split", SPLITS, "") if "--split" in parsed.options else None
    threads = number(parsed, "--threads", 1, 1024, whole=True)
    from nlp_rnn.api.evaluate import evaluate as evaluate_classifier
    from nlp_rnn.scoring.predictions import classification_report_text, write_predictions

    evaluation = evaluate_classifier(
        parsed.positional[0],
        split=split,
        windows="--windows" in parsed.flags,
        threads=None if threads is None else int(threads),
        runtime=parsed.options.get("--runtime", "onnx"),
        overrides=overrides,
    )
    for note in evaluation.notes:
        print(note, file=sys.stderr)
    if path := parsed.options.get("--predictions"):
        write_predictions(Path(path), evaluation.saved)
    scores: dict[str, Any] = {
        "classifier": parsed.positional[0],
        "checksum": evaluation.checksum,
        "data": evaluation.data,
        "data_digest": evaluation.digest,
        "split": evaluation.split,
        "texts": len(evaluation.saved.rows),
        "training_texts": evaluation.training_texts,
        **evaluation.metrics,
    }
    if evaluation.interval is not None:
        scores["accuracy_interval_95"] = list(evaluation.interval)
    as_json = json.dumps(scores, indent=2) + "\n"
    if path := parsed.options.get("--output"):
        Path(path).write_text(as_json, encoding="utf-8")
    if "--json" in parsed.flags:
        print(as_json, end="")
        return 0
    print(f"{evaluation.title}\n{evaluation.headline}\n")
    print(classification_report_text(evaluation.saved), end="")
    return 0
