# /// script
# dependencies = ["scikit-learn==1.9.1", "numpy==2.4.6"]
# ///
"""TF-IDF of word uni- and bigrams with a linear SVM in scikit-learn, the cheapest baseline."""

import time

from handover import arguments, read_texts, report
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC


def main() -> None:
    """Fit once, without epochs, and evaluate once on the test split."""
    folder, _, _, seed = arguments()
    texts, labels = read_texts(folder, "train")
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LinearSVC(random_state=seed)
    )
    started = time.perf_counter()
    model.fit(texts, labels)
    seconds = time.perf_counter() - started
    report([seconds], model.score(*read_texts(folder, "test")))


if __name__ == "__main__":
    main()
