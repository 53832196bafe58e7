"""The configuration: every YAML composes, and what could be silently ignored is refused."""

import re
from pathlib import Path

import pytest
from omegaconf.errors import OmegaConfBaseException

from nlp_rnn.config.checks import check
from nlp_rnn.config.schemas import conf_dir, known_keys
from nlp_rnn.config.signature import flatten, plain, signature
from nlp_rnn.errors import ConfigError
from tests.composing import compose

FILES = sorted(path for path in conf_dir().rglob("*.yaml") if path.parent != conf_dir())
REQUIRED = {
    "files": ["data.path=somewhere"],
    "hub": ["data.path=somebody/something"],
    "probe": ["data.probe=dyck1", "tokenizer.max_length=400"],
    "predictions": ["teacher.path=somewhere"],
    "encoder": ["teacher.path=somewhere"],
    "classifier": ["teacher.path=somewhere"],
    "self": ["data=files", "data.path=somewhere", "data.unlabelled=elsewhere"],
    "given": ["tokenizer.path=somebody/something"],
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}={path.stem}")
def test_every_yaml_composes_and_is_allowed(path: Path) -> None:
    if path.parent.name == "teacher":
        config = compose([f"teacher={path.stem}", *REQUIRED.get(path.stem, [])])
        assert config.teacher.kind.name == path.stem
        return
    config = compose([f"{path.parent.name}={path.stem}", *REQUIRED.get(path.stem, [])])
    check(config)
    assert path.read_text(encoding="utf-8").count("\n") <= 40
    if path.parent.name not in (
        "experiment",
        "pretraining",
        "probe",
        "sweep",
        "trainer",
        "tracking",
    ):
        assert getattr(config, path.parent.name).name == path.stem


def test_values_of_yaml_and_command_line_arrive() -> None:
    config = compose(["model=lstm", "model.hidden_size=7", "seed=9", "trainer.max_epochs=2"])
    assert (config.model.cell, config.model.hidden_size) == ("lstm", 7)
    assert (config.seed, config.trainer.max_epochs) == (9, 2)


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["model.dropout=0.3"], "num_layers=1"),
        (["model.variational_dropout=0.3"], "model.variational_dropout=0.3 acts between layers"),
        (["model.variational_dropout=1"], "below 1"),
        (
            ["model.num_layers=2", "model.dropout=0.1", "model.variational_dropout=0.1"],
            "set only one of them",
        ),
        (["model=average", "model.pooling=last"], "model.pooling=mean"),
        (["model.cell=rnn"], "set model=rnn"),
        (["model=rnn", "model.cell=lstm"], "set model=lstm"),
        (["tokenizer.kind=unigram"], "set tokenizer=unigram"),
        (["tokenizer=unigram", "tokenizer.kind=bpe"], "set tokenizer=bpe"),
        (["model.hidden_size=0"], "model.hidden_size must be at least 1"),
        (["model.embedding_dropout=1"], "below 1"),
        (["model.weight_drop=1"], "model.weight_drop must be"),
        (["model.output_dropout=-1"], "model.output_dropout must be"),
        (["model.word_dropout=-0.1"], "at least 0"),
        (["optimizer.learning_rate=0"], "above 0"),
        (["optimizer.learning_rate=nan"], "above 0"),
        (["optimizer.weight_decay=nan"], "optimizer.weight_decay must be"),
        (["optimizer.warmup_fraction=1.5"], "between 0 and 1"),
        (["optimizer.schedule=constant", "optimizer.warmup_fraction=1"], "never reaches"),
        (["optimizer.schedule=plateau", "optimizer.warmup_fraction=1"], "never reaches"),
        (["optimizer.schedule=one_cycle", "optimizer.warmup_fraction=0"], "warmup_fraction=0.3"),
        (["optimizer.plateau_factor=0.5"], "Set optimizer.schedule=plateau"),
        (["optimizer.plateau_patience=3"], "Set optimizer.schedule=plateau"),
        (["optimizer.schedule=plateau", "optimizer.plateau_factor=1"], "below 1"),
        (["optimizer.schedule=plateau", "trainer.patience=2"], "a larger trainer.patience"),
        (["optimizer.schedule=plateau", "optimizer.plateau_patience=6"], "trainer.patience=6 ends"),
        (["trainer.prefixes=true"], "Set model.bidirectional=false"),
        (["trainer.language_model=-1"], "trainer.language_model must be"),
        (["trainer.r_drop=-1"], "trainer.r_drop must be"),
        (["trainer.adversarial=-1"], "trainer.adversarial must be"),
        (["trainer.virtual_adversarial=-1"], "trainer.virtual_adversarial must be"),
        (["trainer.perturbation=1"], "has no effect by itself"),
        (["trainer.adversarial=1", "trainer.perturbation=0"], "trainer.perturbation must be"),
        (["trainer.adversarial=1", "trainer.perturbation=inf"], "trainer.perturbation must be"),
        (
            ["trainer.adversarial=1", "model.vectors=some", "model.freeze_vectors=true"],
            "normalizes the embeddings",
        ),
        (["trainer.r_drop=nan"], "trainer.r_drop must be"),
        (
            [
                *("trainer.r_drop=1", "model.embedding_dropout=0", "model.head_dropout=0"),
                "model.weight_drop=0.5",
            ],
            "every dropout of the model is 0",
        ),
        (["trainer.language_model=nan"], "trainer.language_model must be"),
        (["trainer.language_model=1", "model=average"], "Set model=gru"),
        (["trainer.language_model=1", "model.num_layers=2"], "Set model.num_layers=1"),
        (["trainer.language_model=1", "tokenizer.max_length=1"], "leaves none"),
        (["data.validation_fraction=0"], "above 0"),
        (["data.limit=1"], "data.limit must be at least 2"),
        (["trainer.batch_size=0"], "trainer.batch_size"),
        (["trainer.max_epochs=0"], "trainer.max_epochs"),
        (["trainer.accumulation=0"], "trainer.accumulation must be at least 1"),
        (["trainer.processes=0"], "trainer.processes must be"),
        (["trainer.processes=9", "trainer.batch_size=8"], "Set fewer processes"),
        (["trainer.processes=3", "trainer.threads=2"], "Set trainer.threads=3"),
        (["seed=-1"], "seed must be"),
        (["data=files", "data.path=x", "data.text=[]"], "data.text must be"),
        (["data=files", "data.path=x", "data.text=3.5"], "data.text must be"),
    ],
)
def test_what_has_no_effect_or_no_sense_is_refused(overrides: list[str], words: str) -> None:
    config = compose(overrides)
    with pytest.raises(ConfigError, match=re.escape(words)) as error:
        check(config)
    assert len(str(error.value).splitlines()) <= 2


