"""docs/reference/: the generated pages are up to date and complete."""

import dataclasses
from pathlib import Path

import pytest

from nlp_rnn.cli import COMMANDS
from nlp_rnn.config.schemas import SCHEMAS, SWEEP_SCHEMAS, conf_dir
from tests.test_architecture import load_script

REFERENCE = Path(__file__).parent.parent / "docs" / "reference"


def test_the_generated_pages_are_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    for path, text in load_script("reference", monkeypatch).pages().items():
        current = path.read_text(encoding="utf-8")
        assert current == text, f"docs/{path.name} is out of date. Run scripts/reference"


def test_every_option_of_the_schemas_is_explained() -> None:
    page = (REFERENCE / "configuration.md").read_text(encoding="utf-8")
    schemas = [(group, node) for group, nodes in SCHEMAS.items() for node in nodes.values()]
    for group, schema in [*schemas, *SWEEP_SCHEMAS.items()]:
        for field in dataclasses.fields(schema):
            assert f"\n| `{group}.{field.name}` |" in page
    assert "\n| `seed` |" in page
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert all(row[1] and row[2] and row[3].strip(" |") for row in rows)


def test_options_say_what_null_means_and_which_numbers_are_allowed() -> None:
    page = (REFERENCE / "configuration.md").read_text(encoding="utf-8")
    rows = [line.split(" | ") for line in page.splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows if row[2] == "`null`" and "null" not in row[3]] == []
    types = {row[0].strip("| `"): row[1] for row in rows}
    assert types["trainer.max_epochs"] == "integer, at least 1"


def test_every_choice_of_conf_is_explained() -> None:
    page = (REFERENCE / "configuration.md").read_text(encoding="utf-8")
    for path in conf_dir().glob("*/*.yaml"):
        assert f"\n- `{path.parent.name}={path.stem}`: " in page


def test_every_command_is_explained() -> None:
    page = (REFERENCE / "commands.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert f"\n## nlp-rnn {command}\n" in page
    modules = Path(__file__).parent.parent.joinpath("nlp_rnn", "commands").glob("*.py")
    commands = {path.stem for path in modules if "\nHELP = " in path.read_text(encoding="utf-8")}
    assert commands == set(COMMANDS)
