"""A finished run, with its classifier, metrics and predictions."""

import html
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.config.compose import read_config
from nlp_rnn.errors import ConfigError
from nlp_rnn.runs.run_folder import CONFIG, RESOLVED, RESULT

if TYPE_CHECKING:
    import pandas as pd

    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.config.run import RunConfig
    from nlp_rnn.scoring.predictions import Predictions

__all__ = ["Run"]

SPLITS = ("validation", "test")


class Run:
    """A finished training run, read from its run folder.

    `nlp_rnn.train` returns one. `Run(folder)` opens the folder of an earlier run, also of one that
    the command line started.

    Parameters
    ----------
    output_dir : str or path
        The run folder.

    Attributes
    ----------
    output_dir : Path
        The run folder.
    run_id : str
        Id of the MLflow run.
    tracking_uri : str
        Address of the MLflow store.
    metrics : dict of str to float
        All metrics by name, such as `test/accuracy`.

    Raises
    ------
    ConfigError
        The folder holds no finished run.

    Examples
    --------
    >>> import nlp_rnn
    >>> run = nlp_rnn.Run("reviews")
    >>> run.metrics["test/accuracy"]
    0.9483
    >>> run.classifier.predict(["Warm, quick and on time."])
    ['positive']
    """

    def __init__(self, output_dir: str | Path) -> None:
        self.output_dir = Path(output_dir).expanduser().absolute()
        try:
            result = json.loads((self.output_dir / RESULT).read_text(encoding="utf-8"))
        except OSError:
            raise ConfigError(
                f"{self.output_dir} holds no finished run: it has no {RESULT}.\n"
                "Pass the run folder that nlp-rnn train printed."
            ) from None
        self.run_id: str = result["run_id"]
        self.tracking_uri: str = result["tracking_uri"]
        self.metrics: dict[str, float] = result["metrics"]

    @cached_property
    def classifier(self) -> "TextClassifier":
        """The trained classifier."""
        from nlp_rnn.classifier.predictor import TextClassifier

        return TextClassifier.load(self.output_dir / "classifier")

    @cached_property
    def config(self) -> "RunConfig":
        """The configuration that was requested."""
        return read_config(self.output_dir / CONFIG)

    @cached_property
    def resolved(self) -> "RunConfig":
        """The configuration with the values that open options had for this data and machine."""
        return read_config(self.output_dir / RESOLVED)

    def predictions(self, split: str = "test") -> "pd.DataFrame":
        """Return the predictions for the texts of a split.

        Test texts were predicted by the saved classifier. Validation texts were predicted by a
        classifier whose n-gram models had not seen them, so that their scores are honest.

        Parameters
        ----------
        split : {"test", "validation"}, default "test"

        Returns
        -------
        DataFrame
            One row per text, with the columns `row` (index in the data that was read), `text`,
            `label`, `prediction` and `probability` (of the prediction). For multi-label data,
            `label` and `prediction` are lists, and `probability` is a mapping from each label to
            its probability.

        Raises
        ------
        ConfigError
            There is no such split.
        DataError
            The data has changed since the run.
        """
        from nlp_rnn.api.frames import predictions_frame
        from nlp_rnn.data.corpus import load_corpus

        predictions = self._predictions(split)
        return predictions_frame(predictions, getattr(load_corpus(self.config.data), split)["text"])

    @cached_property
    def report(self) -> "pd.DataFrame":
        """Precision, recall, F1 and number of texts of each label on the test split."""
        from nlp_rnn.api.frames import report_frame

        return report_frame(self._predictions("test"))

    def __repr__(self) -> str:
        """Return the scores and the folder of the run."""
        scores = ", ".join(f"{name}={value:.4f}" for name, value in self._scores().items())
        return f"Run({str(self.output_dir)!r}, {scores})"

    def _repr_html_(self) -> str:
        """Return a table of scores for notebooks."""
        rows = {
            **{name: f"{value:.4f}" for name, value in self._scores().items()},
            "classifier": html.escape(str(self.output_dir / "classifier")),
            "MLflow run": html.escape(self.run_id),
        }
        cells = "".join(
            f'<tr><th style="text-align:left">{name}</th>'
            f'<td style="text-align:left">{value}</td></tr>'
            for name, value in rows.items()
        )
        return f"<table>{cells}</table>"

    def _scores(self) -> Mapping[str, float]:
        wanted = [
            f"{split}/{name}" for split in SPLITS for name in ("accuracy", "micro_f1", "macro_f1")
        ]
        return {name: self.metrics[name] for name in wanted if name in self.metrics}

    def _predictions(self, split: str) -> "Predictions":
        from nlp_rnn.scoring.predictions import read_predictions

        if split not in SPLITS:
            raise ConfigError(f"split is {split!r}, not one of {', '.join(SPLITS)}.")
        return read_predictions(self.output_dir / f"{split}_predictions.parquet")