@pytest.mark.parametrize(
    "override",
    [
        "model=average model.hidden_size=3",
        "model=rnn model.forget_bias=2",
        "model=average model.weight_drop=0.5",
        "model=average model.variational_dropout=0.5",
        "model=average model.output_dropout=0.5",
        "tokenizer=unigram tokenizer.min_frequency=3",
        "data=stories data.path=x",
        "data=files data.train_rows=9",
        "data=files data.revision=main",
    ],
)
def test_a_key_of_another_choice_is_refused(override: str) -> None:
    from hydra.errors import ConfigCompositionException

    with pytest.raises((ConfigCompositionException, OmegaConfBaseException)):
        compose(override.split())


def test_the_signature_is_shared_by_runs_that_differ_in_seed_device_or_tracking() -> None:
    same = [
        compose([]),
        compose(["seed=7"]),
        compose(["trainer.device=cpu", "trainer.threads=1"]),
        compose(["trainer.processes=2", "trainer.log_gradient_norm=true"]),
        compose(["tracking.uri=sqlite:///x.db", "tracking.run_name=mine"]),
    ]
    assert len({signature(config) for config in same}) == 1


@pytest.mark.parametrize(
    "override",
    [
        *("model=lstm", "model.hidden_size=64", "data.seed=1", "tokenizer=bpe"),
        *("trainer.batch_size=8", "trainer.language_model=0.5"),
    ],
)
def test_the_signature_changes_with_what_shapes_the_result(override: str) -> None:
    assert signature(compose([override])) != signature(compose([]))


def test_flat_keys_are_dotted_and_enums_are_words() -> None:
    flat = flatten(compose([]))
    assert flat["model.cell"] == "gru"
    assert flat["seed"] == 1
    assert set(flat) <= set(known_keys())
    assert plain(compose([]))["trainer"]["precision"] == "auto"
