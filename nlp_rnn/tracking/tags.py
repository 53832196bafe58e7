"""Names of the MLflow tags that runs are found and grouped by, also as older stores have them.

New runs carry the tag `configuration` and, if they are baselines, `kind=baseline`; the run of a
sweep lists its baselines in the tag `baselines`. Runs of older stores carry `group`,
`kind=control` and `controls` instead. The functions of this module read both.
"""

from collections.abc import Mapping

__all__ = [
    "BASELINES_TAG",
    "CONFIGURATION_TAG",
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
CONFIGURATION_TAG = "configuration"
"""Name of a configuration: the runs that differ only in the seed share it."""
OLD_CONFIGURATION_TAG = "group"
BASELINES_TAG = "baselines"
"""Tag of a sweep's run: the ids of its baselines, separated by blanks."""
OLD_BASELINES_TAG = "controls"
REQUESTED_TAG = "requested"
"""Tag of a run: the requested values that differ from the resolved ones, which are its parameters.

A JSON object of dotted configuration keys. Runs of older stores have the requested values as
parameters, and no such tag.
"""


def run_kind(tags: Mapping[str, str], default: str = "") -> str:
    """Return the kind of a run (`train`, `baseline`, `sweep`, `pretraining`) from its tags."""
    kind = tags.get("kind", default)
    return KIND if kind == OLD_KIND else kind


def configuration_name(tags: Mapping[str, str]) -> str:
    """Return the name of a run's configuration, or an empty string where it has none."""
    return tags.get(CONFIGURATION_TAG, tags.get(OLD_CONFIGURATION_TAG, ""))


def baseline_ids(tags: Mapping[str, str]) -> list[str]:
    """Return the run ids of the baselines that a sweep was compared with."""
    return tags.get(BASELINES_TAG, tags.get(OLD_BASELINES_TAG, "")).split()
