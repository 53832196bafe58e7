"""Arguments of `nlp-rnn train`: errors in one or two lines, exit codes, run folder, help."""

import os
from pathlib import Path

import pytest
import yaml

from nlp_rnn.cli import main
from nlp_rnn.config.compose import compose
from nlp_rnn.config.schemas import option_help
from nlp_rnn.config.signature import plain
from nlp_rnn.errors import ConfigError

SMALL = [
    *("data.train_rows=40", "data.test_rows=20", "model.hidden_size=4", "trainer.max_epochs=1"),
    *("tracking.speed=none", "tracking.system_metrics=false", "trainer.threads=1"),
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("model.hiden_size=3", "There is no key model.hiden_size. Did you mean model.hidden_size?"),
        ("modl=gru", "There is no key modl. Did you mean model?"),
        ("model=lstmm", "There is no model=lstmm; there are average, gru, lstm, ngrams, rnn."),
        ("model.hidden_size=abc", "model.hidden_size must be a whole number, not abc."),
        ("optimizer.learning_rate=high", "learning_rate must be a number, not high."),
        ("trainer.profile=maybe", "trainer.profile must be true or false, not maybe."),
        ("trainer.monitor=f2", "Set trainer.monitor to one of auto, macro_f1, accuracy"),
        ("+trainer.foo=1", "There is no key trainer.foo."),
        ("++data.path=x", "data.path has no effect here: it belongs to data=files, "),
        ("~data", "Options cannot be removed."),
        ("seed = 2", "Set seed=VALUE, without blanks"),
        ("--cfg", "--cfg needs a value. For example: --cfg job"),
        ("--gpu", "Options have no dashes: set trainer.device=VALUE"),
        ("--fast", "There are -m, --cfg job, --config-dir FOLDER, --dry-run"),
        ("model.ensemble=false", "Set model.ensemble=off."),
        ("model.pooling=sum", "Set one of last, mean, max, max_mean, attention."),
        ("data.path=x", "data.path has no effect here: it belongs to data=files, "),
        ("data=files", "data.path is not set. Set data.path=VALUE."),
        ("model=gru model.dropout=0.1", "set model.num_layers=2"),
        ("model=rnn model.forget_bias=1", "it belongs to model=gru, model=lstm."),
        ("seed=-1", "seed must be between 0 and 4294967295, not -1."),
        ("a=[", "a=[ cannot be read"),
        ("seed", "seed"),
        ("trainer.device=tpu", "trainer.device=tpu"),
        ("-m model=gru,lstmm", "There is no model=lstmm"),
        ("model=gru,lstmm -m", "There is no model=lstmm"),
        ("seed=1,2", "seed=1,2"),
        ("--multi seed=1", "There is no flag --multi"),
        ("-m hydra/launcher=dask", "hydra/launcher has no effect: sweeps do not use Hydra's"),
    ],
)
def test_wrong_words_are_told_in_two_lines_and_leave_nothing(
    here: Path, capsys: pytest.CaptureFixture[str], words: str, expected: str
) -> None:
    assert main(["train", *words.split()]) == 2
    told = capsys.readouterr().err
    assert expected.lower() in told.lower()
    assert len(told.splitlines()) <= 2
    left = {path.name for path in here.iterdir()} - {"cache"}
    assert not left


