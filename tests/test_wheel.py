"""The wheel holds the package and its configuration, and works from any folder."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_a_wheel_works_without_the_checkout(tmp_path: Path) -> None:
    build = "import sys, hatchling.build as h; print(h.build_wheel(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(tmp_path / "site")
    configs = {str(path.relative_to(ROOT)) for path in (ROOT / "conf").rglob("*.yaml")}
    assert {f"nlp_rnn/{name}" for name in configs} <= set(names)
    assert "nlp_rnn/py.typed" in names
    assert {f"nlp_rnn/report/report.{end}" for end in ("css", "html.jinja")} <= set(names)
    assert "nlp_rnn/inspection/page.html.jinja" in names
    assert {f"nlp_rnn/serving/page/{name}" for name in ("index.html", "main.js")} <= set(names)
    assert not [name for name in names if name.startswith(("tests/", "scripts/"))]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    program = "import nlp_rnn, sys; print(nlp_rnn.__file__); from nlp_rnn.cli import main; main()"
    answer = subprocess.run(
        [sys.executable, "-c", program, "train", "model=lstm", "--cfg", "job"],
        cwd=elsewhere,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.startswith(str(tmp_path / "site"))
    assert "cell: lstm" in answer.stdout
