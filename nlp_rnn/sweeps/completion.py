"""Completion of a run whose training has finished, but whose results MLflow does not have yet."""

import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nlp_rnn.config.compose import read_config
from nlp_rnn.pipeline import Result
from nlp_rnn.runs.run_folder import CHECKPOINT, RESOLVED, RESULT, write_json
from nlp_rnn.runs.run_logging import PATIENCE_IN_A_SWEEP, log_results

__all__ = ["complete"]


def complete(folder: Path, result: Mapping[str, Any], command: str) -> None:
    """Log the results of a run that was interrupted after its training; nothing is trained.

    Parameters
    ----------
    folder : Path
        The run folder.
    result : mapping
        Content of `result.json`.
    command : str
        The command line of the run.

    Raises
    ------
    NlpRnnError
        If the folder or the data cannot be read, or MLflow does not respond.
    """
    from nlp_rnn.data.corpus import load_corpus
    from nlp_rnn.tracking.run_lifecycle import tracked_run
    from nlp_rnn.tracking.store import prepare_store

    resolved = read_config(folder / RESOLVED)
    values = {key: result[key] for key in asdict(Result("", "", "", ""))}
    finished = Result(**values)
    write_json(folder / RESULT, values)
    corpus = load_corpus(resolved.data)
    prepare_store(finished.tracking_uri, patience=PATIENCE_IN_A_SWEEP)
    with tracked_run(
        finished.tracking_uri,
        finished.experiment_id,
        run_id=finished.run_id,
        name="",
        parameters={},
        tags={},
        folder=folder,
        system_metrics=False,
    ) as run:
        run.log_text((folder / RESULT).read_text(encoding="utf-8"), RESULT)
        log_results(finished.metrics, resolved, corpus, run, command, ())
        run.log_classifier(Path(finished.classifier), corpus.test[:2]["text"])
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
