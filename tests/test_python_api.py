"""Training from Python: the same run as on the command line, from any form of data in memory."""

import pickle
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks

import nlp_rnn
from nlp_rnn.api.arguments import as_arguments
from nlp_rnn.api.tables import data_arguments
from nlp_rnn.config.compose import compose, read_config
from nlp_rnn.data.corpus import Corpus, load_corpus
from nlp_rnn.errors import ConfigError, DataError
from nlp_rnn.sklearn import RecurrentClassifier
from tests import fake_training, warm

SMALL = {
    "model.hidden_size": 8,
    "model.embedding_size": 8,
    "trainer.max_epochs": 2,
    "trainer.threads": 1,
    "tracking.system_metrics": False,
    "tracking.speed": "none",
}
WORDS = "warm quick good fine late cold never bad slow rude".split()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def reviews(rows: int = 80) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    stars = np.arange(rows) % 2
    texts = [
        " ".join(rng.choice(WORDS[5 * star : 5 * star + 5], 6)) + f" {row}"
        for row, star in enumerate(stars)
    ]
    return pd.DataFrame({"review": texts, "stars": np.where(stars, 1, 5)})


def weights(folder: Path) -> bytes:
    return (folder / "classifier" / "model.safetensors").read_bytes()


def test_command_line_function_and_estimator_give_the_same_weights(here: Path) -> None:
    frame = reviews()
    frame.to_csv("reviews.csv", index=False)
    arguments = ["data=files", "data.path=reviews.csv", "data.text=review", "data.label=stars"]
    small = as_arguments(SMALL, {})
    done = warm.run(["nlp-rnn", "train", *arguments, *small, "output_dir=command"])
    assert done.returncode == 0, done.stderr
    expected = weights(here / "command")
    run = nlp_rnn.train(frame, text="review", label="stars", overrides=SMALL, output_dir="function")
    assert weights(here / "function") == expected
    assert run.metrics["test/accuracy"] == nlp_rnn.Run("command").metrics["test/accuracy"]
    estimator = RecurrentClassifier(overrides=SMALL, output_dir="estimator")
    estimator.fit(frame["review"], frame["stars"])
    assert weights(here / "estimator") == expected


def test_a_run_has_its_predictions_report_and_configurations(here: Path) -> None:
    frame = reviews()
    run = nlp_rnn.train(
        frame, text="review", label="stars", overrides=SMALL, output_dir="run", seed=3
    )
    assert run.config.seed == run.resolved.seed == 3
    assert run.config.optimizer.learning_rate is None
    assert run.resolved.optimizer.learning_rate is not None
    for split in ("validation", "test"):
        table = run.predictions(split)
        assert list(table) == ["row", "text", "label", "prediction", "probability"]
        if split == "test":  # n-gram models that have not seen validation predict validation
            assert run.classifier.predict(list(table["text"])) == list(table["prediction"])
            probabilities = run.classifier.predict_proba(list(table["text"]))
            np.testing.assert_allclose(table["probability"], probabilities.max(axis=1), atol=1e-6)
        accuracy = (table["label"] == table["prediction"]).mean()
        assert run.metrics[f"{split}/accuracy"] == pytest.approx(accuracy)
        # the rows are those of the frame that was passed
        assert list(frame["review"][table["row"]]) == list(table["text"])
    assert list(run.report.index) == ["1", "5"]
    assert run.report["texts"].sum() == len(run.predictions())
    assert "test/accuracy=" in repr(run)
    assert run.run_id in run._repr_html_()
    with pytest.raises(ConfigError, match="split is 'train'"):
        run.predictions("train")


def corpus_of(data: Any, folder: Path, **splits: Any) -> Corpus:
    """The corpus that `train` reads for data in memory."""
    splits = {"validation": None, "test": None} | splits
    arguments = data_arguments(data, **splits, text="text", label="label", folder=folder)
    return load_corpus(compose(arguments).data)


