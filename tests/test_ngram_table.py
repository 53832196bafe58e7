"""N-gram models: fitting, merging to a table, and the scores of the table."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

from nlp_rnn.errors import ClassifierError
from nlp_rnn.ngrams import fitting
from nlp_rnn.ngrams.character_ngrams import CharacterFeatures, CharacterSection
from nlp_rnn.ngrams.fitting import NgramParts, fit_parts, merge, out_of_fold_scores
from nlp_rnn.ngrams.linear_models import fit_svm
from nlp_rnn.ngrams.table import NgramTable
from nlp_rnn.ngrams.vocabulary import Vocabulary, Weights
from nlp_rnn.ngrams.word_ngrams import TOKEN, WordFeatures, WordSection

WORDS = "tea coffee milk good bad warm cold never always 茶 好 ☕ fine awful cup pot".split()


def corpus(num_texts: int = 120, num_labels: int = 3, seed: int = 0) -> tuple[list[str], Any]:
    """Random texts whose first word is that of their label."""
    random = np.random.default_rng(seed)
    labels = np.arange(num_texts) % num_labels
    texts = [
        f"{WORDS[label]} {' '.join(random.choice(WORDS, random.integers(1, 12)))}!"
        for label in labels
    ]
    return texts, labels


@pytest.fixture(scope="module")
def parts() -> NgramParts:
    return fit_parts(*corpus(), 3)


@pytest.fixture(scope="module")
def table(parts: NgramParts) -> NgramTable:
    return merge(parts, [0.7, 1.1, 0.4, 0.3], np.array([0.1, 0.0, -0.1]))


TEXTS = [
    "",
    "   ",
    "tea",
    "Unknown words only",
    "good TEA ☕☕",
    "茶好 茶",
    "a " * 3000 + "milk",
    *WORDS,
]


def test_the_scores_of_a_table_are_those_of_its_parts_but_for_rounding_to_8_bits(
    parts: NgramParts, table: NgramTable
) -> None:
    expected = sum(
        weight * scores
        for weight, scores in zip([0.7, 1.1, 0.4, 0.3], parts.scores(TEXTS), strict=True)
    ) + np.array([0.1, 0.0, -0.1])
    assert table.scores(TEXTS) == pytest.approx(expected, abs=0.02)


def test_the_other_texts_of_a_batch_and_their_order_change_no_score(table: NgramTable) -> None:
    together = table.scores(TEXTS)
    for text, scores in zip(TEXTS, together, strict=True):
        assert table.scores([text])[0] == pytest.approx(scores, abs=1e-5)
    assert table.scores(TEXTS[::-1])[::-1] == pytest.approx(together, abs=1e-5)
    assert table.scores([]).shape == (0, 3)


def test_a_text_without_known_ngrams_has_the_bias_as_its_scores(table: NgramTable) -> None:
    assert table.scores(["", "§"]) == pytest.approx(np.stack([table.bias] * 2))


def test_a_saved_table_has_the_same_scores_in_a_process_without_solvers(
    table: NgramTable, tmp_path: Path
) -> None:
    (tmp_path / "table").write_bytes(table.to_bytes())
    program = f"""
