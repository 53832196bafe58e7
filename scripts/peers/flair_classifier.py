# /// script
# dependencies = ["torch==2.13.0", "flair==0.15.1"]
# ///
"""Bidirectional classifier in Flair, as in its tutorial on text classification.

Flair embeds tokens, not ids. It gets the texts as lists of tokens, which are the ids as strings,
and trains their embeddings (`OneHotEmbeddings`). The optimizer is Adam, because Flair's default
SGD stays near chance in a few epochs on so few texts. The embeddings are not reprojected, because
the other libraries do not reproject them either.
"""

import os
import tempfile
import time

os.environ.setdefault("FLAIR_CACHE_ROOT", tempfile.gettempdir())

import flair
import torch
from flair.data import Corpus, Dictionary, Sentence
from flair.datasets import FlairDatapointDataset
from flair.embeddings import DocumentRNNEmbeddings, OneHotEmbeddings
from flair.models import TextClassifier
from flair.trainers import ModelTrainer
from flair.trainers.plugins import TrainerPlugin
from handover import arguments, read_facts, read_tokens, report


class Clock(TrainerPlugin):
    """Record the wall time of every epoch in seconds."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    @TrainerPlugin.hook
    def before_training_epoch(self, **_) -> None:
        """Start the clock."""
        self.started = time.perf_counter()

    @TrainerPlugin.hook
    def after_training_epoch(self, **_) -> None:
        """Stop the clock."""
        self.seconds.append(time.perf_counter() - self.started)


def sentences(texts: list, labels: list) -> list[Sentence]:
    """Return the texts as labelled sentences of Flair."""
    labelled = []
    for text, label in zip(texts, labels, strict=True):
        sentence = Sentence([str(token) for token in text])
        labelled.append(sentence.add_label("class", str(label)))
    return labelled


def main() -> None:
    """Train, time every epoch, and evaluate once on the test split."""
    folder, cell, epochs, seed = arguments()
    facts = read_facts(folder)
    flair.set_seed(seed)
    torch.set_num_threads(facts["cores"])
    train = sentences(*read_tokens(folder, "train"))
    corpus = Corpus(FlairDatapointDataset(train), sample_missing_splits=False)
    vocabulary = Dictionary()
    for token in range(facts["vocab_size"]):
        vocabulary.add_item(str(token))
    document = DocumentRNNEmbeddings(
        [OneHotEmbeddings(vocabulary, embedding_length=facts["size"])],
        hidden_size=facts["size"],
        rnn_type=cell.upper(),
        bidirectional=True,
        reproject_words=False,
    )
    labels = corpus.make_label_dictionary("class")
    model = TextClassifier(document, label_type="class", label_dictionary=labels)
    clock = Clock()
    with tempfile.TemporaryDirectory() as base:
        ModelTrainer(model, corpus).train(
            base,
            optimizer=torch.optim.Adam,
            learning_rate=1e-3,
            mini_batch_size=facts["batch_size"],
            max_epochs=epochs,
            save_final_model=False,
            create_file_logs=False,
            create_loss_file=False,
            plugins=[clock],
        )
    test = sentences(*read_tokens(folder, "test"))
    result = model.evaluate(test, "class", mini_batch_size=facts["batch_size"])
    report(clock.seconds, result.scores["accuracy"])


if __name__ == "__main__":
    main()
