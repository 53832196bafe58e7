"""Names and docstrings in the field's terms, as far as a program can check docs/contributing.md."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import nlp_rnn

PACKAGE = Path(nlp_rnn.__file__).parent
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "conf" not in path.parts)
NOT_NOUNS = {"told", "said", "found", "given", "each", "own", "some", "place", "answer", "gone"}


def module(path: Path) -> str:
    return str(path.relative_to(PACKAGE))


def defined_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name


@pytest.mark.parametrize("path", FILES, ids=module)
def test_a_module_docstring_names_the_thing_first(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, "every module and package has a docstring"
    first = docstring.splitlines()[0]
    assert " become" not in first
    assert first.endswith((".", ":")) or len(docstring.splitlines()) > 1, "a complete sentence"


@pytest.mark.parametrize("path", FILES, ids=module)
def test_things_are_named_by_nouns(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    wrong = [f"line {line}: {name}" for line, name in defined_names(tree) if name in NOT_NOUNS]
    assert not wrong


def test_sections_of_docstrings_have_the_numpy_layout() -> None:
    google = [
        f"{module(path)}:{node.lineno}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and any(
            line.strip() in ("Args:", "Returns:", "Raises:", "Attributes:", "Promise:")
            for line in (ast.get_docstring(node) or "").splitlines()
        )
    ]
    assert not google
