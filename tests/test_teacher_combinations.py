"""Teacher, unlabelled texts, pretrained encoder and word vectors: supported together, or an error.

An error names an option that was set, and without it the combination is one that is checked too.
"""

import itertools
from dataclasses import replace

import pytest

from nlp_rnn.config.checks import check
from nlp_rnn.config.data import FilesConfig
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.teacher import TeacherConfig, TeacherKind
from nlp_rnn.errors import ConfigError
from tests.composing import compose

TEACHERS = {
    "": None,
    "teacher=predictions": "llm.csv",
    "teacher=encoder": "encoder",
    "teacher=classifier": "large",
    "teacher=self": None,
}
POOLS = ("", "data.unlabelled=pool.csv")
PRETRAINED = ("", "model.pretrained=auto", "model.pretrained=language_model")
VECTORS = ("", "model.vectors=glove.txt", "model.vectors=minishlab/potion")

ERRORS = {
    ("model.pretrained", "model.vectors"): "both set the initial values of the embedding",
    ("teacher=self", "no pool"): "teacher=self labels unlabelled texts. Set data.unlabelled=FILE",
    ("no teacher", "pool"): "Set teacher=self, or model.pretrained=auto",
    ("ngrams", "no pool"): "has no effect on n-gram models without unlabelled texts",
    ("ngrams", "teacher=self"): "teacher=self has n-gram models as the teacher",
    ("ngrams", "no teacher"): "data.unlabelled has no effect on n-gram models without a teacher",
}


def configuration(composed: RunConfig, teacher: str, *others: str) -> RunConfig:
    """Return a copy with these options; composing each one takes longer."""
    data, model = composed.data, composed.model
    for group, key, value in (word.replace("=", ".", 1).split(".", 2) for word in others if word):
        if group == "data":
            data = replace(data, **{key: value})
        else:
            model = replace(model, **{key: value})
    kind = TeacherKind[teacher.partition("=")[2] or "none"]
    taught = TeacherConfig(kind=kind, path=TEACHERS[teacher])
    return replace(composed, data=data, model=model, teacher=taught)


def expected(model: str, teacher: str, pool: str, pretrained: str, vectors: str) -> set[str]:
    """Return the messages of which the error has one; none for what is supported."""
    wrong = {
        ("model.pretrained", "model.vectors"): pretrained and vectors,
        ("teacher=self", "no pool"): teacher == "teacher=self" and not pool,
        ("no teacher", "pool"): model != "ngrams"
        and pool
        and not teacher
        and pretrained != "model.pretrained=auto",
        ("ngrams", "no pool"): model == "ngrams" and teacher and not pool,
        ("ngrams", "teacher=self"): model == "ngrams" and teacher == "teacher=self",
        ("ngrams", "no teacher"): model == "ngrams" and pool and not teacher,
    }
    return {ERRORS[reason] for reason, applies in wrong.items() if applies}


@pytest.mark.parametrize("model", ["gru", "ngrams"])
def test_every_combination_is_supported_or_says_which_option_to_drop(model: str) -> None:
    choices = [TEACHERS, POOLS, PRETRAINED, VECTORS]
    if model == "ngrams":
        choices[2] = ("",)  # n-gram models have no such option
    composed = compose(["data=files", "data.path=rows.csv", f"model={model}"])
    supported = 0
    for combination in itertools.product(*choices):
        teacher, *others = combination
        config = configuration(composed, teacher, *others)
        messages = expected(model, teacher, *others)
        if not messages:
            check(config)
            supported += 1
            continue
        with pytest.raises(ConfigError) as error:
            check(config)
        message = str(error.value)
        assert any(one in message for one in messages), (combination, message)
        assert _follow(config, message), (combination, message)
    assert supported == (41 if model == "gru" else 12)


def _follow(config: RunConfig, message: str) -> bool:
    """Return whether every change that a message names leads to no error, or to another one."""
    assert isinstance(config.data, FilesConfig)
    without_pool = replace(config, data=replace(config.data, unlabelled=None))
    with_pool = replace(config, data=replace(config.data, unlabelled="pool.csv"))
    changes = {
        "data.unlabelled=FILE": with_pool,
        "data.unlabelled has": without_pool,
        "teacher=self, or": replace(config, teacher=TeacherConfig(kind=TeacherKind.self)),
        "model=gru": replace(config, model=compose(["model=gru"]).model),
        "Remove one of them": replace(config, model=replace(config.model, vectors=None)),
    }
    named = [change for words, change in changes.items() if words in message]
    return bool(named) and message not in map(_message, named)


def _message(config: RunConfig) -> str:
    try:
        check(config)
    except ConfigError as error:
        return str(error)
    return ""
