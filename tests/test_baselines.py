"""Baselines answer as they should, are runs like others, and are made once for the same splits."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

import nlp_rnn
from nlp_rnn.baselines import fitting
from nlp_rnn.baselines.fitting import TOKEN, fit_linear, fit_majority
from nlp_rnn.cli import main
from nlp_rnn.comparison.read import read_runs
from nlp_rnn.data.corpus import load_corpus
from nlp_rnn.errors import DataError
from nlp_rnn.scoring.predictions import read_predictions
from nlp_rnn.sweeps.baseline_runs import ensure_baselines
from nlp_rnn.tracking.store import obtain_experiment
from tests.composing import compose

SHARED = Path(__file__).parents[1].parent / "shared" / "data"
TEXTS = ["good and warm", "very good !", "bad and cold", "so bad ?", "fair", "fair enough"] * 3
LABELS = np.array([0, 0, 1, 1, 3, 3] * 3)  # label 2 is not in training


def test_majority_gives_the_shares_of_training() -> None:
    labels = np.array([0, 2, 2, 0, 2, 3])
    baseline = fit_majority(["a b"] * 6, labels, 5)
    probabilities = baseline.predict_proba(["x", "", "y z"])
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities, [[2 / 6, 0, 3 / 6, 1 / 6, 0]] * 3, rtol=1e-6)


def test_linear_is_the_svm_and_its_probabilities_change_no_label() -> None:
    baseline = fit_linear(TEXTS, LABELS, 4, (TEXTS[:6], LABELS[:6]))
    unseen = [*TEXTS[:6], "good", "cold ?", "", "never seen"]
    probabilities = baseline.predict_proba(unseen)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-6)
    assert (probabilities[:, 2] == 0).all()
    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=TOKEN)
    svm = LinearSVC(random_state=0).fit(features.fit_transform(TEXTS), LABELS)
    assert probabilities.argmax(axis=1).tolist() == svm.predict(features.transform(unseen)).tolist()
    assert baseline.num_parameters == svm.coef_.size + 3
    assert baseline.token_counts(["so bad ?", "", "don't"]).tolist() == [3, 1, 3]


def test_how_a_sign_is_drawn_is_no_word() -> None:
    drawn = [f"{text} \N{HEAVY BLACK HEART}\ufe0f" for text in TEXTS]
    plain = [text.replace("\ufe0f", "") for text in drawn]
    ones = [fit_linear(texts, LABELS, 4, (texts, LABELS)) for texts in (drawn, plain)]
    assert ones[0].settings == ones[1].settings
    unseen = [*drawn[:3], "\ufe0f", "good"]
    np.testing.assert_array_equal(*(one.predict_proba(unseen) for one in ones))
    assert ones[0].token_counts(["\N{HEAVY BLACK HEART}\ufe0f so"]).tolist() == [2]


def test_the_factor_of_the_scores_is_the_likeliest_on_validation() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 400)
    noisy = np.where(random.random(400) < 0.3, 1 - labels, labels)
    texts = [f"w{label} w{random.integers(50)}" for label in noisy]
    baseline = fit_linear(texts[:200], labels[:200], 2, (texts[200:], labels[200:]))
    right = baseline.predict_proba(texts[200:])[np.arange(200), labels[200:]]
    assert -np.log(right).mean() == pytest.approx(0.61, abs=0.06)  # of 70 % and 30 %: 0.611
    without = fit_linear(texts[:200], labels[:200], 2, (["w0"], np.array([5])))
    assert without.settings["score_factor"] == 1.0


def test_texts_without_spaces_are_read_by_characters() -> None:
    texts = ["这家酒店的房间非常干净而且服务很好", "这本书的内容太差了完全不值得购买阅读"] * 4
    baseline = fit_linear(texts, np.array([0, 1] * 4), 2, (texts, np.array([0, 1] * 4)))
    assert baseline.settings["grams_of"] == "char"
    assert baseline.predict_proba(["房间干净", "书太差"]).argmax(axis=1).tolist() == [0, 1]
    assert baseline.token_counts(["太差 了"]).tolist() == [3]


def test_texts_of_white_space_are_refused() -> None:
    with pytest.raises(DataError, match="contain no words"):
        fit_linear([" ", "\n"], np.array([0, 1]), 2, ([" "], np.array([0])))


def test_too_many_weights_are_an_error_that_is_not_fitted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "MAX_WEIGHTS", 10)
    with pytest.raises(DataError, match=r"would have 8 n-grams × 3 labels"):
        fit_linear(["a b", "c d e"], np.array([0, 1]), 3, (["a"], np.array([0])))


MEMBERS = np.array([[1, 0, 0, 1], [1, 1, 0, 1], [0, 1, 0, 1]] * 6, dtype=bool)
TOPICS = ["warm room", "warm room late train", "late train"] * 6


def test_majority_of_several_labels_gives_the_commonest_one() -> None:
    labels = np.array([[1, 0, 1], [1, 1, 0], [1, 0, 0], [0, 1, 0]], dtype=bool)
    baseline = fit_majority(["a b"] * 4, labels, 3)
    assert baseline.thresholds is not None
    probabilities = baseline.predict_proba(["x", ""])
    np.testing.assert_allclose(probabilities, [[0.75, 0.5, 0.25]] * 2)
    assert (probabilities >= baseline.thresholds).tolist() == [[True, False, False]] * 2


def test_linear_of_several_labels_is_an_svm_each() -> None:
    baseline = fit_linear(TOPICS, MEMBERS, 4, (TOPICS[:6], MEMBERS[:6]))
    assert baseline.thresholds is not None
    unseen = ["late train", "warm room", "a warm room and a late train", ""]
    probabilities = baseline.predict_proba(unseen)
    # nobody has the third label, all have the fourth: there is nothing to learn of them
    assert (probabilities[:, 2] == 0).all()
    assert (probabilities[:, 3] == 1).all()
    predicted = probabilities >= baseline.thresholds
    assert predicted[:3, :2].tolist() == [[False, True], [True, False], [True, True]]
    assert predicted[:, 3].all()
    assert not predicted[:, 2].any()
    features = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=TOKEN)
    matrix = features.fit_transform(TOPICS)
    for label in (0, 1):
        svm = LinearSVC(random_state=0).fit(matrix, MEMBERS[:, label])
        order = np.argsort(svm.decision_function(features.transform(unseen)))
        assert (np.diff(probabilities[order, label]) >= 0).all()
    assert baseline.num_parameters == 2 * (len(features.vocabulary_) + 1)
    assert np.isfinite(baseline.settings["score_factor"])


def test_linear_of_several_labels_where_there_is_nothing_to_learn() -> None:
    labels = np.zeros((2, 2), dtype=bool)
    baseline = fit_linear(["a", "b"], labels, 2, (["a"], labels[:1]))
    assert baseline.settings["score_factor"] == 1.0
    assert baseline.predict_proba(["a"]).tolist() == [[0, 0]]
    with pytest.raises(DataError, match="contain no words"):
        fit_linear([" ", "\n"], labels, 2, (["a"], labels[:1]))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    reviews = [("Warm, quick and on time.", 5), ("Cold and late, never again.", 1)]
    frame = pd.DataFrame(
        [(f"{text} {number}", label) for number in range(40) for text, label in reviews],
        columns=["review", "stars"],
    )
    frame.to_csv("reviews.csv", index=False)
    return tmp_path


DATA = ["data=files", "data.path=reviews.csv", "data.text=review", "data.label=stars"]


def test_baselines_are_runs_with_all_that_a_run_has_and_made_once(
    here: Path, capsys: pytest.CaptureFixture[str], store_uri: str
) -> None:
    assert main(["baselines", *DATA]) == 0
    output = capsys.readouterr().out
    assert "linear    test accuracy 1.0000" in output
    assert "already trained" not in output
    client = MlflowClient(tracking_uri=store_uri)
    experiment = client.get_experiment_by_name("nlp_rnn").experiment_id
    runs = {run.data.tags["cell"]: run for run in client.search_runs([experiment])}
    corpus = load_corpus(compose(DATA).data)
    assert set(runs) == {"majority", "linear", "ngrams"}
    assert {run.data.tags["kind"] for run in runs.values()} == {"baseline"}
    assert "ngrams    test accuracy 1.0000" in output
    # n-gram models are a run like that of a network, which other tests check
    assert nlp_rnn.load(here / runs.pop("ngrams").data.tags["run_folder"] / "classifier").labels
    for name, run in runs.items():
        assert run.info.status == "FINISHED"
        assert {"signature", "configuration", "data", "processor", "run_folder"} <= set(
            run.data.tags
        )
        assert run.data.params["model.name"] == name
        assert run.data.params["data.path"] == str(here / "reviews.csv")
        assert {d.dataset.digest for d in run.inputs.dataset_inputs} == {corpus.digest[:36]}
        assert {"validation/macro_f1", "test/loss", "train/seconds"} <= set(run.data.metrics)
        assert run.data.metrics["latency/sklearn_batch1_p50_ms"] > 0
        path = client.download_artifacts(run.info.run_id, "predictions", str(here))
        predictions = read_predictions(Path(path) / "test_predictions.parquet")
        assert predictions.rows.tolist() == list(corpus.test["row"])
        right = (predictions.labels == predictions.predictions).mean()
        assert run.data.metrics["test/accuracy"] == pytest.approx(right)
        result = json.loads((Path(run.data.tags["run_folder"]) / "result.json").read_text())
        assert result["classifier"] is None
        assert result["run_id"] == run.info.run_id
    assert main(["baselines", *DATA]) == 0
    assert capsys.readouterr().out.count("(already trained)") == 3
    # the digest is enough to find them when the data is gone; another split is other data
    (here / "reviews.csv").rename("moved.csv")
    known = ensure_baselines(
        compose(DATA), store_uri, experiment, names=["linear"], digest=corpus.digest
    )
    assert known["linear"].run_id == runs["linear"].info.run_id
    moved = ["data=files", "data.path=moved.csv", *DATA[2:], "data.seed=1"]
    assert main(["baselines", *moved]) == 0
    assert "already trained" not in capsys.readouterr().out


def test_baselines_of_an_older_store_are_found_and_compared(
    here: Path, capsys: pytest.CaptureFixture[str], store_uri: str
) -> None:
    assert main(["baselines", *DATA]) == 0
    client = MlflowClient(tracking_uri=store_uri)
    experiment = client.get_experiment_by_name("nlp_rnn").experiment_id
    for run in client.search_runs([experiment]):
        client.set_tag(run.info.run_id, "kind", "control")
        client.set_tag(run.info.run_id, "group", run.data.tags["configuration"])
        client.delete_tag(run.info.run_id, "configuration")
    capsys.readouterr()
    assert main(["baselines", *DATA]) == 0
    assert capsys.readouterr().out.count("(already trained)") == 3
    assert len(client.search_runs([experiment])) == 3
    runs = read_runs(store_uri, "nlp_rnn")
    assert {run.kind for run in runs} == {"baseline"}
    assert all(run.configuration_name.startswith(f"{run.cell} reviews ") for run in runs)


@pytest.mark.slow
def test_a_sweep_gets_all_baselines_below_its_parent(here: Path, store_uri: str) -> None:
    experiment = obtain_experiment(store_uri, "mine")
    client = MlflowClient(tracking_uri=store_uri)
    parent = client.create_run(experiment).info.run_id
    small = ["model=lstm", "model.pooling=last", "model.embedding_size=8", "trainer.max_epochs=1"]
    config = compose(
        [
            *DATA,
            *small,
            "trainer.threads=1",
            "tracking.system_metrics=false",
            "tracking.speed=none",
        ]
    )
    made = ensure_baselines(config, store_uri, experiment, parent)
    assert list(made) == ["majority", "linear", "ngrams", "average"]
    for name, baseline in made.items():
        run = client.get_run(baseline.run_id)
        assert baseline.is_new
        assert run.info.experiment_id == experiment
        assert run.data.tags["kind"] == "baseline"
        assert run.data.tags["mlflow.parentRunId"] == parent
        assert run.data.params["model.cell"] == name
        assert baseline.metrics["test/accuracy"] == run.data.metrics["test/accuracy"]
    again = ensure_baselines(config, store_uri, experiment, parent)
    assert {name: baseline.run_id for name, baseline in again.items()} == {
        name: baseline.run_id for name, baseline in made.items()
    }
    assert not any(baseline.is_new for baseline in again.values())
    assert config.model.name == "lstm"  # what was given is as it was


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["baselines"], "baselines needs data"),
        (["baselines", "data=stories", "seed=3"], "seed=3 has no effect on a baseline"),
        (["baselines", "data=stories", "model=gru"], "model=gru has no effect on a baseline"),
        (["baselines", "data=nothing"], "There is no data=nothing"),
        (["baselines", "data=files", "data.path=nowhere"], "nowhere"),
        (["train", "model=linear"], "nlp-rnn baselines data=…"),
    ],
)
def test_wrong_words(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert main(arguments) in (1, 2)
    error = capsys.readouterr().err
    assert message in error
    assert len(error.splitlines()) <= 2
    assert not (here / "outputs").exists()


def test_no_store_is_made_for_data_that_is_not_there(here: Path) -> None:
    (here / "mlflow.db").unlink()
    assert main(["baselines", "data=files", "data.path=nowhere"]) == 1
    assert [path.name for path in here.iterdir()] == ["reviews.csv"]


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data sets are not here")
@pytest.mark.parametrize(
    ("name", "least"), [("trec6", 0.88), ("sst2", 0.81), ("tweet_emotion", 0.66)]
)
def test_linear_is_as_good_as_it_is_known_to_be(name: str, least: float, here: Path) -> None:
    assert main(["baselines", "data=files", f"data.path={SHARED / name}"]) == 0
    (result,) = here.glob("outputs/baselines/*/linear/result.json")
    assert json.loads(result.read_text())["metrics"]["test/accuracy"] > least
