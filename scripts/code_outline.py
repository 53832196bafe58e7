"""Outline of the package nlp_rnn: its files in import order, and what they import."""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.test_import_order import FILES, IMPORT_ORDER, PACKAGE, imported, module, package_of  # noqa: E402

__all__ = ["IMPORT_ORDER", "ROOT", "package_imports", "summary", "tree"]

NAMES = 32
"""Width of the column of names in the tree."""


def summary(path: Path, limit: int) -> str:
    """Return the first sentence of a module docstring, without its dot and its backquotes.

    A sentence longer than `limit` characters ends at its colon, or else at its last comma before.
    """
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    sentence = " ".join(docstring.split("\n\n")[0].split()).split(". ")[0].rstrip(".")
    sentence = sentence.replace("`", "")
    if len(sentence) > limit:
        colon, comma = sentence.find(": ", 12), sentence.rfind(", ", 12, limit + 1)
        sentence = sentence[: colon if 0 < colon <= limit else comma if comma > 0 else None]
    return sentence


def tree() -> str:
    """Return a line for every package and every file, packages in import order."""
    lines = ["nlp_rnn/"]
    for name in [*IMPORT_ORDER, "__init__"]:
        folder = PACKAGE / name
        if folder.is_dir():
            lines.append(_line(f"  {name}/", folder / "__init__.py"))
            files = sorted(path for path in FILES if path.parent == folder)
            lines += [_line(f"    {p.name}", p) for p in files if p.name != "__init__.py"]
        elif folder.with_suffix(".py").is_file():
            lines.append(_line(f"  {name}.py", folder.with_suffix(".py")))
    return "\n".join(lines) + "\n"


def _line(name: str, path: Path) -> str:
    return f"{name:<{NAMES}}{summary(path, limit=100)}".rstrip()


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
