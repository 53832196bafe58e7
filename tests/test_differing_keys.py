"""A pair differs in the compared key and in nothing else, unless something named allows it."""

from dataclasses import replace

import numpy as np
import pytest

from nlp_rnn.comparison.compare import compare_runs
from nlp_rnn.comparison.compared_run import Run
from nlp_rnn.comparison.records import Comparison
from nlp_rnn.errors import ComparisonError
from tests.compared_runs import RULES, compared, correct_predictions, run, two_cells

WORD = {
    "tokenizer.name": "word",
    "tokenizer.kind": "word",
    "tokenizer.min_frequency": "2",
    "tokenizer.vocab_size": "30000",
}
BPE = {
    "tokenizer.name": "bpe",
    "tokenizer.kind": "bpe",
    "tokenizer.min_frequency": "5",
    "tokenizer.vocab_size": "8000",
}
BY_TOKENIZER = replace(RULES, by="tokenizer.name")
BY_SIZE = replace(RULES, by="model.hidden_size")


def sized(cell: str, size: int, **config: str) -> list[Run]:
    """Two runs of a cell with a hidden size; `__` in the name of a key stands for a dot."""
    dotted = {key.replace("__", "."): value for key, value in config.items()}
    return configured(f"{cell} h{size}", cell, {"model.hidden_size": str(size)} | dotted)


def configured(name: str, cell: str, config: dict[str, str]) -> list[Run]:
    signature = "-".join([cell, *config.values()])
    return [
        replace(
            each,
            run_id=f"{signature} {each.seed}",
            signature=signature,
            configuration_name=f"{name} texts {signature}",
            tags={**each.tags, "signature": signature},
            config={**each.config, **config},
        )
        for each in two_cells(texts=60, seeds=2)
        if each.cell == cell
    ]


def names_of_pairs(comparison: Comparison) -> set[tuple[str, str]]:
    return {(pair.first, pair.second) for pair in comparison.differences}


def test_sizes_are_compared_within_a_cell_and_not_between_cells() -> None:
    runs = [*sized("gru", 64), *sized("gru", 32), *sized("lstm", 64), *sized("lstm", 32)]
    pairs = names_of_pairs(compared(runs, BY_SIZE))
    assert pairs == {("gru h32", "gru h64"), ("lstm h32", "lstm h64")}
    message = "gru h64 and lstm h32 .* differ in more than model.hidden_size: model.cell is gru and"
    with pytest.raises(ComparisonError, match=message):
        compare_runs([*sized("gru", 64), *sized("lstm", 32)], BY_SIZE)


@pytest.mark.parametrize("by", ["model.pooling", "trainer.prefixes", "optimizer.learning_rate"])
def test_another_key_is_not_compared_between_cells_or_sizes(by: str) -> None:
    key = by.replace(".", "__")
    rules = replace(RULES, by=by)
    for other in (sized("lstm", 64, **{key: "2"}), sized("gru", 32, **{key: "2"})):
        with pytest.raises(ComparisonError, match=f"differ in more than {by}: model"):
            compare_runs([*sized("gru", 64, **{key: "1"}), *other], rules)


def test_a_size_that_is_matched_may_differ_and_the_match_is_named() -> None:
    one = sized("gru", 155, model__match="lstm:128", model__num_layers="1")
    two = sized("gru", 150, model__match="lstm:128", model__num_layers="2")
    rules = replace(RULES, by="model.num_layers")
    (pair,) = compared([*one, *two], rules).differences
    assert pair.matching == ("configuration", "model.match=lstm:128")
    other = sized("gru", 150, model__match="lstm:120", model__num_layers="2")
    with pytest.raises(ComparisonError, match="model.hidden_size is 15[05] and 15[05]"):
        compare_runs([*one, *other], rules)
    plain = sized("lstm", 128, model__match="None", model__num_layers="1")
    matched = sized("lstm", 128, model__match="lstm:128", model__num_layers="2")
    (pair,) = compared([*plain, *matched], rules).differences
    assert pair.matching == ("configuration",)