import sys
from pathlib import Path
from nlp_rnn.ngrams.table import NgramTable
table = NgramTable.from_bytes(Path({str(tmp_path / "table")!r}).read_bytes())
print(table.scores({TEXTS!r}).tobytes().hex())
print([name for name in ("torch", "sklearn", "scipy", "safetensors") if name in sys.modules])
"""
    printed = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout.split("\n")
    read = np.frombuffer(bytes.fromhex(printed[0]), np.float32).reshape(-1, 3)
    assert np.array_equal(read, NgramTable.from_bytes(table.to_bytes()).scores(TEXTS))
    assert printed[1] == "[]"


def test_the_contributions_of_ngrams_and_the_bias_add_up_to_the_scores(table: NgramTable) -> None:
    for text in TEXTS:
        total = sum((entry.scores for entry in table.contributions(text)), table.bias)
        assert total == pytest.approx(table.scores([text])[0], abs=1e-5)


def test_out_of_fold_scores_are_those_of_models_that_have_not_seen_the_text() -> None:
    texts, labels = corpus(60)
    labels = np.random.default_rng(1).permutation(labels)  # nothing can be learned but by heart
    seen = fit_parts(texts, labels, 3).scores(texts)
    unseen = out_of_fold_scores(texts, labels, 3, folds=5)
    for known, new in zip(seen, unseen, strict=True):
        by_heart, guessed = ((values.argmax(1) == labels).mean() for values in (known, new))
        assert by_heart > 0.6
        assert guessed < 0.45


def test_multi_label_models_score_constant_labels_by_their_sign() -> None:
    texts, labels = corpus()
    matrix = np.stack([labels == 0, labels == 1, labels >= 0, labels < 0], axis=1)
    for scores in fit_parts(texts, matrix, 4).scores(texts):
        assert np.array_equal(scores[:, 2:] > 0, matrix[:, 2:])
        assert ((scores > 0) == matrix).mean() > 0.9


def test_labels_without_a_training_text_are_never_predicted() -> None:
    texts, labels = corpus(num_labels=2)
    for scores in fit_parts(texts, labels * 2, 4).scores(texts):
        assert set(scores.argmax(1)) == {0, 2}
    for scores in fit_parts(texts, labels * 0 + 1, 3).scores(texts):
        assert set(scores.argmax(1)) == {1}


def test_of_too_many_characters_a_sample_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, labels = corpus()
    monkeypatch.setattr(fitting, "MAX_CHARACTERS", sum(map(len, texts)) // 2)
    half, again = (fit_parts(texts, labels, 3).scores(texts) for _ in range(2))
    assert np.array_equal(half, again)
    monkeypatch.undo()
    whole = fit_parts(texts, labels, 3).scores(texts)
    assert not np.allclose(half, whole)
    assert (half[0].argmax(1) == labels).mean() > 0.8


def test_the_parts_of_a_pair_have_features_of_their_own() -> None:
    texts = [f"{a} [SEP] {b}" for a, b in (("tea", "milk"), ("milk", "tea"))] * 10
    labels = np.array([0, 1] * 10)
    table = merge(fit_parts(texts, labels, 2, separator="[SEP]"), [1, 1, 1, 1])
    assert table.scores(texts).argmax(1).tolist() == labels.tolist()
    joined = NgramTable.from_bytes(table.to_bytes(), "[SEP]")
    assert np.array_equal(joined.scores(texts), table.scores(texts))


def test_a_damaged_table_raises_an_error(table: NgramTable) -> None:
    data = table.to_bytes()
    for damaged in (data[:40], b"", data[:-4], b"\x80pickle" * 9):
        with pytest.raises(ClassifierError, match="Copy the classifier folder again"):
            NgramTable.from_bytes(damaged)


# against scikit-learn


def test_features_and_decision_values_are_those_of_scikit_learn() -> None:
    texts, labels = corpus()
    others = [*corpus(30, seed=7)[0], "unknown words"]
    # character n-grams are compared on single words, among which each n-gram counts once
    words = [text.split()[-1] for text in texts]
    pairs: list[tuple[Any, TfidfVectorizer, list[str], list[str]]] = [
        (
            WordFeatures(),
            TfidfVectorizer(token_pattern=TOKEN, ngram_range=(1, 2), binary=True),
            texts,
            others,
        ),
        (
            CharacterFeatures(),
            TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), binary=True, min_df=2),
            words,
            [text.split()[0] for text in others],
        ),
    ]
    for features, vectorizer, train, test in pairs:
        ours, theirs = features.fit(train, 10**6), vectorizer.fit_transform(train)
        assert ours.shape == theirs.shape
        # the columns have another order, so the products of rows are compared
        product = (features.transform(test) @ ours.T).toarray()
        expected = (vectorizer.transform(test) @ theirs.T).toarray()
        assert product == pytest.approx(expected, abs=1e-3)  # IDF has 16 bits
        weights, bias = fit_svm(ours, labels, 3, balanced=False)
        svm = LinearSVC(random_state=0).fit(theirs, labels)
        decisions = svm.decision_function(vectorizer.transform(test))
        assert features.transform(test) @ weights + bias == pytest.approx(decisions, abs=0.05)


def test_at_most_so_many_features_are_used_the_most_frequent_first() -> None:
    texts, _ = corpus()
    for features in (WordFeatures(), CharacterFeatures()):
        whole = features.fit(texts, 10**6).getnnz(axis=0)
        few = features.fit(texts, 20)
        assert few.shape == (len(texts), 20)
        assert sorted(few.getnnz(axis=0)) == sorted(whole)[-20:]


@pytest.mark.parametrize("num_labels", [2, 4])
def test_a_full_table_takes_at_most_10_megabytes_for_four_labels(num_labels: int) -> None:
    number = fitting.max_features(num_labels)
    vocabulary = Vocabulary(np.arange(number, dtype=np.uint32), np.ones(number, np.float16))
    weights = Weights.of(np.ones((number, num_labels)))
    sections = [kind(vocabulary, weights, None) for kind in (WordSection, CharacterSection)]
    assert 9e6 < len(NgramTable(sections, np.zeros(num_labels)).to_bytes()) < 10e6
