"""Risk–coverage table of a classifier, from the validation predictions in its run folder.

It says for each threshold which share of the texts gets a label (the coverage), and how many of
these labels are right. Reading Parquet takes as much memory as the service itself, so this module
is run as a process of its own: `python -m nlp_rnn.serving.risk_coverage FOLDER` prints the table.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_table", "risk_coverage"]

PREDICTIONS = "validation_predictions.parquet"
THRESHOLDS = np.round(np.arange(0, 100) / 100, 2)

Table = dict[str, Any]


async def read_table(folder: Path) -> Table | None:
    """Return the table for a classifier folder; None if it is not in a run folder.

    The table has the number of `texts`, and `rows` of threshold, coverage and accuracy. The
    accuracy is None where no text has a label.
    """
    # a run folder has its predictions and its result beside the folder `classifier`
    run_folder = folder.resolve().parent
    if not (run_folder / PREDICTIONS).is_file() or not (run_folder / "result.json").is_file():
        return None
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "nlp_rnn.serving.risk_coverage",
        str(run_folder),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    output, _ = await process.communicate()
    # without pyarrow, as in an installation for predictions only, there is no table
    table: Table | None = json.loads(output) if process.returncode == 0 else None
    return table


def risk_coverage(scores: NDArray[np.float32], correct: NDArray[np.bool_]) -> Table:
    """Return the table of n texts.

    Parameters
    ----------
    scores : float32 (n,)
        Probability of the predicted label.
    correct : bool (n,)
        Whether it is right.
    """
    rows = []
    for threshold in THRESHOLDS.tolist():
        covered = scores >= threshold
        accuracy = float(correct[covered].mean()) if covered.any() else None
        rows.append([threshold, float(covered.mean()), accuracy])
    return {"texts": len(scores), "rows": rows}


def _table_of_run(run_folder: Path) -> Table | None:
    from nlp_rnn.scoring.predictions import read_predictions

    predictions = read_predictions(run_folder / PREDICTIONS)
    if predictions.multi_label or not len(predictions.labels):
        return None
    return risk_coverage(predictions.probabilities.max(axis=1), predictions.correct)


if __name__ == "__main__":
    print(json.dumps(_table_of_run(Path(sys.argv[1]))))
