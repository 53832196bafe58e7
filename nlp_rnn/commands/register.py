"""The command `nlp-rnn register`: register a run's classifier in MLflow and give it an alias.

The alias, such as `champion`, is not moved from a version that is better on the same test texts.
The comparison is in `tracking/registry.py`; this module parses arguments and prints the result.
"""

import json
from pathlib import Path

from nlp_rnn.commands.argument_parser import choice, parse_arguments
from nlp_rnn.errors import ConfigError, TrackingError

__all__ = ["HELP", "register"]

RESULT = "result.json"

HELP = """\
Register the classifier of a run in MLflow and give it an alias, unless the version that has the
alias is better on the same test texts.

  nlp-rnn register RUN_ID --name reviews
  nlp-rnn register outputs/2026-01-31/12-00-00-gru --name reviews --alias champion
  nlp-rnn register SWEEP_ID --name reviews            the classifier that a sweep recommends

  RUN               id of a run or a sweep, or its first 8 characters; a run folder; a classifier
                    folder; or an MLflow URI, such as models:/reviews/2 to go back to version 2
  --name NAME       registered model; created if it does not exist
  --alias ALIAS     default champion
  --metric METRIC   metric of the test split: macro_f1 (default) or accuracy; for multi-label data
                    macro_f1, micro_f1 or subset_accuracy
  --force           register without a comparison

Then load it with nlp_rnn.load("models:/NAME@champion") or nlp-rnn predict models:/NAME@champion.
"""


def register(arguments: list[str]) -> int:
    """Run `nlp-rnn register`, print the registered version, and return the exit code 0.

    Parameters
    ----------
    arguments : list of str
        Arguments of the command line that follow `register`; `HELP` lists them.

    Raises
    ------
    ConfigError
        The arguments are invalid, or the run folder has no readable `result.json`.
    TrackingError
        There is no such finished run with a classifier, or the version that has the alias is
        better.
    """
    parsed = parse_arguments("register", arguments, ("--name", "--alias", "--metric"), ("--force",))
    if len(parsed.positional) != 1 or not parsed.options.get("--name"):
        raise ConfigError(
            "register needs one run or sweep, and --name NAME.\n"
            "Run nlp-rnn register RUN_ID --name NAME, or nlp-rnn register --help."
        )
    metric = choice(
        parsed, "--metric", ("macro_f1", "accuracy", "micro_f1", "subset_accuracy"), "macro_f1"
    )
    name, alias = parsed.options["--name"], parsed.options.get("--alias", "champion")
    from nlp_rnn.comparison.statistics import mcnemar
    from nlp_rnn.tracking import registry

    run_id, uri = _run_and_store(parsed.positional[0])
    registration = registry.register(
        uri,
        run_id,
        name,
        alias,
        metric,
        force="--force" in parsed.flags,
        paired_test=lambda challenger, champion: mcnemar(challenger, champion)["mid_p"],
    )
    message = f"{alias} of {name} is now version {registration.version}"
    if (contest := registration.contest) is not None:
        message += (
            f": test {metric} {contest.challenger:.4f} against {contest.champion:.4f} of version "
            f"{contest.champion_version} on the same {contest.texts:,} texts{contest.significance}"
        )
    print(f'{message}\nnlp_rnn.load("models:/{name}@{alias}")')
    return 0


def _run_and_store(location: str) -> tuple[str, str]:
    """Return the id of the run that trained a classifier, and the URI of the store that it is in.

    Parameters
    ----------
    location : str
        A run folder, whose `result.json` has both; or another location of a classifier, whose run
        is in the store that `MLFLOW_TRACKING_URI` or the working directory determines.

    Raises
    ------
    ClassifierError, ConfigError
        There is no classifier at the location, or a `result.json` is invalid.
    TrackingError
        The tracking store does not exist.
    """
    from nlp_rnn.tracking.store import prepare_store
    from nlp_rnn.tracking.uri import resolve_uri, store_exists

    folder = Path(location).expanduser()
    run_id, uri = _run_of_folder(folder) if folder.is_dir() else (None, None)
    uri = uri or resolve_uri(None, Path.cwd())
    if not store_exists(uri):
        raise TrackingError(
            f"There are no runs at {uri}.\nSet MLFLOW_TRACKING_URI=sqlite:////PATH to their store."
        )
    prepare_store(uri)
    return run_id or _run_in_mlflow(location), uri


def _run_of_folder(folder: Path) -> tuple[str, str | None]:
    """Return the run id of a run folder or classifier folder, and its store if that is known."""
    from nlp_rnn.classifier.location import find_classifier
    from nlp_rnn.classifier.manifest import CONFIG, read_config

    classifier = Path(find_classifier(folder))
    for result in (folder / RESULT, classifier.with_name(RESULT)):
        if result.is_file():
            try:
                saved = json.loads(result.read_text(encoding="utf-8"))
                return str(saved["run_id"]), str(saved["tracking_uri"])
            except (OSError, ValueError, KeyError, TypeError):
                raise ConfigError(f"{result} is not the result of a run.") from None
    if not (classifier / CONFIG).is_file():
        raise ConfigError(
            f"{folder} is not a run folder: it has no {RESULT}.\n"
            "Pass the id of a run or a sweep, or the run folder that nlp-rnn train printed."
        )
    return str(read_config(classifier)["provenance"]["mlflow_run_id"]), None


def _run_in_mlflow(location: str) -> str:
    """Return the run id of a location that is no folder."""
    from nlp_rnn.classifier.location import find_classifier, is_uri, local_folder
    from nlp_rnn.classifier.manifest import read_config

    path = find_classifier(location)
    if not is_uri(path):
        return location  # MLflow says that it has no such run
    if path.startswith("runs:/"):
        return path.split("/")[1]
    with local_folder(path) as folder:
        return str(read_config(folder)["provenance"]["mlflow_run_id"])
