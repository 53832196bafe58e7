"""Word vectors: every form of file, tokens matched by surface form, frozen or trained."""

import gzip
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from datasets import Dataset
from mlflow import MlflowClient

import nlp_rnn
from nlp_rnn.cli import main
from nlp_rnn.config.compose import read_config
from nlp_rnn.config.data import FilesConfig
from nlp_rnn.config.model import GatedConfig
from nlp_rnn.config.signature import signature
from nlp_rnn.config.tokenizer import CountedTokenizerConfig, TokenizerKind
from nlp_rnn.data.corpus import load_corpus
from nlp_rnn.errors import ConfigError, DataError
from nlp_rnn.model.embedding_vectors import set_vectors
from nlp_rnn.model.network import make_network
from nlp_rnn.tokens.tokenization import TokenizedCorpus, tokenize_corpus
from nlp_rnn.tokens.tokenizer import PAD_ID, UNKNOWN_ID
from nlp_rnn.tokens.word_vector_files import open_vector_file
from nlp_rnn.tokens.word_vectors import add_vectors, surface_forms
from nlp_rnn.training.trainer import Trainer
from tests.composing import compose
from tests.resolved_options import optimizer_options, trainer_options

WORDS = {
    "warm": [1.0, 2.0, 3.0],
    "cold": [-1.0, 0.5, 1.5],
    "Zürich": [0.0, 1.0, 0.0],
    "LATE": [7.0, 7.0, 7.0],
    ". . .": [9.0, 9.0, 9.0],
}
LINES = [f"{word} {' '.join(map(str, numbers))}" for word, numbers in WORDS.items()]
GLOVE = "\n".join(LINES) + "\n"
FASTTEXT = f"{len(WORDS)} 3\n" + "".join(f"{line} \n" for line in LINES)
BINARY = f"{len(WORDS)} 3\n".encode() + b"".join(
    word.encode() + b" " + np.array(numbers, "<f4").tobytes() + b"\n"
    for word, numbers in WORDS.items()
    if " " not in word
)


