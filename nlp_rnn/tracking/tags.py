"""Names of the MLflow tags by which runs are found and grouped, and functions that read them.

The tag `kind` distinguishes baselines, sweeps, pretrainings and training runs. The tag
`configuration` has the same value for all runs that differ only in the seed. The parent run of a
sweep lists its baselines in the tag `baselines`.
Stores of earlier versions of nlp_rnn have `kind=control`, `group` and `controls` instead of
`kind=baseline`, `configuration` and `baselines`. The functions of this module read both.
"""

from collections.abc import Mapping

__all__ = [
    "BASELINES_TAG",
    "CONFIGURATION_TAG",
    "DATA_BASELINES",
    "DIGEST_TAG",
    "KIND",
    "OLD_BASELINES_TAG",
    "OLD_CONFIGURATION_TAG",
    "OLD_KIND",
    "REQUESTED_TAG",
    "baseline_ids",
    "configuration_name",
    "run_kind",
]

KIND = "baseline"
"""Value of the tag `kind` of a baseline."""
OLD_KIND = "control"
"""The same value in stores of earlier versions."""
DATA_BASELINES = ("majority", "linear", "ngrams")
"""Cells of the baselines that depend on the data only, not on a network."""
CONFIGURATION_TAG = "configuration"
"""Tag with the name of the configuration, which all runs that differ only in the seed share."""
DIGEST_TAG = "data_digest"
"""Tag with the digest of the data."""
OLD_CONFIGURATION_TAG = "group"
"""The same tag in stores of earlier versions."""
BASELINES_TAG = "baselines"
"""Tag of the parent run of a sweep: the run ids of its baselines, separated by spaces."""
OLD_BASELINES_TAG = "controls"
"""The same tag in stores of earlier versions."""
REQUESTED_TAG = "requested"
"""Tag with the values that the user set but that were resolved to others before the training.

For example, an automatic number of epochs is resolved to a number. The parameters of the run are
the resolved values; this tag is a JSON object from dotted configuration keys to the requested
values. Runs in stores of earlier versions lack it: their parameters are the requested values.
"""


def run_kind(tags: Mapping[str, str], default: str = "") -> str:
    """Return the kind of a run from its tags: `train`, `baseline`, `sweep` or `pretraining`.

    Parameters
    ----------
    tags : mapping from str to str
        All tags of the MLflow run.
    default : str
        Kind of a run without the tag `kind`.
    """
    kind = tags.get("kind", default)
    return KIND if kind == OLD_KIND else kind


def configuration_name(tags: Mapping[str, str]) -> str:
    """Return the name of a run's configuration from its tags; empty if the run has no such tag."""
    return tags.get(CONFIGURATION_TAG, tags.get(OLD_CONFIGURATION_TAG, ""))


def baseline_ids(tags: Mapping[str, str]) -> list[str]:
    """Return the run ids of the baselines of a sweep from the tags of its parent run."""
    return tags.get(BASELINES_TAG, tags.get(OLD_BASELINES_TAG, "")).split()
