"""The tutorials of docs/tutorials as programs: their files, their commands, and what these print.

A block of Python whose first line is a comment with a file name is that file. A block `text` after
a block of commands is what its last command prints, where `…` stands for left-out lines.
"""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Step", "missing_lines", "run_command", "steps", "write_files"]

TUTORIALS = Path(__file__).parent.parent / "docs" / "tutorials"
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)
# What differs from run to run: figures, run ids, and the time in the name of a folder.
VARYING = re.compile(r"[0-9a-f]{32}|\d[\d.,:/]*|(?<=[\s(])[-+−](?=#)")


@dataclass(frozen=True)
class Step:
    """A command, or a Python program, and the lines that it prints according to the tutorial."""

    command: str
    output: tuple[str, ...] = ()
    python: bool = False


def steps(name: str) -> list[Step]:
    """Return the steps of a tutorial in their order."""
    found: list[Step] = []
    for language, text in BLOCK.findall((TUTORIALS / f"{name}.md").read_text(encoding="utf-8")):
        if language == "bash":
            found += [Step(line.split("  #")[0].strip()) for line in text.splitlines() if line]
        elif language == "python" and not _file_name(text):
            found.append(Step(text, python=True))
        elif language == "text" and found:
            lines = tuple(line for line in text.splitlines() if line.strip())
            found[-1] = Step(found[-1].command, found[-1].output + lines, found[-1].python)
    return found


def write_files(folder: Path) -> None:
    """Write the files that the tutorials show."""
    pages = [page.read_text(encoding="utf-8") for page in sorted(TUTORIALS.glob("*.md"))]
    for language, text in (block for page in pages for block in BLOCK.findall(page)):
        if language in ("python", "yaml") and (file := _file_name(text)):
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


def run_command(step: Step, folder: Path) -> str:
    """Run a step in a folder and return what it prints, with both streams in their order."""
    environment = {name: value for name, value in os.environ.items() if "MLFLOW_" not in name}
    environment |= {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "NLP_RNN_CACHE": str(folder / "cache"),
        "COLUMNS": "110",
    }
    command: Sequence[str] = ["bash", "-c", step.command]
    if step.python:
        command = [sys.executable, "-c", step.command]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{step.command}\n{done.stdout}"
    return done.stdout


def missing_lines(expected: Sequence[str], printed: str) -> list[str]:
    """Return the expected lines that were not printed, if figures and ids do not count."""
    lines = {_fixed_part(line) for line in printed.splitlines()}
    return [line for line in expected if line.strip() != "…" and _fixed_part(line) not in lines]


def _file_name(text: str) -> str:
    match = re.match(r"# ([\w/]+\.\w+)\n", text)
    return match[1] if match else ""


def _fixed_part(line: str) -> str:
    return " ".join(VARYING.sub("#", line).split())
