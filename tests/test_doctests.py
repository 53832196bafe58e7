"""The examples in the docstrings of the public API run, on a classifier of a few words."""

import doctest
import inspect
import json
import re
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

import nlp_rnn
from nlp_rnn.classifier.classifier_saving import save_classifier
from nlp_rnn.classifier.risk_coverage import write_table
from tests.test_comparison_read import fill
from tests.tiny_classifier import tiny_architecture, tiny_parts

POSITIVE, NEGATIVE = ["warm", "quick", "on", "time"], ["cold", "late"]
NEUTRAL = ["it", "is", "a", "table"]


@pytest.fixture
def reviews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str) -> None:
    """Folder `reviews` of a finished run, whose classifier sums up the words it knows."""
    words = [*POSITIVE, *NEGATIVE, *NEUTRAL]
    vocabulary = {word: index for index, word in enumerate(["[PAD]", "[UNK]", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    embedding = np.zeros((len(vocabulary), 2), np.float32)
    embedding[[vocabulary[word] for word in POSITIVE], 1] = 6
    embedding[[vocabulary[word] for word in NEGATIVE], 0] = 8
    sizes = {"vocab_size": len(vocabulary), "num_labels": 2, "embedding_size": 2}
    parts = {
        "architecture": tiny_architecture("average", "mean", **sizes),
        "state": {
            "embedding.weight": embedding,
            "head.weight": np.eye(2, dtype=np.float32),
            "head.bias": np.zeros(2, np.float32),
        },
        "tokenizer_json": tokenizer.to_str(),
        "labels": ["negative", "positive"],
    }
    save_classifier(tmp_path / "reviews" / "classifier", **(tiny_parts() | parts))
    rows = [[n / 100, 1 - n / 200, 0.96 if n >= 80 else 0.9] for n in range(100)]
    table = {"texts": 400, "rows": rows, "labels": [300] * 100}
    write_table(tmp_path / "reviews" / "classifier", table)
    result = {"run_id": "0", "tracking_uri": "", "metrics": {"test/accuracy": 0.9483}}
    (tmp_path / "reviews" / "result.json").write_text(json.dumps(result))
    fill(store_uri, 5)
    monkeypatch.chdir(tmp_path)


PUBLIC = [name for name in nlp_rnn.__all__ if not name.startswith("__")]


SLOW = {"sweep": pytest.mark.slow}  # it starts processes that train


@pytest.mark.parametrize("name", [pytest.param(one, marks=SLOW.get(one, ())) for one in PUBLIC])
def test_the_examples_of_a_public_name_run(name: str, reviews: None) -> None:
    public = getattr(nlp_rnn, name)
    assert "Examples\n" in inspect.getdoc(public)
    tests = doctest.DocTestFinder(recurse=True).find(public, name, module=False, globs={})
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.REPORT_NDIFF)
    output: list[str] = []
    for test in tests:
        runner.run(test, out=output.append)
    assert runner.tries > 0
    assert runner.failures == 0, "".join(output)


@pytest.mark.parametrize("name", PUBLIC)
def test_a_section_of_parameters_has_all_of_them(name: str) -> None:
    public = getattr(nlp_rnn, name)
    functions = [public]
    if inspect.isclass(public):
        functions += [function for _, function in inspect.getmembers(public, inspect.isroutine)]
    for function in functions:
        _, section, parameters = (inspect.getdoc(function) or "").partition("Parameters\n---")
        if section:
            for parameter in inspect.signature(function).parameters:
                documented = re.search(
                    rf"(?m)^(.*, )?\*{{0,2}}{parameter}\b(, .*)?( :|$)", parameters
                )
                assert parameter == "self" or documented, f"{function.__qualname__}: {parameter}"
