"""Extras of the installation, and errors that say which of them a missing package belongs to."""

from importlib.util import find_spec

from nlp_rnn.errors import NlpRnnError

__all__ = ["MissingPackageError", "missing_package", "require_training"]

FILES = ("charset_normalizer", "datasets", "hydra", "omegaconf", "pandas", "pyarrow")
"""Packages that read data files."""

TRAINING = (*FILES, "filelock", "matplotlib", "mlflow", "onnx", "rich", "scipy", "sklearn", "torch")

NAMES = {
    "charset_normalizer": "charset-normalizer",
    "hydra": "hydra-core",
    "sklearn": "scikit-learn",
}
"""Packages whose name for pip is not that of their module."""

FILE_COMMANDS = ("predict", "suggest")
"""Commands that need no other packages than those that read files."""


class MissingPackageError(NlpRnnError, ImportError):
    """A package is not installed because it belongs to an extra of this one."""


def missing_package(error: ImportError, caller: str) -> MissingPackageError | None:
    """Return an error that names the extra to install; None if no extra has the missing module.

    Parameters
    ----------
    error : ImportError
        The error of the import.
    caller : str
        The command or function that needs the module, such as "predict".
    """
    package = (error.name or "").partition(".")[0]
    if package not in TRAINING or find_spec(package) is not None:
        return None
    if package == "mlflow":
        extra = "mlflow"
    else:
        extra = "files" if package in FILES and caller in FILE_COMMANDS else "train"
    return MissingPackageError(
        f"{caller} needs {NAMES.get(package, package)}, which is not installed.\n"
        f"Run pip install 'nlp_rnn[{extra}]'"
    )


def require_training(caller: str) -> None:
    """Raise an error if the packages for training are not installed.

    Raises
    ------
    MissingPackageError
        It names `caller` and the extra to install.
    """
    missing = [NAMES.get(package, package) for package in TRAINING if find_spec(package) is None]
    if missing:
        raise MissingPackageError(
            f"{caller} needs packages that are not installed: {', '.join(missing)}.\n"
            "Run pip install 'nlp_rnn[train]'"
        )
