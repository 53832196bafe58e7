"""Checks of the options of a teacher, and of what they need from the other options."""

from dataclasses import replace

from nlp_rnn.config.data import TableConfig
from nlp_rnn.config.model import NgramsConfig
from nlp_rnn.config.run import RunConfig
from nlp_rnn.config.teacher import TeacherConfig, TeacherKind
from nlp_rnn.errors import ConfigError

__all__ = ["check_teacher", "labelled_only"]

PATHS = {
    TeacherKind.predictions: "FILE",
    TeacherKind.encoder: "FOLDER or the name of a sentence encoder on the hub",
    TeacherKind.classifier: "FOLDER, runs:/ID or sweep:ID",
}


def check_teacher(config: RunConfig) -> None:
    """Raise `ConfigError` for an option of the teacher that is missing or has no effect."""
    teacher = config.teacher
    kind = teacher.kind
    if kind is TeacherKind.none:
        _check_unused(teacher, TeacherConfig(), "Set teacher=KIND")
        return
    if kind in PATHS:
        _check_path(teacher)
    elif teacher.path is not None:
        raise ConfigError(
            f"teacher.path={teacher.path} has no effect with teacher={kind.name}. Remove it, or "
            "set teacher=predictions, teacher=encoder or teacher=classifier."
        )
    if kind is not TeacherKind.predictions:
        for key in ("column", "unknown"):
            value = getattr(teacher, key)
            if value != getattr(TeacherConfig, key):
                raise ConfigError(
                    f"teacher.{key}={getattr(value, 'name', value)} has an effect with "
                    f"teacher=predictions only, not with teacher={kind.name}. Remove it."
                )
    if kind is TeacherKind.self and not _has_pool(config):
        raise ConfigError(
            "teacher=self labels unlabelled texts. Set data.unlabelled=FILE, or remove it."
        )
    _check_targets(config)


def _check_targets(config: RunConfig) -> None:
    """Raise `ConfigError` if nothing is learned from the teacher, or for targets without effect."""
    teacher = config.teacher
    if isinstance(config.model, NgramsConfig):
        if teacher.kind is TeacherKind.self:
            raise ConfigError(
                "teacher=self has n-gram models as the teacher, which learn nothing from their own "
                "labels. Set model=gru, or another teacher."
            )
        if not _has_pool(config):
            raise ConfigError(
                f"teacher={teacher.kind.name} has no effect on n-gram models without unlabelled "
                "texts, because they learn labels alone. Set data.unlabelled=FILE, or model=gru."
            )
        for key in ("temperature", "label_weight"):
            if (value := getattr(teacher, key)) != getattr(TeacherConfig, key):
                raise ConfigError(
                    f"teacher.{key}={value:g} has no effect on n-gram models, which learn labels "
                    "alone. Remove it, or set model=gru."
                )
    elif teacher.label_weight == 1 and not _has_pool(config):
        raise ConfigError(
            "teacher.label_weight=1 leaves the teacher without effect where there are no "
            "unlabelled texts. Set data.unlabelled=FILE, or teacher.label_weight=0.5."
        )


def labelled_only(config: RunConfig) -> RunConfig:
    """Return the configuration without a teacher and without unlabelled texts."""
    data = config.data
    if isinstance(data, TableConfig):
        data = replace(data, unlabelled=None)
    return replace(config, data=data, teacher=TeacherConfig())


def _check_unused(teacher: TeacherConfig, default: TeacherConfig, advice: str) -> None:
    for key in vars(default):
        value = getattr(teacher, key)
        if key != "kind" and value != getattr(default, key):
            raise ConfigError(
                f"teacher.{key}={getattr(value, 'name', value)} has no effect without a teacher. "
                f"{advice}, or remove it."
            )


def _check_path(teacher: TeacherConfig) -> None:
    name, path = teacher.kind.name, teacher.path
    paths = path if isinstance(path, list) else [path]
    if isinstance(path, list) and teacher.kind is not TeacherKind.classifier:
        raise ConfigError(
            f"teacher={name} has one path, but teacher.path is a list. Set "
            f"teacher.path={PATHS[teacher.kind]}."
        )
    if not paths or not all(isinstance(one, str) and one.strip() for one in paths):
        raise ConfigError(
            f"teacher={name} needs teacher.path={PATHS[teacher.kind]}, not {path!r}."
            if path is not None
            else f"teacher={name} needs a path. Set teacher.path={PATHS[teacher.kind]}."
        )


def _has_pool(config: RunConfig) -> bool:
    return isinstance(config.data, TableConfig) and config.data.unlabelled is not None