def test_a_yaml_that_cannot_be_read_is_told_in_two_lines(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group = here / "mine" / "model"
    group.mkdir(parents=True)
    (group / "broken.yaml").write_text("cell: [gru\n")
    assert main(["train", "--config-dir", str(here / "mine"), "model=broken"]) == 2
    told = capsys.readouterr().err
    assert "broken.yaml" in told
    assert len(told.splitlines()) <= 2


def test_off_in_a_yaml_file_needs_quotation_marks(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group = here / "mine" / "experiment"
    group.mkdir(parents=True)
    words = ["train", "--config-dir", str(here / "mine"), "experiment=alone", "--cfg", "job"]
    path = group / "alone.yaml"
    path.write_text("# @package _global_\nmodel:\n  ensemble: off\n")
    assert main(words) == 2
    first, advice = capsys.readouterr().err.splitlines()
    assert "In experiment/alone: model.ensemble: Invalid value 'False'" in first
    line = advice.partition("Write ")[2]
    path.write_text(f"# @package _global_\nmodel:\n  {line}\n")
    assert main(words) == 0
    assert "ensemble: 'off'" in capsys.readouterr().out


def test_own_group_files_are_found(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    group = here / "mine" / "model"
    group.mkdir(parents=True)
    (group / "tiny.yaml").write_text("defaults: [gru, _self_]\nname: tiny\nhidden_size: 4\n")
    words = ["train", "--config-dir", str(here / "mine"), "model=tiny", "--cfg", "job"]
    assert main(words) == 0
    assert "hidden_size: 4" in capsys.readouterr().out


@pytest.mark.parametrize("words", ["model=lstmm", "--multi", "seed=-1"])
def test_hydra_is_left_as_it_was(here: Path, words: str) -> None:
    assert main(["train", words]) == 2
    assert "HYDRA_FULL_ERROR" not in os.environ


def test_a_missing_file_is_the_works_failure(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "data=files", "data.path=nowhere.csv"]) == 1
    told = capsys.readouterr().err
    assert "nowhere.csv" in told
    assert len(told.splitlines()) <= 2
    assert not list(here.glob("*"))


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("data.path=my reviews/café.csv", "my reviews/café.csv"),
        ("data.path=it's ours/ä.csv", "it's ours/ä.csv"),
        ("data.path=C:\\texte\\é.csv", "C:\\texte\\é.csv"),
        ("data.path='a=1, {b}.csv'", "a=1, {b}.csv"),
        ("data.path=плюс/файл.csv", "плюс/файл.csv"),
    ],
)
def test_a_path_may_have_any_letters(word: str, expected: str) -> None:
    assert compose(["data=files", word]).data.path == expected  # type: ignore[attr-defined]


@pytest.mark.parametrize("value", ["184474e5", "1e5", "1_000", "007", "2.50", "2024", "true"])
def test_a_text_is_not_taken_for_a_number(value: str) -> None:
    assert compose([f"tracking.experiment={value}"]).tracking.experiment == value


@pytest.mark.parametrize("sign", [";", ",", "|"])
def test_a_sign_needs_no_quotes_of_its_own(sign: str) -> None:
    data = compose(["data=files", "data.path=x.csv", f"data.delimiter={sign}"]).data
    assert data.delimiter == sign  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("data.text=[titre,résumé]", "needs quotes within those of the shell"),
        ("data.path=é,b.csv", "needs quotes within those of the shell"),
        ("data.path", "'data.path' is not of the form KEY=VALUE"),
    ],
)
def test_words_that_cannot_be_read_say_what_to_type(word: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as caught:
        compose(["data=files", word])
    assert len(str(caught.value).splitlines()) == 2


def test_what_a_group_file_sweeps_needs_the_flag(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    group = here / "mine" / "experiment"
    group.mkdir(parents=True)
    (group / "many.yaml").write_text(
        "# @package _global_\nhydra: {mode: MULTIRUN, sweeper: {params: {seed: '1,2'}}}\n"
    )
    assert main(["train", f"hydra.searchpath=[file://{here}/mine]", "experiment=many"]) == 2
    assert "Add -m" in capsys.readouterr().err


@pytest.mark.parametrize("folder", [pytest.param("one", marks=pytest.mark.slow), "a folder/été=1"])
def test_output_dir_sets_the_run_folder(here: Path, folder: str) -> None:
    from nlp_rnn.config.arguments import with_run_dir

    assert with_run_dir([f"output_dir={folder}", "seed=2"], "hydra.run.dir") == [
        f"hydra.run.dir={folder}",
        "seed=2",
    ]
    assert main(["train", *SMALL, f"output_dir={folder}"]) == 0
    assert (here / folder / "result.json").is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["output_dir="], "output_dir needs a folder"),
        (["output_dir"], "output_dir needs a folder"),
        (["output_dir=a", "output_dir=b"], "set twice"),
        (["output_dir=a", "hydra.run.dir=b"], "set twice"),
        (["-m", "resume=last", "output_dir=a"], "output_dir has no effect"),
    ],
)
def test_a_wrong_output_dir_raises_an_error(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(["train", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_cfg_job_explains_every_option(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--cfg", "job", "model=lstm", "trainer.batch_size=8"]) == 0
    text = capsys.readouterr().out
    assert "update.\n  accumulation: 1\n" in text
    assert "null).\n  batch_size: 8\n" in text
    values = yaml.safe_load(text)
    assert (values["model"]["name"], values["seed"]) == ("lstm", 1)
    composed = compose(["model=lstm", "trainer.batch_size=8"])
    assert values["trainer"] == plain(composed.trainer)


def test_help_of_train_lists_every_option_with_its_text(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--help"]) == 0
    text = capsys.readouterr().out
    for key, help_text in option_help().items():
        assert f"  {key}" in text
        assert help_text, key
        assert help_text.endswith((".", ").")), key
    assert max(len(line) for line in text.splitlines()) <= 100
