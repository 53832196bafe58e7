"""Text columns joined by a separator token, from the data to the predictions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

import nlp_rnn
from nlp_rnn.classifier.classifier_saving import save_classifier
from nlp_rnn.classifier.word_cache import WordCache
from nlp_rnn.cli import main
from nlp_rnn.config.checks import check
from nlp_rnn.data.corpus import load_corpus
from nlp_rnn.errors import ClassifierError, NlpRnnError
from nlp_rnn.sources.text_column import SEPARATOR
from nlp_rnn.tokens.tokenization import tokenize_corpus
from nlp_rnn.tokens.tokenizer import encode
from tests.composing import compose
from tests.tiny_classifier import tiny_parts, tiny_texts

PAIRS = "data.text=[first,second]"
TOKEN = "data.separator_token=true"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    return tmp_path


def written(path: Path, rows: int = 60) -> Path:
    """Two words and whether they are the same; every tenth pair lacks its second one."""
    random = np.random.default_rng(0)
    words = np.array(["red", "green", "blue"])
    first, second = words[random.integers(0, 3, (2, rows))]
    table = pd.DataFrame({"first": first, "second": second, "label": (first == second).astype(int)})
    table.loc[::10, "second"] = None
    table.to_parquet(path)
    return path


def read(path: Path, *options: str) -> Any:
    config = compose(["data=files", f"data.path={path}", *options])
    check(config)
    return load_corpus(config.data), config.tokenizer


def test_a_token_stands_between_the_texts(here: Path) -> None:
    path = written(here / "pairs.parquet")
    corpus, _ = read(path, PAIRS, TOKEN)
    plain, _ = read(path, PAIRS)
    assert (corpus.separator, plain.separator) == ("[SEP]", None)
    table = pd.read_parquet(path)
    whole = table["first"] + " [SEP] " + table["second"].fillna("")
    texts = list(corpus.train["text"])
    assert texts == [whole[row] for row in corpus.train["row"]]
    assert any(text.endswith(" [SEP] ") for text in texts)
    assert not any("[SEP]" in text for text in plain.train["text"])
    assert corpus.digest != plain.digest


@pytest.mark.parametrize("kind", ["bpe", "byte_bpe", "wordpiece", "unigram", "word", "char"])
def test_every_tokenizer_has_the_token_and_learns_nothing_of_its_letters(
    here: Path, kind: str
) -> None:
    options = {"byte_bpe": ["tokenizer.vocab_size=300"], "unigram": ["tokenizer.vocab_size=30"]}
    corpus, config = read(
        written(here / "pairs.parquet"), PAIRS, TOKEN, f"tokenizer={kind}", *options.get(kind, [])
    )
    tokens = tokenize_corpus(corpus, config)
    tokenizer = Tokenizer.from_str(tokens.tokenizer_json)
    assert tokenizer.token_to_id(SEPARATOR) == 2
    if kind != "byte_bpe":
        assert tokenizer.token_to_id("[") is None
    text = "red [SEP] blue"
    (ids,) = encode(tokenizer, [text])
    assert ids.count(2) == 1
    assert 2 in ids[1:-1]
    assert WordCache(tokenizer).encode([text, "[SEP]", "red [SEP] "]) == encode(
        tokenizer, [text, "[SEP]", "red [SEP] "]
    )
    without = tokenize_corpus(read(written(here / "p.parquet"), PAIRS)[0], config)
    assert Tokenizer.from_str(without.tokenizer_json).token_to_id(SEPARATOR) is None


def test_a_given_tokenizer_gets_the_token(here: Path) -> None:
    vocabulary = {"[UNK]": 0, "red": 1, "green": 2, "blue": 3}
    tokenizer_file = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer_file.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer_file.save("tokenizer.json")
    corpus, config = read(
        written(here / "pairs.parquet"), PAIRS, TOKEN, "tokenizer=given",
        "tokenizer.path=tokenizer.json",
    )  # fmt: skip
    tokens = tokenize_corpus(corpus, config)
    assert tokens.vocab_size == 6  # the four, padding and the separator
    tokenizer = Tokenizer.from_str(tokens.tokenizer_json)
    (ids,) = encode(tokenizer, ["red [SEP] blue"])
    assert [tokenizer.id_to_token(token_id) for token_id in ids] == ["red", "[SEP]", "blue"]


@pytest.mark.parametrize("text", ["first", "[first]"])
def test_a_single_column_has_nothing_to_separate(here: Path, text: str) -> None:
    with pytest.raises(NlpRnnError, match="separates the texts of several columns"):
        read(written(here / "pairs.parquet"), f"data.text={text}", TOKEN)


def saved(folder: Path, separator: str | None = SEPARATOR) -> Path:
    save_classifier(folder, separator=separator, **tiny_parts())
    return folder


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("separator", [SEPARATOR, None])
def test_predict_joins_columns_as_training_did(
    here: Path, kind: str, separator: str | None
) -> None:
    saved(here / "c", separator)
    first, second = tiny_texts(20), tiny_texts(20, seed=1)
    table = pd.DataFrame({"one": first, "two": second})
    if kind == "csv":
        table.to_csv("in.csv", index=False)
    elif kind == "jsonl":
        table.to_json("in.jsonl", orient="records", lines=True)
    else:
        table.loc[3, "two"] = None
        table.loc[4] = None
        table.to_parquet("in.parquet")
    arguments = ["predict", "c", "--input", f"in.{kind}", "data.text=[one,two]"]
    assert main([*arguments, "--output", "out.parquet", "--proba"]) == 0
    predictions = pd.read_parquet("out.parquet")
    between = f" {separator} " if separator else " "
    texts = [between.join(pair) for pair in zip(first, second, strict=True)]
    expected = nlp_rnn.load("c").predict_proba(texts)
    if kind == "parquet":
        assert pd.isna(predictions["label"][4])
        texts[3] = first[3] + (between if separator else "")
        expected = nlp_rnn.load("c").predict_proba(texts)
    keep = [row for row in range(20) if not (kind == "parquet" and row == 4)]
    shares = predictions[["probability_bad", "probability_fair", "probability_good"]].to_numpy()
    np.testing.assert_allclose(shares[keep].astype(float), expected[keep], atol=1e-5)


def test_a_column_with_a_comma_in_its_name_and_one_that_is_not_there(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved(here / "c")
    pd.DataFrame({"one,two": ["w2"], "three": ["w3"]}).to_csv("in.csv", index=False)
    assert main(["predict", "c", "--input", "in.csv", "data.text='one,two'"]) == 0
    assert capsys.readouterr().out.startswith('"one,two",three,label,score\nw2,w3,')
    assert main(["predict", "c", "--input", "in.csv", "data.text=[three,four]"]) == 1
    assert "has no column 'four'" in capsys.readouterr().err
    Path("in.jsonl").write_text('{"three": "w2"}\n')
    assert main(["predict", "c", "--input", "in.jsonl", "data.text=[three,four]"]) == 1
    assert "has no column 'four'" in capsys.readouterr().err


def test_a_separator_that_is_no_word_is_refused(here: Path) -> None:
    with pytest.raises(ClassifierError, match="separator is ' '"):
        saved(here / "c", separator=" ")
    assert not list(here.iterdir())


def test_evaluate_joins_columns_and_refuses_another_way_of_joining(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    classifier = nlp_rnn.load(saved(here / "pairs"))
    first, second = tiny_texts(30, seed=2), tiny_texts(30, seed=3)
    texts = [f"{one} [SEP] {two}" for one, two in zip(first, second, strict=True)]
    labels = classifier.predict(texts)
    pd.DataFrame({"first": first, "second": second, "label": labels}).to_parquet("all.parquet")
    arguments = ["data=files", "data.path=all.parquet", PAIRS]
    assert main(["evaluate", "pairs", *arguments, TOKEN, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == 1.0
    assert main(["evaluate", "pairs", *arguments]) == 1
    message = capsys.readouterr().err
    assert "joined by [SEP].\nSet data.separator_token=true and the columns" in message
    saved(here / "other", separator=None)
    assert main(["evaluate", "other", *arguments, TOKEN]) == 1
    assert "not joined by [SEP].\nLeave data.separator_token out." in capsys.readouterr().err


@pytest.mark.slow
def test_from_two_columns_to_answers(here: Path, store_uri: str) -> None:
    """Train on whether two words are equal, which neither of them says."""
    path = written(here / "pairs.parquet", 2000)
    arguments = [
        *("model.embedding_size=16", "model.hidden_size=16", "trainer.threads=1"),
        *(
            "model.embedding_dropout=0",
            "model.head_dropout=0",
            "tokenizer=word",
            "tracking.system_metrics=false",
        ),
        *("trainer.max_epochs=12", "tracking.speed=none"),
        *("hydra.run.dir=run", f"data.path={path}"),
    ]
    assert main(["train", "data=files", PAIRS, TOKEN, *arguments]) == 0
    result = json.loads((here / "run" / "result.json").read_text())
    assert result["metrics"]["test/accuracy"] > 0.95
    card = (here / "run" / "classifier" / "README.md").read_text()
    assert "in this order: `first`, `second`" in card
    assert 'predict(["a text [SEP] its partner"' in card
    predictions = nlp_rnn.load("run/classifier").predict(["red [SEP] blue", "blue [SEP] blue"])
    assert predictions == ["0", "1"]
