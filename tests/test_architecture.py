"""docs/architecture.md: its tree, its drawing and the names in its text are current."""

import ast
import re
import sys
import xml.etree.ElementTree as ElementTree
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from tests.test_import_order import FILES, IMPORT_ORDER, PACKAGE

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "architecture.md"
DRAWING = ROOT / "docs" / "images" / "architecture.svg"


def load_script(name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Import a file of scripts/ that has no suffix."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    spec = spec_from_loader(name, SourceFileLoader(name, str(ROOT / "scripts" / name)))
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tree_on_the_page_is_that_of_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    page = load_script("reference", monkeypatch).architecture_page()
    assert page == PAGE.read_text(encoding="utf-8"), (
        "The tree is out of date: run scripts/reference"
    )
    for path in FILES:
        assert path.name == "__init__.py" or f"[`{path.name}`](" in page


def test_every_file_of_the_tree_has_a_description() -> None:
    lines = PAGE.read_text(encoding="utf-8").split("<!-- tree -->")[1].split("<!-- end")[0]
    items = re.findall(r"^ *- (?:\*\*`\w+/`\*\*|\[.*\]\(.*\)): ?(.*)$", lines, re.MULTILINE)
    assert len(items) == len(lines.strip().split("\n"))
    assert all(len(description.split()) > 2 for description in items), "Write the docstring"


def test_the_drawing_has_every_package_and_every_import(monkeypatch: pytest.MonkeyPatch) -> None:
    script = load_script("draw_architecture", monkeypatch)
    drawn = set(IMPORT_ORDER) - set(script.OMITTED)
    assert drawn == set(script.PURPOSES), "Describe each package in AREAS of draw_architecture"
    pairs = {pair for pair in script.package_imports() if set(pair) <= drawn}
    elements = list(ElementTree.parse(DRAWING).iter())
    ids = {tuple(e.attrib.get("id", "").split()[1:]) for e in elements if "id" in e.attrib}
    assert {names for names in ids if len(names) == 2} == pairs, "Run scripts/reference"
    texts = {e.text for e in elements if e.tag.endswith("}text")}
    assert drawn | set(script.PURPOSES.values()) <= texts, "Run scripts/reference"


def test_every_function_of_the_journeys_exists() -> None:
    text = PAGE.read_text(encoding="utf-8").split("## Three journeys")[1]
    names = re.findall(r"`([\w/]+\.py):([\w.]+)`", text)
    assert len(names) > 30
    for file, name in names:
        scope: list[ast.stmt] = ast.parse((PACKAGE / file).read_text(encoding="utf-8")).body
        for part in name.split("."):
            kinds = (ast.ClassDef, ast.FunctionDef)
            found = [node for node in scope if isinstance(node, kinds) and node.name == part]
            assert found, f"There is no {name} in {file}. Correct docs/architecture.md"
            scope = found[0].body


@pytest.mark.parametrize(
    "page", [PAGE, ROOT / "docs" / "contributing.md"], ids=lambda page: page.name
)
def test_every_file_that_is_named_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    names = re.findall(r"`((?:nlp_rnn|conf|docs|scripts|tests)/[\w./-]*)`", text)
    assert names
    for name in names:
        assert (ROOT / name).exists(), name
