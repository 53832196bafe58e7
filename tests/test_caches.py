"""Cache folders: what is used where the usual one cannot be written."""

import tempfile
from pathlib import Path

import pytest

from nlp_rnn.caches import cache_dir, datasets_cache
from nlp_rnn.errors import ConfigError

VARIABLES = ("NLP_RNN_CACHE", "XDG_CACHE_HOME", "HF_DATASETS_CACHE", "HF_HOME")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file: no folder can be made below it, whoever tries."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    path = tmp_path / "file"
    path.touch()
    return path


def test_the_order_of_the_variables(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(file.parent / "home"))
    assert cache_dir() == file.parent / "home" / ".cache" / "nlp_rnn"
    monkeypatch.setenv("XDG_CACHE_HOME", str(file.parent / "xdg"))
    assert cache_dir() == file.parent / "xdg" / "nlp_rnn"
    monkeypatch.setenv("NLP_RNN_CACHE", str(file.parent / "own"))
    assert cache_dir() == file.parent / "own"


def test_without_a_home_folder_the_cache_is_temporary(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import datasets

    monkeypatch.setenv("HOME", str(file / "home"))
    folder = cache_dir()
    assert folder.is_relative_to(file.parent / "tmp")
    assert folder.parent.stat().st_mode & 0o077 == 0
    assert "cannot be written" in caplog.text
    caplog.clear()
    assert cache_dir() == folder
    assert not caplog.text  # said once
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(file / "datasets"))
    assert datasets_cache().is_relative_to(file.parent / "tmp")


@pytest.mark.parametrize("name", VARIABLES)
def test_a_folder_that_was_set_and_cannot_be_written_is_an_error(
    file: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    import datasets

    monkeypatch.setenv(name, str(file / "cache"))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(file / "cache"))
    folder_of = datasets_cache if name.startswith("HF") else cache_dir
    with pytest.raises(ConfigError, match=f"cannot be written: .*\\nSet {name} to a folder"):
        folder_of()


def test_without_any_folder_the_error_names_the_variables(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(file / "other home"))
    (file.parent / "tmp").rmdir()
    (file.parent / "tmp").touch()
    with pytest.raises(ConfigError, match="Set NLP_RNN_CACHE and HF_HOME"):
        cache_dir()
