# /// script
# dependencies = ["scikit-learn==1.9.1", "numpy==2.4.6"]
# ///
"""Texts become TF-IDF of words and pairs and a linear SVM in scikit-learn, the floor of cost."""

import time

from handover import arguments, read_texts, report
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC


def main() -> None:
    """Fit once, which takes no epochs, and read the test split once."""
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
