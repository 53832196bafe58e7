"""The note of a run reports what is known of it, and nothing else."""

from nlp_rnn.tracking.note import RunSummary, run_note


def summary(**changes: object) -> RunSummary:
    values: dict[str, object] = {
        "title": "bidirectional GRU, max pooling",
        "dataset": "trec6",
        "digest": "0123abcd",
        "run_id": "feed",
        "command": "nlp-rnn train data=files data.path=/data/trec6 model=gru seed=1",
        "metrics": {
            "test/accuracy": 0.9,
            "test/macro_f1": 0.8761,
            "validation/accuracy": 0.91,
            "validation/macro_f1": 0.9,
            "train/tokens_per_second": 123456.7,
            "train/seconds": 34.56,
            "latency/onnx_batch1_p50_ms": 0.72,
        },
        "rows": {"train": 4907, "validation": 545, "test": 500},
        "num_labels": 6,
        "parameters": {"embedding": 1000, "recurrent": 200, "head": 34, "total": 1234},
        "remarks": ["3 rows without a text were left out."],
    }
    return RunSummary(**{**values, **changes})  # type: ignore[arg-type]


def test_the_note_tells_the_run() -> None:
    note = run_note(summary())
    assert note.splitlines()[0] == (
        "**bidirectional GRU, max pooling** on **trec6**: "
        "accuracy **90.0%**, macro-F1 0.876 on 500 test texts."
    )
    plain = note.replace("\u00a0", "")
    assert "| test | 500 | 90.00% | 87.1% to 92.3% | 0.8761 |" in plain
    assert "| validation | 545 | 91.00% | none, the weights were chosen on it | 0.9000 |" in plain
    assert "1,234 parameters (1,000 embedding, 200 recurrent, 34 head)" in note
    assert "4,907 train, 545 validation, 500 test; digest `0123abcd`" in note
    assert "3 rows without a text were left out." in note
    assert "123,457 tokens per second in training; trained in 34.6 seconds" in note
    assert 'nlp_rnn.load("runs:/feed/classifier")' in note
    assert summary().command in note.splitlines()


def test_a_note_tells_only_what_is_known() -> None:
    note = run_note(summary(metrics={"validation/accuracy": 0.5, "validation/macro_f1": 0.4}))
    assert "not tested" in note.splitlines()[0]
    assert "| test" not in note
    assert "**Speed**: not measured." in note