def test_presets_of_tokenizers_are_one_choice_and_a_note_lists_the_other_keys() -> None:
    runs = [*configured("gru h128", "gru", WORD), *configured("gru h128", "gru", BPE)]
    comparison = compared(runs, BY_TOKENIZER)
    assert names_of_pairs(comparison) == {("gru h128 tokenizer=bpe", "gru h128 tokenizer=word")}
    (note,) = (note for note in comparison.notes if "presets" in note)
    for words in ("tokenizer.kind is bpe and word", "tokenizer.min_frequency is 5 and 2"):
        assert words in note


def test_a_key_that_a_preset_does_not_set_so_makes_tokenizers_not_comparable() -> None:
    small = configured("gru h128", "gru", WORD | {"tokenizer.vocab_size": "500"})
    runs = [*small, *configured("gru h128", "gru", BPE)]
    message = "differ in more than tokenizer.name: tokenizer.vocab_size is 8000 and 500"
    with pytest.raises(ComparisonError, match=message):
        compare_runs(runs, BY_TOKENIZER)


def test_a_preset_of_the_user_may_set_any_key_of_its_group_only() -> None:
    own = {"tokenizer.name": "mine", "tokenizer.kind": "word", "tokenizer.vocab_size": "77"}
    runs = [*configured("gru h128", "gru", own), *configured("gru h128", "gru", BPE)]
    assert len(compared(runs, BY_TOKENIZER).differences) == 1
    other = configured("gru h128", "gru", own | {"model.pooling": "mean"})
    pooled = configured("gru h128", "gru", BPE | {"model.pooling": "max"})
    with pytest.raises(ComparisonError, match="more than tokenizer.name: model.pooling is"):
        compare_runs([*other, *pooled], BY_TOKENIZER)


def test_models_by_name_are_matched_like_cells() -> None:
    rules = replace(RULES, by="model.name")
    bias = {"model.forget_bias": "1.0"}
    runs = [*configured("gru h128", "gru", bias), *configured("lstm h128", "lstm", bias)]
    (pair,) = compared(runs, rules).differences
    assert pair.matching == ("size",)
    with pytest.raises(ComparisonError, match="no matching criterion holds"):
        compare_runs([*sized("gru", 64), *sized("lstm", 32)], rules)
    dropout = configured("gru h128", "gru", {"model.head_dropout": "0.1"})
    with pytest.raises(ComparisonError, match=r"model.head_dropout is 0.1 and 0.5"):
        compare_runs(
            [*dropout, *configured("lstm h128", "lstm", {"model.head_dropout": "0.5"})], rules
        )


def test_names_show_the_compared_value_however_many_keys_differ() -> None:
    many = {f"model.a{i}": str(i) for i in range(5)}
    runs = [
        *configured("gru h128", "gru", many | {"model.pooling": "max"}),
        *configured("gru h128", "gru", many | {"model.pooling": "mean"}),
        *configured("gru h128", "gru", {key: "9" for key in many} | {"model.pooling": "max"}),
        *configured("gru h128", "gru", {key: "9" for key in many} | {"model.pooling": "mean"}),
    ]
    for first, second in names_of_pairs(compared(runs, replace(RULES, by="model.pooling"))):
        assert first.startswith("gru h128 pooling=max")
        assert second.startswith("gru h128 pooling=mean")
        assert "model" not in first  # no signature


def test_latencies_of_different_kinds_match_nothing() -> None:
    runs = sized("gru", 40) + sized("lstm", 32)
    p95, p50 = "latency/onnx_batch1_p95_ms", "latency/onnx_batch1_p50_ms"
    metrics = {"gru": {p50: 2.0}, "lstm": {p95: 2.0, p50: 1.0}}
    runs = [
        replace(
            each,
            metrics={k: v for k, v in each.metrics.items() if k != p95} | metrics[each.cell],
        )
        for each in runs
    ]
    with pytest.raises(ComparisonError, match="no matching criterion holds"):
        compare_runs(runs, RULES)


def test_a_tag_is_compared_without_anything_else() -> None:
    random = correct_predictions(60, 0.8, 2, np.random.default_rng(0))
    runs = [
        run("gru", seed, right, signature=host, tags={"host": host}, run_id=f"{host} {seed}")
        for host in ("here", "there")
        for seed, right in enumerate(random, start=1)
    ]
    assert names_of_pairs(compared(runs, replace(RULES, by="host"))) == {
        ("gru h128 host=here", "gru h128 host=there")
    }
