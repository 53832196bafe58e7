"""The command `nlp-rnn register`: register a run's classifier in MLflow and give it an alias.

The alias, such as `champion`, is not moved from a version that is better on the same test texts.
The comparison is in `tracking/registry.py`; this module parses arguments and prints the result.
"""

import json
from pathlib import Path

from nlp_rnn.commands.argument_parser import choice, parse_arguments
from nlp_rnn.errors import ConfigError, TrackingError

__all__ = ["HELP", "register"]

HELP = """\
Register the classifier of a run in MLflow and give it an alias, unless the version that has the
alias is better on the same test texts.

  nlp-rnn register RUN_ID --name reviews
  nlp-rnn register outputs/2026-01-31/12-00-00-gru --name reviews --alias champion

  RUN               id of a run, or its run folder
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
            "register needs one run and --name NAME.\n"
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


def _run_and_store(run: str) -> tuple[str, str]:
    """Return the id of an MLflow run, and the URI of the tracking store that it is in.

    Parameters
    ----------
    run : str
        Path of a run folder, whose `result.json` has both; or a run id, which is expected in the
        store that `MLFLOW_TRACKING_URI` or the working directory determines.

    Raises
    ------
    ConfigError
        `run` is a folder without a valid `result.json`.
    TrackingError
        The tracking store does not exist.
    """
    from nlp_rnn.tracking.store import prepare_store
    from nlp_rnn.tracking.uri import resolve_uri, store_exists

    result = Path(run) / "result.json"
    if result.is_file():
        try:
            saved = json.loads(result.read_text(encoding="utf-8"))
            run_id, uri = str(saved["run_id"]), str(saved["tracking_uri"])
        except (OSError, ValueError, KeyError, TypeError):
            raise ConfigError(f"{result} is not the result of a run.") from None
    else:
        if Path(run).is_dir():
            raise ConfigError(
                f"{run} is not a run folder: it has no result.json.\n"
                "Pass the id of a run, or the run folder that nlp-rnn train printed."
            )
        run_id, uri = run, resolve_uri(None, Path.cwd())
    if not store_exists(uri):
        raise TrackingError(
            f"There are no runs at {uri}.\nSet MLFLOW_TRACKING_URI=sqlite:////PATH to their store."
        )
    prepare_store(uri)
    return run_id, uri
