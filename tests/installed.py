"""Fill MLflow's cache of the installed packages, which takes most of a second per process."""

from mlflow.utils.requirements_utils import _init_packages_to_modules_map

_init_packages_to_modules_map()
