"""Tokenized corpus of a run with the word vectors of its vocabulary, and notes about the data."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.config.defaults import TrainingFacts
from nlp_rnn.data.labels import labels_of
from nlp_rnn.runs.console import announced, print_lines

if TYPE_CHECKING:
    from nlp_rnn.config.run import RunConfig
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.teachers.student_data import StudentData
    from nlp_rnn.tokens.tokenization import TokenizedCorpus
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = ["log_data_notes", "tokenize", "training_facts"]


def tokenize(
    config: "RunConfig",
    corpus: "Corpus",
    student: "StudentData | None",
    tokenizer_json: str | None,
    run: "TrackedRun | None",
) -> "TokenizedCorpus":
    """Tokenize the corpus, and add word vectors.

    Parameters
    ----------
    config : RunConfig
        The requested configuration.
    corpus : Corpus
        The texts.
    student : StudentData, optional
        The training data of a student, which replaces the training split.
    tokenizer_json : str, optional
        The tokenizer of a pretrained encoder, which is used as it is.
    run : TrackedRun, optional
        The run that notes about the data are logged to; None where it has them already.
    """
    from nlp_rnn.model.network import EMBEDDING_SD
    from nlp_rnn.tokens.static_vectors import is_static, load_static_vectors
    from nlp_rnn.tokens.tokenization import tokenize_corpus
    from nlp_rnn.tokens.word_vectors import add_static_vectors, add_vectors

    with announced(f"Tokenizing with {config.tokenizer.name}"):
        tokenized = student.corpus if student else corpus
        tokens = tokenize_corpus(tokenized, config.tokenizer, tokenizer_json)
    if student is not None:
        labels = labels_of(student.corpus.train)
        tokens = replace(tokens, train=tokens.train.with_targets(labels, student.targets))
    vectors, size = config.network.vectors, config.network.embedding_size
    if vectors is not None and is_static(vectors):
        tokens = add_static_vectors(tokens, load_static_vectors(vectors), size, EMBEDDING_SD)
    elif vectors is not None:
        tokens = add_vectors(tokens, Path(vectors), size)
    print_lines(tokens.quality.lines)
    if run is not None:
        log_data_notes(corpus, run, tokens)
    return tokens


def log_data_notes(
    corpus: "Corpus", run: "TrackedRun", tokens: "TokenizedCorpus | None" = None
) -> None:
    """Log what was noticed about the data, and about its tokens if there are any."""
    lines, figures = list(corpus.quality.lines), dict(corpus.quality.figures)
    if tokens is not None:
        lines, figures = [*lines, *tokens.quality.lines], figures | tokens.quality.figures
    run.log_text("".join(f"{note}\n" for note in (*corpus.notes, *lines)), "data_notes.txt")
    run.log_final(figures)


def training_facts(corpus: "Corpus", tokens: "TokenizedCorpus") -> TrainingFacts:
    """Return the size and the labels of the training split, on which defaults depend."""
    return TrainingFacts(
        rows=len(tokens.train),
        tokens=int(tokens.train.lengths.sum()),
        labels=len(corpus.labels),
        validation_rows=len(tokens.validation),
        multi_label=corpus.task == "multi_label",
    )
