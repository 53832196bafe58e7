"""The built-in stories: different, seeded, and beyond a bag of words."""

from collections import Counter

import pytest

from nlp_rnn.errors import DataError
from nlp_rnn.sources.stories import PLACES, make_stories


def test_same_arguments_same_stories_and_another_seed_others():
    assert make_stories(50, 8, 1) == make_stories(50, 8, 1)
    assert make_stories(50, 8, 1) != make_stories(50, 8, 2)


def test_labels_are_balanced_and_in_no_order():
    _, labels = make_stories(1000, 8, 0)
    assert Counter(labels) == {"mill": 500, "tower": 500}
    assert set(labels[:20]) == set(PLACES)


def test_the_label_is_the_place_of_the_letter():
    texts, labels = make_stories(300, 8, 3)
    for text, label in zip(texts, labels, strict=True):
        plot = next(sentence for sentence in text.split(". ") if "a letter" in sentence)
        after = plot.split("letter", 1)[1]
        nearest = min(PLACES, key=lambda place: after.find(place) % 1000)
        assert nearest == label, text


def test_no_story_is_told_twice():
    taken: set[str] = set()
    test, _ = make_stories(500, 0, 0, taken)
    train, _ = make_stories(500, 0, 1, taken)
    assert len({*test, *train}) == 1000
    assert taken == {*test, *train}


def test_sentences_set_the_length():
    def longest(sentences: int) -> int:
        return max(text.count(". ") + 1 for text in make_stories(200, sentences, 0)[0])

    assert longest(0) == 3  # scene, plot point, ending
    assert longest(8) == 11
    assert longest(100) > 90


def test_more_stories_than_there_are_is_refused():
    class AllStories(set):
        def __contains__(self, text: object) -> bool:
            return True

    with pytest.raises(DataError, match=r"not 1,000 different stories.*\n.*data\.train_rows"):
        make_stories(1000, 0, 0, AllStories())


@pytest.mark.parametrize("ngrams", [(1, 1), (1, 2)])
def test_a_bag_of_words_is_at_chance(ngrams):
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    taken: set[str] = set()
    test_texts, test_labels = make_stories(1000, 8, 0, taken)
    train_texts, train_labels = make_stories(4000, 8, 1, taken)
    vectorizer = TfidfVectorizer(ngram_range=ngrams, min_df=2)
    train = vectorizer.fit_transform(train_texts)
    model = LogisticRegression(max_iter=300).fit(train, train_labels)
    accuracy = model.score(vectorizer.transform(test_texts), test_labels)
    assert 0.45 <= accuracy <= 0.55
