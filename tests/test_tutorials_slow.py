"""The tutorials of docs/tutorials run as they stand, and print what they show."""

from pathlib import Path

import pytest

from tests.tutorials import missing_lines, run_command, steps, write_files

# These need a browser; tests/test_docs.py and tests/test_serving*.py run them.
INTERACTIVE = ("nlp-rnn ui", "nlp-rnn serve")


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", ["first-classifier"])
def test_a_tutorial_prints_what_it_shows(name: str, tmp_path: Path) -> None:
    write_files(tmp_path)
    for step in steps(name):
        if not step.command.startswith(INTERACTIVE):
            printed = run_command(step, tmp_path)
            assert not missing_lines(step.output, printed), printed
