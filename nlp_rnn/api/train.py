"""Training from Python: the function behind `nlp_rnn.train`."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.api.arguments import Overrides
from nlp_rnn.api.run import Run
from nlp_rnn.api.run_arguments import Inputs, new_folder, saved_arguments
from nlp_rnn.config.compose import compose
from nlp_rnn.extras import require_training
from nlp_rnn.launch import remove_empty_folders
from nlp_rnn.runs.run_folder import check_unused

if TYPE_CHECKING:
    import os

__all__ = ["train"]


def train(
    data: Any = None,
    *,
    text: str | Sequence[str] = "text",
    label: str | Sequence[str] = "label",
    validation: Any = None,
    test: Any = None,
    unlabelled: Any = None,
    teacher: Any = None,
    output_dir: "str | os.PathLike[str] | None" = None,
    overwrite: bool = False,
    overrides: Overrides = (),
    **options: Any,
) -> Run:
    """Train a text classifier, as `nlp-rnn train` does.

    The same options and the same data give the same weights as on the command line. The run is
    logged to MLflow, to the store of `MLFLOW_TRACKING_URI` or else to `mlflow.db` in the working
    directory.

    Parameters
    ----------
    data : path, DataFrame, Dataset, DatasetDict, mapping, or pair of sequences
        The data: a file or folder, a table with a column of texts and a column of labels, or a
        pair of texts and labels. Multi-label data has lists of labels. Without `data`, the options
        name the data; by default it is the built-in corpus.
    text, label : str or list of str
        Columns of the texts and labels. Two text columns form text pairs with
        `data__separator_token=True`.
    validation, test : like `data`, optional
        The validation and test split. Missing splits are cut from the training data.
    unlabelled : path, sequence of str, DataFrame, Dataset or mapping, optional
        Further texts, which a teacher labels (`teacher="self"`, for example) or which a language
        model is pretrained on.
    teacher : str, path, list of paths, DataFrame, estimator or callable, optional
        Larger model whose predictions the classifier learns: `"self"`; a file or a DataFrame of
        predictions; a sentence encoder (a folder or a name on the hub); one or several
        classifiers; a scikit-learn estimator with `predict_proba`, which is fitted to the labelled
        texts unless it is fitted already; or a function from a list of texts to probabilities.
    output_dir : str or path, optional
        The run folder; by default a new folder below `outputs`.
    overwrite : bool
        Replace the run that `output_dir` holds. By default that is an error.
    overrides : list of str, or mapping
        Options as on the command line, such as `["model=lstm", "trainer.max_epochs=5"]`, or as a
        mapping from keys to values.
    **options
        Options as keyword arguments, with two underscores for each dot: `model="lstm"`,
        `trainer__max_epochs=5`.

    Returns
    -------
    Run
        The finished run, with its classifier, metrics and predictions.

    Raises
    ------
    ConfigError
        An option is wrong.
    DataError
        The data cannot be read.
    NlpRnnError
        The training failed.

    Examples
    --------
    >>> import nlp_rnn
    >>> reviews = {"review": ["Warm, quick and on time.", "Cold and late."] * 30,
    ...            "stars": [5, 1] * 30}
    >>> run = nlp_rnn.train(reviews, text="review", label="stars", model="lstm",
    ...                     trainer__max_epochs=8)
    data: 49 train, 5 validation, 6 test texts, 2 labels
    ...
    >>> run.classifier.predict(["Warm, quick and on time."])
    ['5']
    """
    require_training("nlp_rnn.train")
    from nlp_rnn.pipeline import train as train_run

    folder = Path(output_dir).expanduser().absolute() if output_dir else new_folder("outputs")
    if not overwrite:
        check_unused(folder)
    inputs = Inputs(data, text, label, validation, test, unlabelled, teacher)
    try:
        with saved_arguments(inputs, folder, overrides, options) as arguments:
            config = compose(arguments)
        train_run(config, folder, arguments)
    finally:
        remove_empty_folders(folder)
    return Run(folder)