def test_every_form_of_data_gives_the_same_corpus(here: Path) -> None:
    frame = reviews().rename(columns={"review": "text", "stars": "label"})
    frame.to_csv("data.csv", index=False)
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["1", "5"])}
    )
    ids = {"text": list(frame["text"]), "label": (frame["label"] == 5).astype(int).tolist()}
    forms = {
        "path": "data.csv",
        "frame": frame,
        "index": frame.set_index(frame.index[::-1]),
        "pair": (list(frame["text"]), list(frame["label"])),
        "strings": (frame["text"], frame["label"].astype(str)),
        "mapping": {"text": frame["text"], "label": frame["label"], "other": range(80)},
        "dataset": datasets.Dataset.from_dict(ids, features=features),
        "splits": datasets.DatasetDict(train=datasets.Dataset.from_dict(ids, features=features)),
        "categories": frame.astype({"label": "category"}),
        "arrays": (frame["text"].to_numpy(), frame["label"].to_numpy()),
    }
    corpora = {name: corpus_of(data, here / name) for name, data in forms.items()}
    assert {corpus.labels for corpus in corpora.values()} == {("1", "5")}
    assert len({corpus.digest for corpus in corpora.values()}) == 1


def test_splits_that_are_passed_are_used_as_they_are(here: Path) -> None:
    frame = reviews().rename(columns={"review": "text", "stars": "label"})
    parts = {"validation": frame[60:70], "test": frame[70:]}
    in_memory = corpus_of(frame[:60], here / "memory", **parts)
    for name, part in {"train": frame[:60], **parts}.items():
        part.to_csv(f"my {name}.csv", index=False)
        assert list(getattr(in_memory, name)["text"]) == list(part["text"])
    files = corpus_of(
        "my train.csv", here / "files", validation="my validation.csv", test="my test.csv"
    )
    assert files.digest == in_memory.digest


def test_multi_label_lists_and_pairs(here: Path) -> None:
    talk = {"text": ["a b", "b c", "c d", "d a"] * 15, "label": [["x"], ["x", "y"], [], ["y"]] * 15}
    run = nlp_rnn.train(pd.DataFrame(talk), overrides=SMALL)
    assert run.classifier.task == "multi_label"
    assert set(run.predictions()["probability"][0]) == {"x", "y"}
    assert all(isinstance(label, list) for label in run.predictions()["label"])
    pairs = {"a": ["p", "q"] * 30, "b": ["r", "s"] * 30, "same": [0, 1] * 30}
    run = nlp_rnn.train(
        pairs, text=["a", "b"], label="same", overrides=SMALL, data__separator_token=True
    )
    assert "[SEP]" in run.predictions()["text"][0]


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        (reviews(), {}, "train has no column 'text'; it has 'review', 'stars'"),
        (5, {}, "train is a int.\nPass a path, a pandas DataFrame"),
        ((["a"], ["x", "y"]), {}, "1 texts and 2 labels"),
        (("a", "b"), {}, "train is a tuple"),
        ({"text": ["a", "b"], "label": [1, "x"]}, {}, "'label' of train holds values of several"),
        (None, {"test": reviews()}, "need training data"),
        ("a.csv", {"test": "b.parquet"}, "a.csv is not a file"),
        ((["a"], ["x"]), {"test": "b.csv"}, "test is a path, but other splits are in memory"),
        (reviews(), {"overrides": ["data=stories"]}, "set twice: by data and by data=stories"),
        (reviews(), {"overrides": "seed=1"}, "overrides is the string 'seed=1'"),
        (reviews(), {"overrides": {"seed": object()}}, "seed is a object"),
        ((["a"], ["x"]), {"trainer__epochs": 3}, "There is no key trainer.epochs"),
    ],
)
def test_wrong_arguments_are_named_and_leave_no_folder(
    here: Path, data: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((ConfigError, DataError)) as caught:
        nlp_rnn.train(data, output_dir="run", **options)
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) <= 3
    assert not (here / "run").exists()


