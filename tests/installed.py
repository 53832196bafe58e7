"""What MLflow learns once in a process about the installed packages, in most of a second."""

from mlflow.utils.requirements_utils import _init_packages_to_modules_map

_init_packages_to_modules_map()