def zipped(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.txt", content)
    return path


@pytest.fixture
def tokens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TokenizedCorpus:
    return tokenized(tmp_path, monkeypatch, TokenizerKind.word)


def tokenized(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: TokenizerKind, **options: object
) -> TokenizedCorpus:
    monkeypatch.setenv("NLP_RNN_CACHE", str(folder / "cache"))
    texts = ["warm late zürich", "cold coldly, LATE", "warm warm . . ."] * 9
    rows = {"text": texts, "label": [1, 0, 1] * 9}
    Dataset.from_dict(rows).to_parquet(str(folder / "data.parquet"))
    corpus = load_corpus(FilesConfig(name="files", path=str(folder / "data.parquet")))
    config = CountedTokenizerConfig(name=kind.name, kind=kind, vocab_size=300, **options)
    return tokenize_corpus(corpus, config)


def vectors_of(tokens: TokenizedCorpus, *words: str) -> list[list[float] | None]:
    """The vector of each word's token, None where it has none."""
    assert tokens.vectors is not None
    index_of = {form: number for number, form in enumerate(surface_forms(tokens.tokenizer_json))}
    matrix, covered = tokens.vectors.matrix, tokens.vectors.covered
    return [matrix[index_of[w]].tolist() if covered[index_of[w]] else None for w in words]


def test_glove_text_is_found_by_word_with_lower_case_as_the_last_resort(tmp_path, tokens):
    path = tmp_path / "glove.txt"
    path.write_text(GLOVE, encoding="utf-8")
    result = add_vectors(tokens, path, 3)
    assert vectors_of(result, "warm", "zürich", "late", "coldly") == [
        WORDS["warm"],
        WORDS["Zürich"],
        WORDS["LATE"],
        None,
    ]
    assert not result.vectors.covered[[PAD_ID, UNKNOWN_ID]].any()
    assert tokens.vectors is None  # what was result is not changed
    (line,) = result.quality.lines[len(tokens.quality.lines) :]
    vocabulary = tokens.vocab_size
    assert f"vectors: 4 of {vocabulary} tokens are in glove.txt (2 of them in another case)" in line
    counts = tokens.train.token_counts(vocabulary)
    assert counts.sum() == tokens.train.lengths.sum()
    share = counts[result.vectors.covered].sum() / counts.sum()
    assert f"{share:.1%} of the training tokens" in line
    assert result.quality.figures["data/vectors_covered_tokens"] == pytest.approx(share)
    assert result.quality.figures["data/vectors_covered_vocabulary"] == 4 / vocabulary


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", GLOVE.encode()),
        ("a.vec", FASTTEXT.encode()),
        ("a.vec", FASTTEXT.replace("\n", "\r\n").encode()),
        ("a.tsv", GLOVE.replace(" ", "\t").replace(".\t.\t.", ". . .").encode()),
        ("a.vec.gz", gzip.compress(FASTTEXT.encode(), mtime=0)),
        ("a.bin", BINARY),
        ("a.bin.gz", gzip.compress(BINARY, mtime=0)),
    ],
)
def test_every_form_of_file_gives_the_same_vectors(tmp_path, tokens, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    result = add_vectors(tokens, path, 3)
    assert vectors_of(result, "warm", "cold", "late") == [
        WORDS["warm"],
        WORDS["cold"],
        WORDS["LATE"],
    ]
    assert result.quality.figures["data/vectors_broken_lines"] == 0


def test_of_a_zip_the_file_that_fits_is_taken(tmp_path, tokens):
    wide = b"warm 1 2 3 4 5\n"
    path = zipped(tmp_path / "a.zip", wide=wide, three=FASTTEXT.encode())
    assert vectors_of(add_vectors(tokens, path, 3), "cold") == [WORDS["cold"]]
    assert open_vector_file(path, 5).member == "wide.txt"
    with pytest.raises(ConfigError, match=r"3 or 5 numbers.*Set model.embedding_size=3"):
        open_vector_file(path, 4)
    twice = zipped(tmp_path / "b.zip", one=wide, two=wide)
    with pytest.raises(ConfigError, match=r"one\.txt, two\.txt"):
        open_vector_file(twice, 5)


def test_the_exact_word_wins_and_the_first_of_two(tmp_path, tokens):
    path = tmp_path / "a.txt"
    path.write_text("WARM 1 1 1\nwarm 2 2 2\nwarm 3 3 3\nWarm 4 4 4\n")
    assert vectors_of(add_vectors(tokens, path, 3), "warm") == [[2.0, 2.0, 2.0]]


def test_a_token_in_capitals_takes_the_lower_case_word(tmp_path, monkeypatch):
    corpus = tokenized(tmp_path, monkeypatch, TokenizerKind.word, lowercase=False)
    path = tmp_path / "a.txt"
    path.write_text("late 1 1 1\n")
    assert vectors_of(add_vectors(corpus, path, 3), "LATE", "late") == [[1.0] * 3, [1.0] * 3]


@pytest.mark.parametrize(
    "kind", [TokenizerKind.bpe, TokenizerKind.byte_bpe, TokenizerKind.wordpiece]
)
def test_of_pieces_only_whole_words_count(tmp_path, monkeypatch, kind):
    corpus = tokenized(tmp_path, monkeypatch, kind)
    forms = surface_forms(corpus.tokenizer_json)
    assert {"warm", "cold", "late", ","} <= set(forms)
    vocabulary = json.loads(corpus.tokenizer_json)["model"]["vocab"]
    piece = {"bpe": "ly", "byte_bpe": "ly", "wordpiece": "##ly"}[kind.name]
    if piece in vocabulary:
        assert forms[vocabulary[piece]] == ""
    assert "ly" not in forms
    assert not any(form.startswith(("▁", "Ġ", "#")) for form in forms if len(form) > 1)


def test_other_tokenizers_marks_are_understood():
    from tokenizers import Tokenizer, models

    clip = Tokenizer(models.BPE({"a": 2, "b</w>": 3, "!</w>": 4}, [], end_of_word_suffix="</w>"))
    assert surface_forms(clip.to_str()) == ["", "", "", "b", "!"]
    pieces = [("<unk>", 0.0), ("<s>", 0.0), ("▁warm", 0.0), ("er", 0.0), (".", 0.0), ("▁", 0.0)]
    metaspace = Tokenizer(models.Unigram(pieces, 0, False))
    assert surface_forms(metaspace.to_str()) == ["", "", "warm", "", ".", ""]


def test_broken_lines_are_counted_and_said(tmp_path, tokens):
    path = tmp_path / "a.vec"
    broken = [
        b"cold 1 2\n",  # too few
        b"warm 1 two 3\n",  # no number
        b"late 1 nan 3\n",
        b"\xff\xfe 1 2 3\n",  # not UTF-8
        b"\n",
    ]
    path.write_bytes(b"99 3\n" + b"".join(broken) + "zürich 1 2 3\nwarm 4 5 6\n".encode())
    corpus = add_vectors(tokens, path, 3)
    assert vectors_of(corpus, "warm", "late") == [[4.0, 5.0, 6.0], None]
    assert corpus.quality.figures["data/vectors_broken_lines"] == 5
    lines = corpus.quality.lines[-2:]
    assert "5 broken lines of a.vec left out (not a word and 3 numbers)" in lines[0]
    assert "announces 99 words, but it has 7" in lines[1]


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("a.txt", b"", DataError, "not a file of word vectors: its first line is missing"),
        ("a.txt", b"review,stars\ngood,1\n", DataError, "its first line is 'review,stars'"),
        ("a.txt", b"a word and text\n", DataError, "not a file of word vectors"),
        ("a.bin", b"warm 1 2 3\n", DataError, "not a file of word vectors"),
        ("a.bin", b"\xba\x16\x4f\x2f\x0c\x00", DataError, "to its .vec file"),
        ("a.txt", b"warm 1 2\n", ConfigError, "Set model.embedding_size=2"),
        ("a.txt", b"qqqq 1 2 3\n", DataError, "has none of the"),
        ("a.vec.gz", gzip.compress(FASTTEXT.encode() * 50, mtime=0)[:-40], DataError, "damaged"),
        ("a.vec.gz", b"no gzip", DataError, "damaged"),
        ("a.zip", b"PK no zip", DataError, "damaged"),
        (None, b"", ConfigError, "There is no file"),
    ],
)
def test_what_is_no_file_of_vectors_is_refused(tmp_path, tokens, name, content, error, message):
    path = tmp_path / (name or "missing.txt")
    if name:
        path.write_bytes(content)
    with pytest.raises(error, match=message) as caught:
        add_vectors(tokens, path, 3)
    assert len(str(caught.value).splitlines()) <= 2