@pytest.mark.parametrize(
    "text",
    ["a b", "007", "null", "it's", "back\\", "\\'", "a,b", "${x}", "é=ü", "", " ", "1e3", "[x]"],
)
def test_any_string_reaches_the_configuration_unchanged(text: str) -> None:
    arguments = as_arguments({"data": "files", "data.path": "x"}, {"tracking__run_name": text})
    assert compose(arguments).tracking.run_name == text


def python_of_the_page(here: Path, sweeps: bool) -> None:
    """Run the code of the page: that without sweeps, or its first lines and that with sweeps."""
    page = Path(__file__).parent.parent / "docs" / "how-to" / "train-from-python.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 5
    frame = reviews().rename(columns={"review": "text", "stars": "label"})
    names: dict[str, Any] = {"frame": frame, "nlp_rnn": nlp_rnn}
    small = ", ".join(f'"{argument}"' for argument in as_arguments(SMALL, {}))
    for block in blocks:
        if ("nlp_rnn.sweep" in block) != sweeps:
            continue
        block = block.replace('overrides=["trainer.max_epochs=5"', f"overrides=[{small}")
        block = block.replace('overrides={"trainer.max_epochs": 5}', f"overrides=[{small}]")
        block = block.replace("sweep__jobs=2,", f"overrides=[{small}],")
        exec(block.replace("cv=5", "cv=2").replace("range(3)", "[1]"), names)


def test_the_python_of_the_page_runs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    python_of_the_page(here, sweeps=False)
    assert "Run(" in capsys.readouterr().out


@pytest.mark.slow
def test_the_sweep_of_the_page_runs(here: Path) -> None:
    python_of_the_page(here, sweeps=True)
    assert (here / "report" / "report.html").is_file()


def test_trainings_in_threads_are_separate_runs(here: Path) -> None:
    frame = reviews()

    def trained(seed: int) -> nlp_rnn.Run:
        return nlp_rnn.train(frame, text="review", label="stars", overrides=SMALL, seed=seed)

    expected = {seed: weights(trained(seed).output_dir) for seed in (1, 2)}
    with ThreadPoolExecutor(2) as threads:
        runs = list(threads.map(trained, (1, 2)))
    assert len({run.run_id for run in runs}) == 2
    for seed, run in zip((1, 2), runs, strict=True):
        assert run.config.seed == seed
        assert len(weights(run.output_dir)) == len(expected[seed])


