"""Runs with static word vectors: trained, saved, described, and predicted in every runtime."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

import nlp_rnn
from nlp_rnn.cli import main
from nlp_rnn.config.compose import read_config
from nlp_rnn.config.signature import signature
from tests.test_ensemble_run import FILLERS, WORDS, train, write_data
from tests.tiny_vectors import write_static_model

MODEL = "model.vectors=vectors"
NGRAMS = ["data=files", "model=ngrams", "tracking.system_metrics=false", "tracking.speed=none"]
UNSEEN = "the pleasant tea"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    groups: dict[str, Any] = {label: list(words) for label, words in WORDS.items()}
    groups["good"] += ["pleasant"]
    write_static_model(tmp_path / "vectors", ["the", *FILLERS], **groups)
    write_data(tmp_path / "data")
    return tmp_path


def run_of(result: dict[str, Any]) -> Any:
    return MlflowClient(tracking_uri=result["tracking_uri"]).get_run(result["run_id"])


@pytest.mark.slow
def test_ngram_models_with_vectors_know_words_that_no_text_has(here: Path) -> None:
    results = {}
    for name, overrides in {"without": [], "with": [MODEL]}.items():
        folder = f"output_dir={name}"
        assert main(["train", *NGRAMS, "data.path=data", folder, *overrides]) == 0
        results[name] = json.loads((here / name / "result.json").read_text())
    classifier = nlp_rnn.load("with/classifier")
    assert classifier.predict([UNSEEN]) == ["good"]
    proba = {name: nlp_rnn.load(f"{name}/classifier").predict_proba([UNSEEN]) for name in results}
    assert proba["with"][0, 2] > proba["without"][0, 2]
    provenance = classifier.config["provenance"]
    assert provenance["weights_of_ngram_models"]["vectors"] > 0
    assert (provenance["vectors"]["source"], provenance["vectors"]["licence"]) == (
        str(here / "vectors"),
        "apache-2.0",
    )
    card = Path("with/classifier/README.md").read_text(encoding="utf-8")
    assert "licence `apache-2.0`" in card
    tags = run_of(results["with"]).data.tags
    assert "licence apache-2.0" in tags["vectors"]
    assert "vectors" not in run_of(results["without"]).data.tags
    # the signature is that of the content, wherever the folder is
    assert tags["signature"] != run_of(results["without"]).data.tags["signature"]
    config = read_config(here / "with" / "config.yaml")
    (here / "vectors").rename(here / "moved")
    config.model.vectors = str(here / "moved")
    assert signature(config) == tags["signature"]


def test_a_classifier_with_vectors_predicts_without_the_libraries_of_training(here: Path) -> None:
    assert main(["train", *NGRAMS, "data.path=data", "output_dir=run", MODEL]) == 0
    expected = nlp_rnn.load("run/classifier").predict_proba([UNSEEN, "", "cold tea"])
    program = f"""
import sys, nlp_rnn
print(nlp_rnn.load("run/classifier").predict_proba([{UNSEEN!r}, "", "cold tea"]).tolist())
names = ("torch", "sklearn", "scipy", "datasets", "transformers", "sentence_transformers")
print([name for name in names if name in sys.modules])
"""
    command = [sys.executable, "-c", program]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert np.allclose(json.loads(shown[0]), expected, atol=1e-6)
    assert shown[1] == "[]"


def test_an_ensemble_has_the_vectors_twice_and_the_same_probabilities_everywhere(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_way = ["model.bidirectional=false", "model.pooling=last", "model.ensemble=on"]
    result = train("run", here / "data", MODEL, *one_way)
    shown = capsys.readouterr().out
    assert "tokens have a vector of" in shown
    assert 0 < run_of(result).data.metrics["data/vectors_covered_tokens"] <= 1
    classifier = nlp_rnn.load(result["classifier"])
    assert classifier.config["provenance"]["ensemble"]["weights_of_ngram_models"]["vectors"] > 0
    texts = [UNSEEN, "", "cold late tea", "warm " * 200]
    together = classifier.predict_proba(texts)
    for text, row in zip(texts, together, strict=True):
        assert np.allclose(classifier.predict_proba([text])[0], row, atol=1e-6)
    torch = nlp_rnn.load(result["classifier"], runtime="torch")
    assert np.allclose(torch.predict_proba(texts), together, atol=1e-5)
    stream = classifier.stream()
    for word in UNSEEN.split():
        stream.read(f"{word} ")
    assert np.allclose(stream.probabilities, together[0], atol=1e-5)


def test_without_an_ensemble_only_the_embedding_has_the_vectors(here: Path) -> None:
    frozen = ["model.ensemble=off", "model.freeze_vectors=true", "model.embedding_size=16"]
    result = train("run", here / "data", MODEL, *frozen)
    classifier = nlp_rnn.load(result["classifier"], runtime="torch")
    assert not classifier.is_ensemble
    from safetensors.numpy import load_file

    weights = load_file(Path(result["classifier"]) / "model.safetensors")["embedding.weight"]
    ids = [classifier.vocabulary().index(word) for word in WORDS["good"]]
    first, second = weights[ids]
    assert first @ second > 0.9 * np.linalg.norm(first) * np.linalg.norm(second)
    assert not weights[ids, 12:].any()  # the vectors have 12 dimensions


def test_vectors_of_words_alone_have_no_effect_on_ngram_models(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("glove.txt").write_text("tea 0.1 0.2\n")
    for vectors, message in {
        "glove.txt": "has no effect with model=ngrams",
        "./none": "There is no folder",
        "data": "neither a static embedding model",
    }.items():
        arguments = ["data.path=data", f"model.vectors={vectors}"]
        assert main(["train", *NGRAMS, *arguments]) in (1, 2)
        assert message in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.skipif(find_spec("sentence_transformers") is None, reason="needs nlp_rnn[teacher]")
def test_a_sentence_encoder_becomes_vectors_once(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from transformers import BertConfig, BertModel

    from tests.tiny_vectors import tiny_tokenizer

    folder = here / "encoder"
    words = [word for group in WORDS.values() for word in group]
    tokenizer = tiny_tokenizer(words)
    size = tokenizer.get_vocab_size()
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2}
    config = BertConfig(vocab_size=size, num_hidden_layers=1, **sizes)
    BertModel(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "pad_token": "[PAD]"})
    )
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_P", "type": "sentence_transformers.models.Pooling"},
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_P").mkdir()
    pooling = {"word_embedding_dimension": 16, "pooling_mode_mean_tokens": True}
    (folder / "1_P" / "config.json").write_text(json.dumps(pooling))
    arguments = [*NGRAMS, "data.path=data", "model.vectors=encoder"]
    assert main(["train", *arguments, "output_dir=one"]) == 0
    assert f"sentence encoder {folder}: {size} tokens, 16 dimensions" in capsys.readouterr().out
    (cached,) = (here / "cache" / "static_vectors").iterdir()
    changed = cached.stat().st_mtime_ns
    program = f"from nlp_rnn.cli import main; main({['train', *arguments, 'output_dir=two']!r})"
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert cached.stat().st_mtime_ns == changed
    one, two = (nlp_rnn.load(f"{name}/classifier") for name in ("one", "two"))
    assert np.array_equal(one.predict_proba([UNSEEN]), two.predict_proba([UNSEEN]))