def test_an_empty_zip_and_one_that_climbs_out_write_nothing(tmp_path, tokens):
    path = zipped(tmp_path / "a.zip")
    with pytest.raises(ConfigError, match="no numbers"):
        open_vector_file(path, 3)
    path = zipped(tmp_path / "b.zip", **{"../../climbed": GLOVE.encode()})
    before = sorted(tmp_path.parent.rglob("*climbed*"))
    assert vectors_of(add_vectors(tokens, path, 3), "warm") == [WORDS["warm"]]
    assert sorted(tmp_path.parent.rglob("*climbed*")) == before == []


MODEL = GatedConfig(name="gru", cell="gru", embedding_size=3, hidden_size=4)


@pytest.mark.parametrize("freeze", [True, False])
def test_covered_rows_are_kept_when_frozen_and_all_others_are_trained(tmp_path, tokens, freeze):
    path = tmp_path / "a.txt"
    path.write_text(GLOVE, encoding="utf-8")
    corpus = add_vectors(tokens, path, 3)
    model = GatedConfig(**(vars(MODEL) | {"freeze_vectors": freeze}))
    network = make_network(model, corpus.vocab_size, 2, seed=1)
    matrix, covered = corpus.vectors.matrix, corpus.vectors.covered
    set_vectors(network.embedding, matrix, covered)
    start = network.embedding.weight.detach().clone()
    known = torch.from_numpy(covered)
    assert torch.equal(start[known], torch.from_numpy(matrix[covered]))
    rest = ~known
    rest[PAD_ID] = False
    assert float(start[rest].std()) == pytest.approx(float(matrix[covered].std()), rel=1e-5)
    assert not start[PAD_ID].any()
    options = trainer_options(
        batch_size=4, max_epochs=2, threads=1, device="cpu", average_decay=0.9
    )
    options.find_learning_rate = True
    trainer = Trainer(network, options, optimizer_options(), seed=1)
    trainer.fit(corpus.train, corpus.validation)
    after = network.embedding.weight.detach()
    assert torch.equal(after[known], start[known]) == freeze
    seen = torch.from_numpy(corpus.train.token_counts(corpus.vocab_size) > 0) & ~known
    assert (after[seen] != start[seen]).any(1).all()
    assert "embedding.held" not in network.state_dict()