def test_a_sweep_trains_every_combination_of_the_space(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("nlp_rnn.pipeline.train", fake_training.train)
    monkeypatch.setenv(fake_training.SECONDS, "0")
    comparison = nlp_rnn.sweep(
        reviews(),
        {"model": ["lstm", "gru"], "tokenizer": "bpe", "seed": range(1, 3)},
        text="review",
        label="stars",
        output_dir="a sweep's folder",
        overrides=SMALL,
        sweep__compare=False,
    )
    folder = here / "a sweep's folder"
    assert comparison.output_dir == folder
    assert sorted(comparison.runs["name"]) == [
        f"{cell} h8 seed{seed}" for cell in ("gru", "lstm") for seed in (1, 2)
    ]
    configs = [read_config(path) for path in folder.glob("*/config.yaml")]
    assert {config.tokenizer.name for config in configs} == {"bpe"}
    assert len(datasets.load_from_disk(str(folder / "data"))["train"]) == 80
    assert f"sweep         {comparison.sweep_id}: 4 jobs" in capsys.readouterr().out
    assert repr(comparison) == "4 runs, nothing to compare"


@pytest.mark.parametrize(
    ("space", "options", "message"),
    [
        ({}, {}, "has no values to try"),
        ({"model": ["lstm", "gur"]}, {}, "gur"),
        ({"seed": [1]}, {"tokeniser": "bpe"}, "tokeniser"),
        ({"model.hidden_size": [object()]}, {}, "is a object"),
    ],
)
def test_a_wrong_space_is_reported_before_anything_starts(
    here: Path, space: Any, options: Any, message: str
) -> None:
    before = sorted(here.iterdir())
    with pytest.raises(ConfigError, match=message):
        nlp_rnn.sweep(reviews(), space, text="review", label="stars", **options)
    assert sorted(here.iterdir()) == before


@pytest.mark.slow
def test_the_estimator_works_in_grids_and_pipelines(here: Path) -> None:
    frame = reviews()
    estimator = RecurrentClassifier(overrides=SMALL)
    pipeline = make_pipeline(
        FunctionTransformer(lambda texts: [t.upper() for t in texts]), estimator
    )
    grid = GridSearchCV(pipeline, {"recurrentclassifier__hidden_size": [4]}, cv=2)
    grid.fit(list(frame["review"]), frame["stars"])
    best = grid.best_estimator_[-1]
    assert best.classifier_.config["architecture"]["hidden_size"] == 4
    assert best.get_params()["overrides"] == SMALL
    assert set(grid.predict(["warm", "cold"])) <= {1, 5}


@pytest.mark.slow
def test_the_estimator_works_in_cross_validation_and_calibration(here: Path) -> None:
    frame = reviews(120)
    estimator = RecurrentClassifier(overrides={**SMALL, "optimizer.learning_rate": 0.03})
    scores = cross_val_score(estimator, frame["review"], frame["stars"], cv=2)
    assert scores.shape == (2,)
    calibrated = CalibratedClassifierCV(estimator, cv=2).fit(list(frame["review"]), frame["stars"])
    assert calibrated.predict_proba(["warm", "cold"]).shape == (2, 2)


@pytest.mark.parametrize(
    "name",
    [
        "check_estimator_cloneable",
        "check_parameters_default_constructible",
        "check_no_attributes_set_in_init",
        "check_get_params_invariance",
        "check_set_params",
        "check_estimator_repr",
        "check_estimator_tags_renamed",
        "check_valid_tag_types",
        "check_mixin_order",
    ],
)
def test_the_checks_of_scikit_learn_that_need_no_numeric_input_pass(name: str) -> None:
    getattr(estimator_checks, name)("RecurrentClassifier", RecurrentClassifier())


def test_a_pickled_estimator_predicts_the_same_without_its_folder(here: Path) -> None:
    frame = reviews()
    estimator = RecurrentClassifier("lstm", overrides=SMALL)
    with pytest.raises(NotFittedError):
        estimator.predict(["warm"])
    estimator.fit(list(frame["review"]), frame["stars"].to_numpy())
    probabilities = estimator.predict_proba(["warm quick", "cold late"])
    assert probabilities.shape == (2, 2)
    assert list(estimator.classes_) == [1, 5]
    assert estimator.predict(["warm quick"]).dtype == estimator.classes_.dtype
    content = pickle.dumps(estimator)
    assert estimator.run_ is not None
    estimator.run_.output_dir.rename("elsewhere")
    restored = pickle.loads(content)
    np.testing.assert_array_equal(
        restored.predict_proba(["warm quick", "cold late"]), probabilities
    )
    assert restored.score(frame["review"], frame["stars"]) == estimator.score(
        frame["review"], frame["stars"]
    )


def test_the_estimator_takes_indicators_and_strings(here: Path) -> None:
    texts = ["a b", "b c", "c d", "d a"] * 15
    indicators = np.array([[1, 0], [1, 1], [0, 0], [0, 1]] * 15)
    estimator = RecurrentClassifier(overrides=SMALL).fit(texts, indicators)
    assert estimator.predict(texts[:4]).shape == (4, 2)
    assert estimator.predict_proba(texts[:4]).shape == (4, 2)
    names = np.where(indicators[:, 0], "yes", "no")
    estimator = RecurrentClassifier(overrides=SMALL).fit(texts, names)
    assert set(estimator.predict(texts)) <= {"yes", "no"}


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("a text", "X is one string"),
        ([["a"], ["b"]], r"X\[0\] is a list"),
        (["a", None], r"X\[1\] is a NoneType"),
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), "one text per row"),
    ],
)
def test_input_that_is_no_text_is_rejected(texts: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        RecurrentClassifier().fit(texts, [1, 2])
