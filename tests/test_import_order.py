"""Import order of the packages, depth and length of files, and imports that stay lazy."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nlp_rnn

PACKAGE = Path(nlp_rnn.__file__).parent
# A module imports only from the packages and modules above its own here, or from its own package.
IMPORT_ORDER = (
    "version",
    "errors",
    "extras",
    "cores",
    "caches",
    "layers",
    "config",
    "sources",
    "data",
    "tokens",
    "model",
    "ngrams",
    "classifier",
    "scoring",
    "tracking",
    "teachers",
    "comparison",
    "inspection",
    "report",
    "training",
    "baselines",
    "runs",
    "pretraining",
    "pipeline",
    "launch",
    "serving",
    "sweeps",
    "api",
    "sklearn",
    "commands",
    "cli",
    "__main__",
)
LEVEL = {name: level for level, name in enumerate(IMPORT_ORDER)}
# `import nlp_rnn` may load anything below the command line, lazily.
LEVEL["__init__"] = LEVEL["cli"]
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "conf" not in path.parts)


def module(path: Path) -> str:
    return ".".join(("nlp_rnn", *path.relative_to(PACKAGE).with_suffix("").parts))


def package_of(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in names if name.split(".")[0] == "nlp_rnn"}


@pytest.mark.parametrize("path", FILES, ids=module)
def test_a_module_imports_only_from_packages_above_its_own(path: Path) -> None:
    package = package_of(module(path))
    assert package in LEVEL, f"{package} is missing from IMPORT_ORDER"
    for name in imported(path):
        if name.startswith("nlp_rnn.") and package_of(name) in LEVEL:
            assert LEVEL[package_of(name)] <= LEVEL[package], f"{module(path)} imports {name}"


def test_there_is_no_import_cycle() -> None:
    modules = {module(path): imported(path) for path in FILES}
    edges = {name: {other for other in used if other in modules} for name, used in modules.items()}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " → ".join([*above, name])
        if name not in done:
            for other in edges[name]:
                visit(other, (*above, name))
            done.add(name)

    for name in edges:
        visit(name, ())


@pytest.mark.parametrize("path", FILES, ids=module)
def test_files_are_short_shallow_and_documented(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 330
    assert len(path.relative_to(PACKAGE).parts) <= 2
    assert not text or ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize(
    ("statement", "light"),
    [
        ("import nlp_rnn.cli", ("torch", "mlflow", "hydra", "omegaconf", "datasets", "numpy")),
        ("import nlp_rnn.config.run", ("torch", "mlflow", "datasets", "sklearn")),
        ("import nlp_rnn.launch", ("torch", "mlflow", "datasets", "sklearn")),
        (
            "import nlp_rnn.tracking.run_lifecycle, nlp_rnn.tracking.store",
            ("torch", "mlflow", "datasets"),
        ),
        ("import nlp_rnn.layers.cells, nlp_rnn.layers.poolings", ("torch", "onnx", "mlflow")),
        ("import nlp_rnn.classifier.recurrent_step", ("torch", "onnx", "mlflow", "datasets")),
        ("import nlp_rnn.model.network", ("mlflow", "datasets", "sklearn", "pandas")),
        ("import nlp_rnn.training.trainer", ("mlflow", "datasets", "sklearn", "pandas")),
    ],
)
def test_heavy_libraries_wait_until_they_are_needed(statement: str, light: tuple[str, ...]) -> None:
    program = f"import sys; {statement}; print(*[m for m in {light} if m in sys.modules])"
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert answer.stdout.strip() == ""
