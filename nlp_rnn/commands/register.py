"""A run becomes the champion of a registered model in MLflow, or is told why not."""

import json
from pathlib import Path

from nlp_rnn.commands.argument_parser import choice, read_words
from nlp_rnn.errors import ConfigError, TrackingError

__all__ = ["HELP", "register"]

HELP = """\
Register the classifier of a run in MLflow and give it an alias, unless the version that has the
alias is better on the same test texts.

  nlp-rnn register RUN_ID --name reviews
  nlp-rnn register outputs/2026-01-31/12-00-00-gru --name reviews --alias champion

  RUN               the id of a run, or its run folder
  --name NAME       of the registered model; made if it is missing
  --alias ALIAS     default champion
  --metric METRIC   macro_f1 (default) or accuracy, of the test split; where a text may have
                    several labels also micro_f1 and subset_accuracy, and no accuracy
  --force           do not compare

Then nlp_rnn.load("models:/NAME@champion") and nlp-rnn predict models:/NAME@champion find it.
"""


def register(words: list[str]) -> int:
    """Run the command."""
    given = read_words("register", words, ("--name", "--alias", "--metric"), ("--force",))
    if len(given.arguments) != 1 or not given.options.get("--name"):
        raise ConfigError(
            "register needs one run and --name NAME.\n"
            "Type nlp-rnn register RUN_ID --name NAME, or nlp-rnn register --help."
        )
    metric = choice(
        given, "--metric", ("macro_f1", "accuracy", "micro_f1", "subset_accuracy"), "macro_f1"
    )
    name, alias = given.options["--name"], given.options.get("--alias", "champion")
    from nlp_rnn.comparison.statistics import mcnemar
    from nlp_rnn.tracking import registry

    run_id, uri = _run(given.arguments[0])
    done = registry.register(
        uri,
        run_id,
        name,
        alias,
        metric,
        force="--force" in given.flags,
        paired_test=lambda challenger, champion: mcnemar(challenger, champion)["mid_p"],
    )
    told = f"{alias} of {name} is now version {done.version}"
    if done.contest is not None:
        told += (
            f": test {metric} {done.contest.challenger:.4f} against "
            f"{done.contest.champion:.4f} of version {done.contest.champion_version} "
            f"on the same {done.contest.texts:,} texts{done.contest.chance}"
        )
    print(f'{told}\nnlp_rnn.load("models:/{name}@{alias}")')
    return 0


def _run(given: str) -> tuple[str, str]:
    """The id of a run and the store it is in; `given` is the id, or the run folder."""
    from nlp_rnn.tracking.store import prepare_store
    from nlp_rnn.tracking.uri import resolve_uri

    result = Path(given) / "result.json"
    if result.is_file():
        try:
            saved = json.loads(result.read_text(encoding="utf-8"))
            run_id, uri = str(saved["run_id"]), str(saved["tracking_uri"])
        except (OSError, ValueError, KeyError, TypeError):
            raise ConfigError(f"{result} is not the result of a run.") from None
    else:
        if Path(given).is_dir():
            raise ConfigError(
                f"{given} is no run folder: it has no result.json.\n"
                "Type the id of a run, or the folder that nlp-rnn train printed."
            )
        run_id, uri = given, resolve_uri(None, Path.cwd())
    file = Path(uri.removeprefix("sqlite:///"))
    if uri.startswith("sqlite:///") and not file.exists():
        raise TrackingError(
            f"There are no runs at {uri}.\nSay where they are: MLFLOW_TRACKING_URI=sqlite:////PATH"
        )
    prepare_store(uri)
    return run_id, uri
