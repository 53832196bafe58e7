"""Training on prefixes of texts: the same states, seeded draws, honest probabilities."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mlflow import MlflowClient

from nlp_rnn.cli import main
from nlp_rnn.config.model import AverageConfig, GatedConfig, NetworkConfig
from nlp_rnn.layers.poolings import POOLINGS
from nlp_rnn.model.network import TextNetwork, make_network
from nlp_rnn.training.events import EpochEnd, UpdateEnd
from nlp_rnn.training.inference import random_prefixes
from nlp_rnn.training.trainer import Trainer
from tests.test_trainer import MODEL, OPTIMIZER, TRAIN, TRAINER, VALIDATION, Killed

ONE_WAY = dataclasses.replace(MODEL, bidirectional=False, pooling="last")


def trainer(model: NetworkConfig = ONE_WAY, **options: object) -> Trainer:
    listeners = {k: options.pop(k) for k in ("on_update", "on_epoch", "checkpoint") if k in options}
    config = dataclasses.replace(TRAINER, **({"prefixes": True} | options))
    return Trainer(make_network(model, 12, 2, 1), config, OPTIMIZER, seed=1, **listeners)


def test_every_prefix_is_as_likely_and_the_generator_decides() -> None:
    lengths = torch.tensor([1, 2, 5] * 20_000)
    torch.manual_seed(3)
    drawn = random_prefixes(lengths)
    for length in (1, 2, 5):
        counts = drawn[lengths == length].bincount(minlength=length + 1)
        assert counts[0] == 0
        assert len(counts) == length + 1
        torch.testing.assert_close(
            counts[1:] / 20_000, torch.full((length,), 1 / length), rtol=0, atol=0.02
        )
    torch.manual_seed(3)
    assert torch.equal(random_prefixes(lengths), drawn)
    assert not torch.equal(random_prefixes(lengths), drawn)


@pytest.mark.parametrize("pooling", list(POOLINGS))
@pytest.mark.parametrize("cell", ["lstm", "gru", "average"])
def test_predictions_for_prefixes_are_those_for_the_prefixes_alone(cell: str, pooling: str) -> None:
    plain = {"embedding_size": 6, "embedding_dropout": 0.0, "head_dropout": 0.0}
    model: NetworkConfig = AverageConfig(name=cell, cell="average", pooling=pooling, **plain)
    if cell == "average" and pooling == "last":
        pytest.skip("refused: no recurrence, and one embedding only")
    if cell != "average":
        model = GatedConfig(
            name=cell,
            cell=cell,
            pooling=pooling,
            hidden_size=5,
            num_layers=2,
            bidirectional=False,
            **plain,
        )
    network: TextNetwork = make_network(model, 30, 3, seed=1).eval()
    input_ids = torch.randint(2, 30, (4, 9))
    lengths, prefixes = torch.tensor([9, 4, 6, 1]), torch.tensor([3, 4, 1, 1])
    with torch.inference_mode():
        both = network(input_ids, lengths, prefixes)
        torch.testing.assert_close(both[:4], network(input_ids, lengths))
        torch.testing.assert_close(both[4:], network(input_ids[:, :4], prefixes))


def prefix_scores(network: TextNetwork) -> tuple[float, float]:
    """Accuracy and loss over every beginning of the validation texts."""
    network.eval()
    hits, losses = [], []
    with torch.inference_mode():
        for row in range(len(VALIDATION)):
            batch = VALIDATION.batch(np.array([row]))
            prefixes = torch.arange(1, int(batch.lengths[0]) + 1)
            texts = torch.from_numpy(batch.input_ids).expand(len(prefixes), -1)
            logits = network(texts, prefixes)
            labels = torch.from_numpy(batch.labels).expand(len(prefixes))
            hits.append(float((logits.argmax(1) == labels).float().mean()))
            losses.append(float(torch.nn.functional.cross_entropy(logits, labels)))
    return float(np.mean(hits)), float(np.mean(losses))


def test_prefixes_are_predicted_better_and_whole_texts_as_well() -> None:
    """Which of two tokens comes first is known when it comes, in the middle of a text."""
    scores, whole = {}, {}
    for prefixes in (True, False):
        one = trainer(prefixes=prefixes, max_epochs=8, patience=8, label_smoothing=0.0)
        whole[prefixes] = one.fit(TRAIN, VALIDATION).best_metrics["accuracy"]
        scores[prefixes] = prefix_scores(one.network)
    assert scores[True][0] > scores[False][0] + 0.02
    assert scores[True][1] < 0.7 * scores[False][1]
    assert whole[True] > 0.9


@pytest.mark.parametrize("moment", [25, pytest.param(60, marks=pytest.mark.slow)])
def test_a_killed_training_on_prefixes_is_resumed_to_the_same_bits(
    tmp_path: Path, moment: int
) -> None:
    whole: list[EpochEnd] = []
    unbroken = trainer(on_epoch=whole.append)
    unbroken.fit(TRAIN, VALIDATION)
    other = trainer(prefixes=False)
    other.fit(TRAIN, VALIDATION)

    def kill(event: UpdateEnd) -> None:
        if event.update == moment:
            raise Killed

    options = {"checkpoint": tmp_path / "checkpoint.safetensors", "checkpoint_minutes": 0.0}
    with pytest.raises(Killed):
        trainer(on_update=kill, **options).fit(TRAIN, VALIDATION)
    torch.rand(3)
    resumed = trainer(**options)
    assert resumed.state.updates == moment - 1
    resumed.fit(TRAIN, VALIDATION)
    parameters = [list(t.network.parameters()) for t in (unbroken, resumed, other)]
    assert all(map(torch.equal, parameters[0], parameters[1]))
    assert not all(map(torch.equal, parameters[0], parameters[2]))


def test_a_run_shows_how_right_it_is_before_a_text_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store_uri: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NLP_RNN_CACHE", str(tmp_path / "cache"))
    arguments = [
        *("experiment=streaming", "data.train_rows=100", "data.test_rows=20"),
        *("data.train_sentences=1", "model.hidden_size=4", "model.embedding_size=4"),
        *("trainer.max_epochs=1", "tracking.system_metrics=false", "tracking.speed=none"),
        "hydra.run.dir=one",
    ]
    assert main(["train", *arguments]) == 0
    result = json.loads((tmp_path / "one" / "result.json").read_text())
    client = MlflowClient(tracking_uri=store_uri)
    history = client.get_metric_history(result["run_id"], "prefix/accuracy")
    assert [point.step for point in history] == [5, *range(10, 101, 10)]
    assert history[-1].value == pytest.approx(result["metrics"]["validation/accuracy"])
    assert 0.5 <= result["metrics"]["early_exit/threshold"] <= 1
    assert client.get_run(result["run_id"]).data.params["trainer.prefixes"] == "True"
    assert "earliness.png" in {file.path for file in client.list_artifacts(result["run_id"])}
