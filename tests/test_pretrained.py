"""From texts over language models to a classifier; an encoder that does not fit raises an error."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from mlflow import MlflowClient

from nlp_rnn.cli import main
from nlp_rnn.config.checks import check
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.signature import logged_parameters, signature
from nlp_rnn.data.corpus import Corpus, load_corpus
from nlp_rnn.errors import ClassifierError, ConfigError, DataError
from nlp_rnn.model.network import make_network
from nlp_rnn.pretraining.encoder_folder import Encoder, read_encoder, save_encoder
from nlp_rnn.pretraining.initial_weights import check_encoder, set_encoder, tokenizer_options
from nlp_rnn.pretraining.language_models import LanguageModels
from nlp_rnn.pretraining.pipeline import shaping_options
from nlp_rnn.pretraining.pretraining_texts import tokenize_texts
from nlp_rnn.tokens.tokenization import tokenize_corpus
from nlp_rnn.training.optim import make_optimizer, set_learning_rates, unfreeze
from nlp_rnn.training.training_state import TrainingState
from tests import warm
from tests.composing import compose
from tests.resolved_options import optimizer_options
from tests.test_pipeline import SMALL

PRETRAINING = [word for word in SMALL if not word.startswith(("trainer.max", "tracking.speed"))]
LITTLE = ["pretraining.max_epochs=2", "pretraining.batch_size=8", "pretraining.window=16"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def result(folder: str) -> dict:
    return json.loads((Path(folder) / "result.json").read_text())


def runs(uri: str, kind: str) -> list:
    client = MlflowClient(tracking_uri=uri)
    experiment = client.get_experiment_by_name("nlp_rnn").experiment_id
    return [r for r in client.search_runs([experiment]) if r.data.tags.get("kind") == kind]


# What a pretraining leaves, without one


@pytest.fixture(scope="module")
def corpus() -> Corpus:
    return load_corpus(compose(SMALL).data)


@pytest.fixture
def made(corpus: Corpus, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Encoder:
    """An encoder of random weights, saved and read."""
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    return saved(tmp_path / "run" / "encoder", compose([*SMALL, "model=lstm"]), corpus)


def saved(folder: Path, config: RunConfig, corpus: Corpus) -> Encoder:
    texts = tokenize_texts(corpus, config.tokenizer)
    models = LanguageModels(make_network(config.model, texts.vocab_size, 1, seed=7), 7)
    save_encoder(
        folder,
        models.architecture,
        {name: tensor.numpy() for name, tensor in models.encoder_state().items()},
        texts.tokenizer_json,
        tokenizer_options(config),
        {"options": shaping_options(config)},
    )
    return read_encoder(folder.parent)


def test_a_classifier_starts_with_exactly_the_weights(made: Encoder, corpus: Corpus) -> None:
    config = compose([*SMALL, "model=lstm", "tokenizer.max_length=9"])
    check_encoder(made, config)
    tokens = tokenize_corpus(corpus, config.tokenizer, made.tokenizer_json)
    assert tokens.train.lengths.max() == 9  # cut as this run says
    network = make_network(config.model, tokens.vocab_size, 2, seed=1)
    fresh = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    set_encoder(network, made, tokens)
    for name, tensor in network.state_dict().items():
        new = name.startswith(("pooling", "head"))
        expected = fresh[name] if new else torch.from_numpy(made.state[name].copy())
        assert torch.equal(tensor, expected), name


def test_another_tokenizer_raises_an_error(made: Encoder, corpus: Corpus) -> None:
    tokens = tokenize_corpus(corpus, compose(["tokenizer.vocab_size=100"]).tokenizer)
    network = make_network(compose([*SMALL, "model=lstm"]).model, tokens.vocab_size, 2, seed=1)
    with pytest.raises(DataError, match="not tokenized by the tokenizer of"):
        set_encoder(network, made, tokens)


@pytest.mark.parametrize(
    ("overrides", "typed"),
    [
        (["model=gru"], "Set model=lstm,"),
        (["model.hidden_size=16"], "Set model.hidden_size=8,"),
        (
            ["model.embedding_size=9", "model.bidirectional=false"],
            "Set model.embedding_size=8 model.bidirectional=true,",
        ),
        (["model.num_layers=2", "model.bidirectional=false"], "model.num_layers=1"),
        (["model.forget_bias=0"], "Set model.forget_bias=1.0,"),
        (["tokenizer=bpe"], "Set tokenizer=word tokenizer.vocab_size=30000"),
        (["tokenizer.lowercase=false"], "Set tokenizer.lowercase=true,"),
    ],
)
def test_another_model_or_tokenizer_says_what_to_set(
    made: Encoder, overrides: list[str], typed: str
) -> None:
    with pytest.raises(ConfigError, match="was not pretrained with") as caught:
        check_encoder(made, compose([*SMALL, "model=lstm", *overrides]))
    assert typed in str(caught.value)
    assert len(str(caught.value).splitlines()) == 2


def test_a_matched_size_that_the_encoder_lacks_has_advice_that_works(made: Encoder) -> None:
    arguments = [*SMALL, "model=lstm", f"model.pretrained={made.folder}"]
    config = compose([*arguments, "model.match=gru"])
    matched = replace(config, model=replace(config.model, match="gru:8", hidden_size=7))
    with pytest.raises(ConfigError, match="Remove model.match, or pretrain an encoder with"):
        check_encoder(made, matched)
    check_encoder(made, compose(arguments))


def damage(folder: Path, how: str) -> None:
    if how == "missing":
        (folder / "model.safetensors").unlink()
    elif how == "changed":
        data = bytearray((folder / "model.safetensors").read_bytes())
        data[-1] ^= 1
        (folder / "model.safetensors").write_bytes(data)
    elif how == "config":
        config = json.loads((folder / "config.json").read_text())
        config["architecture"]["hidden_size"] = 9
        (folder / "config.json").write_text(json.dumps(config))
    elif how == "pickle":
        (folder / "config.json").write_bytes(pickle.dumps({"format": "nlp_rnn.encoder"}))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "has no model.safetensors"),
        ("changed", "was changed after it was saved"),
        ("config", "was changed after it was saved"),
        ("pickle", "is not a pretrained encoder"),
    ],
)
def test_a_damaged_folder_raises_an_error(made: Encoder, how: str, message: str) -> None:
    damage(made.folder, how)
    with pytest.raises(ClassifierError, match=message) as caught:
        read_encoder(made.folder)
    assert len(str(caught.value).splitlines()) == 2


def test_a_pickle_renamed_raises_an_error_although_its_hash_fits(made: Encoder) -> None:
    import hashlib

    from nlp_rnn.classifier.manifest import checksum

    data = pickle.dumps({"embedding.weight": [0.0]})
    (made.folder / "model.safetensors").write_bytes(data)
    config = json.loads((made.folder / "config.json").read_text())
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    config["files"]["model.safetensors"] = entry
    config["checksum"] = checksum(config)
    (made.folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ClassifierError, match="not a safetensors file"):
        read_encoder(made.folder)


def test_a_classifier_is_no_encoder(tmp_path: Path) -> None:
    for folder in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(ClassifierError, match="is not a pretrained encoder"):
            read_encoder(folder)


def test_numbers_that_are_not_finite_are_not_saved(made: Encoder, tmp_path: Path) -> None:
    state = {name: np.full_like(value, np.nan) for name, value in made.state.items()}
    config = compose([*SMALL, "model=lstm"])
    architecture = make_network(config.model, made.sizes["vocab_size"], 1, 1).architecture
    with pytest.raises(ClassifierError, match="pretraining diverged"):
        save_encoder(tmp_path / "x", architecture, state, made.tokenizer_json, {}, {})
    assert not (tmp_path / "x").exists()


def test_the_signature_knows_the_weights_not_the_place(made: Encoder, corpus: Corpus) -> None:
    config = compose([*SMALL, "model=lstm"])
    without = signature(config)
    config.model.pretrained = str(made.folder)
    one = signature(config)
    moved = made.folder.parent / "moved"
    made.folder.rename(moved)
    config.model.pretrained = str(moved)
    assert without != one == signature(config)
    other = saved(made.folder, compose([*SMALL, "model=lstm"]), corpus)
    assert other.digest == made.digest  # the same seeds
    config.model.pretrained = "auto"
    automatic = signature(config)
    assert automatic not in (one, without)
    config.pretraining = replace(config.pretraining, dropout=0.1)
    assert signature(config) != automatic
    assert "pretraining.dropout" in logged_parameters(config)
    assert "pretraining.dropout" not in logged_parameters(compose(SMALL))


def test_the_control_without_recurrence_is_not_pretrained() -> None:
    from nlp_rnn.sweeps.baseline_runs import _without_recurrence

    arguments = ["experiment=pretrained", "trainer.frozen_epochs=1", "pretraining.window=32"]
    files = ["data=files", "data.path=x", "data.unlabelled=y"]
    check(_without_recurrence(compose([*arguments, *files])))


def test_runs_with_and_without_are_not_mixed_and_can_be_compared() -> None:
    from nlp_rnn.comparison.compared_run import Run
    from nlp_rnn.comparison.pair import pair_configurations
    from tests.compared_runs import RULES, run

    def pretrained(cell: str, digest: str, **config: str) -> Run:
        config = {"model.pretrained": "auto", "model.pretrained_digest": digest, **config}
        return run(cell, 1, None, signature=f"{cell} {digest}", config=config)

    plain = run("gru", 1, None, signature="plain", config={"model.pretrained": "None"})
    pairing = pair_configurations([pretrained("lstm", "a"), pretrained("gru", "b"), plain], RULES)
    assert [(pair.first, pair.second) for pair in pairing.pairs] == [
        ("gru h128 pretrained=auto", "lstm h128")
    ]
    other = pretrained("gru", "b", **{"pretraining.window": "64"})
    assert pair_configurations([plain, other], replace(RULES, by="model.pretrained")).pairs


# Options


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["trainer.frozen_epochs=1"], "has an effect on a pretrained network only"),
        (["optimizer.encoder_rate=0.5"], "has an effect on a pretrained network only"),
        (["pretraining.window=32"], "has no effect with model.pretrained=null"),
        (["pretraining.window=32", "model.pretrained=x"], "has no effect with a pretrained"),
        (
            ["data=files", "data.path=x", "data.unlabelled=y"],
            "Set teacher=self, or model.pretrained=auto",
        ),
        (["model=average", "model.pretrained=auto"], "Set model=gru or model=lstm"),
        (["model.num_layers=2", "model.pretrained=auto"], "has read the token"),
        (["model.pretrained=auto", "model.vectors=x"], "Remove one of them"),
        (
            ["model.pretrained=auto", "trainer.frozen_epochs=1", "trainer.processes=2"],
            "one process",
        ),
        (["model.pretrained=auto", "pretraining.window=0"], "pretraining.window must be at least"),
        (["model.pretrained=auto", "pretraining.dropout=1"], "below 1"),
        (["model.pretrained=auto", "pretraining.learning_rate=0"], "above 0"),
        (["optimizer.encoder_rate=0", "model.pretrained=auto"], "above 0"),
    ],
)
def test_what_has_no_effect_or_no_sense_raises_an_error(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check(compose(overrides))


def test_parts_learn_one_after_the_other_and_more_slowly() -> None:
    network = make_network(compose(SMALL).model, 20, 2, 1)
    for epoch, learning in ((1, {"head"}), (2, {"head"}), (3, {"head", "encoder"}), (5, None)):
        unfreeze(network, epoch, 2)
        actual = {n.partition(".")[0] for n, p in network.named_parameters() if p.requires_grad}
        assert actual == (learning or {"head", "encoder", "embedding"})
    config = optimizer_options(learning_rate=0.1, encoder_rate=0.5, warmup_fraction=0.0)
    optimizer = make_optimizer(network, config)
    set_learning_rates(optimizer, TrainingState(), 10, config)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in network.named_parameters():
        expected = 0.1 if name.startswith("head") else 0.05
        assert rates[id(parameter)] == pytest.approx(expected), name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trainer.max_epochs=3"], "has no effect on a pretraining"),
        (["model.head_dropout=0.1"], "has no effect on a pretraining"),
        (["-m", "model=lstm,gru"], "A pretraining is one run"),
        (["model=average"], "Set model=gru, model=lstm or model=rnn"),
        (["resume=nowhere"], "There is no interrupted run in"),
        (["resume=x", "model=gru"], "also found model=gru"),
        (["data=files", "data.path=nowhere.csv"], "There is no file or folder"),
    ],
)
def test_the_command_rejects_options_without_effect(
    here: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pretrain", *arguments]) in (1, 2)
    error = capsys.readouterr().err
    assert message in error
    assert "not expected" not in error
    assert not (here / "outputs").exists()


# The whole story


def test_a_pretraining_and_a_classifier_that_starts_from_it(
    here: Path, store_uri: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["pretrain", *PRETRAINING, *LITTLE, "model=lstm"]
    assert main([*arguments, "hydra.run.dir=one"]) == 0
    actual = result("one")
    assert sorted(path.name for path in (here / "one" / "encoder").iterdir()) == [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
    ]
    (run,) = runs(actual["tracking_uri"], "pretraining")
    assert run.info.status == "FINISHED"
    assert run.data.tags["encoder_digest"] == actual["digest"]
    assert run.data.params["pretraining.window"] == "16"
    for metric in ("perplexity_forward", "perplexity_backward", "perplexity"):
        assert run.data.metrics[f"validation/{metric}"] == actual["metrics"][f"validation/{metric}"]
    assert run.data.metrics["parameters/total"] > run.data.metrics["parameters/recurrent"]

    start = f"model.pretrained=runs:/{actual['run_id']}"
    more = ["trainer.frozen_epochs=1", "optimizer.encoder_rate=0.3", "model=lstm"]
    arguments = ["train", *SMALL, *more]
    assert main([*arguments, start, "hydra.run.dir=two"]) == 0
    config = json.loads((here / "two" / "classifier" / "config.json").read_text())
    assert config["provenance"]["pretrained"] == actual["digest"]
    client = MlflowClient(tracking_uri=actual["tracking_uri"])
    two = client.get_run(result("two")["run_id"])
    assert two.data.params["model.pretrained_digest"] == actual["digest"]
    assert main([*arguments, "model.pretrained=one", "hydra.run.dir=three"]) == 0
    three = client.get_run(result("three")["run_id"])
    assert (
        two.data.tags["configuration"] == three.data.tags["configuration"]
    )  # the same, in any folder
    for name in ("model.safetensors", "model.onnx"):
        one, other = (here / run / "classifier" / name for run in ("two", "three"))
        assert one.read_bytes() == other.read_bytes()

    capsys.readouterr()
    assert main([*arguments, "model.pretrained=runs:/0123", "hydra.run.dir=four"]) == 1
    error = capsys.readouterr().err
    assert "Set model.pretrained to runs:/ID" in error
    assert not (here / "four").exists()


@pytest.mark.slow
def test_auto_pretrains_once_for_all_seeds_and_the_comparison_knows(
    here: Path, store_uri: str
) -> None:
    arguments = ["train", *SMALL, *LITTLE, "model.pretrained=auto", "trainer.max_epochs=1"]
    assert main(["train", "-m", *arguments[1:], "seed=1,2", "sweep.compare=false"]) == 0
    assert main([*arguments, "seed=3", "hydra.run.dir=three"]) == 0
    uri = result("three")["tracking_uri"]
    (pretraining,) = runs(uri, "pretraining")
    trained = runs(uri, "train")
    assert len(trained) == 2
    assert len({run.data.params["model.pretrained_digest"] for run in trained}) == 1
    from nlp_rnn.comparison.read import read_runs

    assert pretraining.info.run_id not in {run.run_id for run in read_runs(uri, "nlp_rnn")}
    assert main([*arguments, "pretraining.seed=2", "hydra.run.dir=four"]) == 0
    assert len(runs(uri, "pretraining")) == 2


LONGER = ["pretraining.max_epochs=3", "pretraining.batch_size=32", "pretraining.window=16"]
OFTEN = ["pretraining.checkpoint_minutes=0"]


def test_one_that_was_killed_is_resumed_in_the_same_run_to_the_same_end(here: Path) -> None:
    arguments = [*PRETRAINING, *LONGER]
    kill([*arguments, *OFTEN, "hydra.run.dir=killed"], "pretrain")
    origin = json.loads((here / "killed" / "checkpoint" / "run.json").read_text())
    assert main(["pretrain", "resume=killed"]) == 0
    resumed = result("killed")
    assert resumed["run_id"] == origin["run_id"]
    assert not (here / "killed" / "checkpoint").exists()
    assert main(["pretrain", *arguments, "hydra.run.dir=whole"]) == 0
    assert result("whole")["digest"] == resumed["digest"]


def test_under_auto_the_same_command_resumes_one_that_was_killed(here: Path) -> None:
    arguments = [*SMALL, *LONGER, *OFTEN, "model.pretrained=auto", "hydra.run.dir=auto"]
    kill(arguments, "train")
    (origin,) = (here / "cache" / "pretraining").glob("*/checkpoint/run.json")
    assert main(["train", *arguments]) == 0
    (run,) = runs(result("auto")["tracking_uri"], "pretraining")
    assert (
        run.info.run_id == json.loads((origin.parent.parent / "result.json").read_text())["run_id"]
    )
    assert run.info.status == "FINISHED"
    client = MlflowClient(tracking_uri=result("auto")["tracking_uri"])
    trained = client.get_run(result("auto")["run_id"])
    assert trained.data.params["model.pretrained_digest"] == run.data.tags["encoder_digest"]


def kill(arguments: list[str], command: str) -> None:
    out = Path("output.txt")
    process = warm.start(["nlp-rnn", command, *arguments], out, out)
    warm.wait_for(process, out, "epoch 2")
    process.kill()
    process.join()


# Unlabelled texts


def table(path: Path, count: int, start: int = 0) -> list[str]:
    texts = [f"text number {start + i} of {count} good and bad words" for i in range(count)]
    pd.DataFrame({"text": texts, "label": [i % 2 for i in range(count)]}).to_csv(path, index=False)
    return texts


def test_unlabelled_texts_are_read_but_for_those_held_out(here: Path) -> None:
    (here / "data").mkdir()
    table(here / "data" / "train.csv", 40)
    held = table(here / "data" / "test.csv", 20, 1000)
    more = ["another text of words", "", None, held[3].upper(), "one more good word"]
    pd.DataFrame({"text": more}).to_json("more.jsonl", orient="records", lines=True)
    config = compose(["data=files", "data.path=data", "data.unlabelled=more.jsonl"])
    from nlp_rnn.data.unlabelled import read_unlabelled

    corpus = load_corpus(config.data)
    actual = read_unlabelled(config.data, corpus)
    assert list(actual.texts["text"]) == [more[0], more[4]]
    assert "unlabelled: 2 empty texts left out" in actual.notes
    assert "unlabelled: 1 texts of validation or test left out" in actual.notes
    both = tokenize_texts(corpus, config.tokenizer, actual)
    alone = tokenize_texts(corpus, config.tokenizer)
    assert len(both.train.lengths) == len(alone.train.lengths) + 2
    assert both.validation.lengths.tolist() == alone.validation.lengths.tolist()


def test_a_folder_of_text_files_is_a_text_a_file(here: Path) -> None:
    table(here / "data.csv", 40)
    (here / "unsup").mkdir()
    for number, text in enumerate(("A first text,\nof two lines.\n", "Café.", "")):
        (here / "unsup" / f"{number}_0.txt").write_text(text, encoding="utf-8")
    config = compose(["data=files", "data.path=data.csv", "data.unlabelled=unsup"])
    from nlp_rnn.data.unlabelled import read_unlabelled

    actual = read_unlabelled(config.data, load_corpus(config.data))
    assert list(actual.texts["text"]) == ["A first text,\nof two lines.", "Café."]
    (here / "unsup" / "3_0.txt").write_bytes(b"\xe9")
    with pytest.raises(DataError, match="is not UTF-8"):
        read_unlabelled(config.data, load_corpus(config.data))


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "is empty"), ("text\n", "no"), ("other\nx\n", "no column 'text'"), (None, "no file")],
)
def test_bad_unlabelled_files_raise_an_error(
    here: Path, content: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table(here / "data.csv", 40)
    if content is not None:
        (here / "more.csv").write_text(content)
    arguments = ["data=files", "data.path=data.csv", "data.unlabelled=more.csv"]
    assert main(["pretrain", *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert "more.csv" in error
    assert "not expected" not in error
    assert not (here / "outputs").exists()