@pytest.mark.slow
def test_a_run_reads_vectors_and_goes_by_their_content(tmp_path, monkeypatch, store_uri):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    names = ["Anna", "letter", "the", "left"]
    numbers = " ".join(["0.25"] * 8)
    (tmp_path / "mine.vec").write_text("".join(f"{name} {numbers}\n" for name in names))
    arguments = [
        *("data.train_rows=60", "data.test_rows=20", "tokenizer=word", "trainer.max_epochs=1"),
        *("model.hidden_size=4", "model.embedding_size=8", "trainer.threads=1"),
        *("tracking.system_metrics=false", "model.vectors=mine.vec", "model.freeze_vectors=true"),
    ]
    assert main(["train", *arguments, "hydra.run.dir=one"]) == 0
    result = json.loads((tmp_path / "one" / "result.json").read_text())
    run = MlflowClient(tracking_uri=store_uri).get_run(result["run_id"])
    assert 0 < run.data.metrics["data/vectors_covered_tokens"] < 1
    config = read_config(tmp_path / "one" / "config.yaml")
    assert config.model.vectors == str(tmp_path / "mine.vec")
    classifier = nlp_rnn.load(result["classifier"], runtime="torch")
    row = classifier.vocabulary().index("letter")
    from safetensors.numpy import load_file

    weights = load_file(Path(result["classifier"]) / "model.safetensors")
    assert weights["embedding.weight"][UNKNOWN_ID].any()  # though all vectors are one
    np.testing.assert_array_equal(weights["embedding.weight"][row], np.full(8, 0.25, np.float32))
    # the signature is that of the content, wherever the file lies
    assert run.data.tags["signature"] == signature(config)
    (tmp_path / "mine.vec").rename(tmp_path / "other.vec")
    moved = compose([*arguments, f"model.vectors={tmp_path / 'other.vec'}"])
    assert signature(moved) == run.data.tags["signature"]
    with (tmp_path / "other.vec").open("a") as file:
        file.write(f"door {numbers}\n")
    assert signature(moved) != run.data.tags["signature"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model.freeze_vectors=true"], "has no effect without model.vectors"),
        (["model.vectors=missing.vec"], "There is no file"),
    ],
)
def test_vectors_that_cannot_be_are_refused_before_data_is_read(
    tmp_path, monkeypatch, capsys, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *arguments]) == 2
    out = capsys.readouterr()
    assert message in out.err
    assert out.out == ""
    assert list(tmp_path.iterdir()) == []
