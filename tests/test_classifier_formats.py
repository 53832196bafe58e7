"""Classifier folders of earlier versions load and predict as they did.

tests/fixtures/classifier_format_N holds folders of format N, with the probabilities of the
version that wrote them.
"""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import nlp_rnn
from nlp_rnn.classifier.classifier_folder import read_state
from nlp_rnn.classifier.manifest import FORMAT_VERSION
from nlp_rnn.errors import ClassifierError
from nlp_rnn.inspection.inspection import load_model

FIXTURES = Path(__file__).parent / "fixtures"
WITH_TOKEN_NGRAMS = 3
STORED = sorted(FIXTURES.glob("classifier_format_*/*.json"))


def test_every_format_has_a_fixture() -> None:
    versions = {int(path.parent.name.rsplit("_", 1)[1]) for path in STORED}
    assert versions == set(range(1, FORMAT_VERSION + 1))


@pytest.mark.parametrize("stored", STORED, ids=lambda path: f"{path.parent.name}-{path.stem}")
@pytest.mark.parametrize("runtime", ["onnx", "torch"])
def test_it_predicts_as_it_did(stored: Path, runtime: str) -> None:
    saved = json.loads(stored.read_text())
    config = json.loads((stored.with_suffix("") / "config.json").read_text())
    alone = config["architecture"] is None
    graph_only = alone or config["format_version"] == WITH_TOKEN_NGRAMS
    classifier = nlp_rnn.load(stored.with_suffix(""), runtime="onnx" if graph_only else runtime)
    probabilities = classifier.predict_proba(saved["texts"])
    np.testing.assert_allclose(probabilities, saved["probabilities"], rtol=0, atol=1e-5)
    if "labels" in saved:  # multi-label, from format 2 on
        assert classifier.predict(saved["texts"]) == saved["labels"]
    if not alone:
        assert read_state(stored.with_suffix(""))["head.bias"].shape == (3,)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_n_grams_of_tokens_are_computed_by_the_graph_only(cell: str) -> None:
    folder = FIXTURES / f"classifier_format_{WITH_TOKEN_NGRAMS}" / cell
    classifier = nlp_rnn.load(folder)
    assert classifier.num_parameters == sum(map(np.size, read_state(folder).values()))
    assert not classifier.can_stream
    with pytest.raises(ClassifierError, match="cannot stream"):
        classifier.stream()
    with pytest.raises(ClassifierError, match='runtime="torch" does not support'):
        nlp_rnn.load(folder, runtime="torch")
    with pytest.raises(ClassifierError, match="inspect does not support"):
        load_model(folder)


def test_a_newer_one_says_what_to_install(tmp_path: Path) -> None:
    folder = shutil.copytree(STORED[0].with_suffix(""), tmp_path / "c")
    config = json.loads((folder / "config.json").read_text())
    config |= {"format_version": FORMAT_VERSION + 1}
    config["versions"] |= {"nlp_rnn": "9.1.0"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ClassifierError, match=r"Install nlp_rnn 9\.1\.0 or newer"):
        nlp_rnn.load(folder)
