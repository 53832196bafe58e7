"""The order of the rooms: who may import whom, how deep, how long, and what stays light."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import nlp_rnn

PACKAGE = Path(nlp_rnn.__file__).parent
# A file imports only from rooms above its own in this list, or from its own.
ROOMS = [
    (
        "version",
        "errors",
        "data_config",
        "pretraining_config",
        "config",
        "signature",
        "sweep_config",
        "composition",
        "data_limits",
        "pretraining_limits",
        "limits",
    ),
    ("data",),
    ("model",),
    ("training",),
    ("classifier",),
    ("tracking",),
    ("inspection",),
    ("comparison",),
    ("card", "label_card"),
    ("screen", "evaluation", "label_evaluation", "matching", "record", "run_folder", "worker"),
    ("pretraining",),
    ("pipeline",),
    ("controls",),
    ("hydra_words", "launch"),
    ("sweep",),
    ("commands",),
    ("cli",),
    ("__main__",),
]
ORDER = {room: floor for floor, rooms in enumerate(ROOMS) for room in rooms}
# The door leads straight to the classifier.
ORDER["__init__"] = ORDER["cli"]
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "conf" not in path.parts)


def module(path: Path) -> str:
    return ".".join(("nlp_rnn", *path.relative_to(PACKAGE).with_suffix("").parts))


def room(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            found.add(node.module or "")
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "nlp_rnn"}


@pytest.mark.parametrize("path", FILES, ids=module)
def test_a_file_imports_only_from_rooms_above(path: Path) -> None:
    own = room(module(path))
    assert own in ORDER, f"{own} has no place in ROOMS"
    for name in imported(path):
        if name.startswith("nlp_rnn.") and room(name) in ORDER:
            assert ORDER[room(name)] <= ORDER[own], f"{module(path)} imports {name}"


def test_there_is_no_circle() -> None:
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
def test_files_are_short_shallow_and_say_what_they_are(path: Path) -> None:
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
            "import nlp_rnn.tracking.tracked_run, nlp_rnn.tracking.store",
            ("torch", "mlflow", "datasets"),
        ),
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
