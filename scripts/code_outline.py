"""Outline of the package nlp_rnn: its files in import order, and what they import."""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.test_import_order import FILES, IMPORT_ORDER, PACKAGE, imported, module, package_of  # noqa: E402

__all__ = ["IMPORT_ORDER", "ROOT", "package_imports", "tree"]

SOURCE = "../nlp_rnn"
"""The package as seen from docs/."""


def tree() -> str:
    """Return a nested list in Markdown: packages in import order, and their files with links."""
    lines = []
    for name in [*IMPORT_ORDER, "__init__"]:
        folder = PACKAGE / name
        if folder.is_dir():
            lines.append(f"- **`{name}/`**: {_summary(folder / '__init__.py')}")
            files = sorted(path for path in FILES if path.parent == folder)
            lines += [f"  {_item(path)}" for path in files if path.name != "__init__.py"]
        elif folder.with_suffix(".py").is_file():
            lines.append(_item(folder.with_suffix(".py")))
    return "\n".join(lines) + "\n"


def _item(path: Path) -> str:
    link = f"{SOURCE}/{path.relative_to(PACKAGE).as_posix()}"
    return f"- [`{path.name}`]({link}): {_summary(path)}"


def _summary(path: Path) -> str:
    """Return the first sentence of a module docstring, without its dot."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return " ".join(docstring.split("\n\n")[0].split()).split(". ")[0].removesuffix(".")


def package_imports() -> set[tuple[str, str]]:
    """Return every pair of two packages of which the first one imports the second one."""
    pairs = {
        (package_of(module(path)), package_of(name))
        for path in FILES
        for name in imported(path)
        if name != "nlp_rnn"
    }
    pairs.add(("cli", "commands"))  # imported by name, when the command is known
    return {(a, b) for a, b in pairs if a != b and {a, b} <= set(IMPORT_ORDER)}
