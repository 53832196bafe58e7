"""Sweeps from Python: the function behind `nlp_rnn.sweep`."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.api.arguments import Overrides, as_value
from nlp_rnn.api.comparison import Comparison
from nlp_rnn.api.run_arguments import Inputs, new_folder, saved_arguments
from nlp_rnn.errors import ConfigError
from nlp_rnn.extras import require_training
from nlp_rnn.launch import remove_empty_folders
from nlp_rnn.runs.run_folder import check_unused

if TYPE_CHECKING:
    import os

__all__ = ["sweep"]


def sweep(
    data: Any = None,
    space: Mapping[str, Iterable[Any]] | None = None,
    *,
    text: str | Sequence[str] = "text",
    label: str | Sequence[str] = "label",
    validation: Any = None,
    test: Any = None,
    unlabelled: Any = None,
    teacher: Any = None,
    output_dir: "str | os.PathLike[str] | None" = None,
    overrides: Overrides = (),
    **options: Any,
) -> Comparison:
    """Train every combination of some values, and compare them, as `nlp-rnn train -m` does.

    Parameters
    ----------
    data : path, DataFrame, Dataset, DatasetDict, mapping, or pair of sequences
        The data, as in `nlp_rnn.train`.
    space : mapping of str to iterable
        The values to try of each option, such as `{"model": ["lstm", "gru"], "seed": range(5)}`.
        A preset can name them instead: `sweep="cells"`.
    text, label, validation, test, unlabelled, teacher
        As in `nlp_rnn.train`.
    output_dir : str or path, optional
        Folder of the sweep; by default a new folder below `multirun`.
    overrides : list of str, or mapping
        Options that all combinations share, as in `nlp_rnn.train`.
    **options
        Options as keyword arguments, with two underscores for each dot: `sweep__jobs=2`.

    Returns
    -------
    Comparison
        The scores and their differences; `classifier` is the one that the sweep recommends.

    Raises
    ------
    ConfigError
        An option is wrong.
    DataError
        The data cannot be read.
    SweepError
        Some combinations did not finish; raised after all others have.

    Examples
    --------
    >>> import nlp_rnn
    >>> texts = ["Warm, quick and on time.", "Cold and late."] * 30
    >>> comparison = nlp_rnn.sweep((texts, [5, 1] * 30), {"model": ["lstm", "gru"], "seed": [1, 2]},
    ...                            trainer__max_epochs=8)
    sweep ...
    >>> comparison.classifier.predict(["Warm, quick and on time."])
    ['5']
    """
    require_training("nlp_rnn.sweep")
    from nlp_rnn.sweeps.sweep import sweep as run_sweep

    if not space and "sweep" not in options:
        raise ConfigError(
            "nlp_rnn.sweep has no values to try.\n"
            'Pass for example space={"model": ["lstm", "gru"], "seed": range(3)}.'
        )
    folder = Path(output_dir).expanduser().absolute() if output_dir else new_folder("multirun")
    check_unused(folder)
    inputs = Inputs(data, text, label, validation, test, unlabelled, teacher)
    swept = [f"{key}={_values(key, values)}" for key, values in (space or {}).items()]
    try:
        with saved_arguments(inputs, folder, overrides, options) as arguments:
            sweep_dir = f"hydra.sweep.dir={as_value('output_dir', folder)}"
            result = run_sweep([*arguments, *swept, sweep_dir])
    finally:
        remove_empty_folders(folder)
    if result is None:  # sweep.detach=true
        return Comparison((), "", None, folder)
    return Comparison(
        tuple(result.comparisons), result.uri, result.run_id[:8], folder, tuple(result.runs)
    )


def _values(key: str, values: Any) -> str:
    """Return the values of a key in Hydra's form for sweeps."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        values = [values]
    return ",".join(as_value(key, value) for value in values)
