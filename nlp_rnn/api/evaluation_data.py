"""Data of `evaluate`: read as for training, with a warning about texts that were trained on."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.errors import ClassifierError, ConfigError, DataError
from nlp_rnn.sources.reading import remembered_note, saved_reading

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from nlp_rnn.classifier.predictor import TextClassifier
    from nlp_rnn.classifier.training_texts import TrainingTexts
    from nlp_rnn.config.data import DataConfig
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.sources.files import Entry

__all__ = ["SPLITS", "EvaluationData", "data_config", "load_data", "training_text_notes"]

SPLITS = ("test", "validation", "train", "all", "unseen")

# Options that have an effect only on training.
_TRAINING_ONLY = ("data.limit", "data.fraction", "data.validation_fraction")


@dataclass(frozen=True)
class EvaluationData:
    """A corpus, and what the classifier knows about it.

    Attributes
    ----------
    corpus : Corpus
        The data.
    is_training_data : bool
        Whether the classifier was trained on exactly this corpus, with the same splits.
    split : str
        The split to evaluate: one of `SPLITS`.
    rows : list of (str, array or None)
        The splits to evaluate, and of each the positions of its rows; None for all rows.
    training_texts : TrainingTexts or None
        The hashes of the texts that the classifier was trained on.
    """

    corpus: "Corpus"
    is_training_data: bool
    split: str
    rows: "list[tuple[str, NDArray[Any] | None]]"
    training_texts: "TrainingTexts | None"

    def hashes(self) -> "NDArray[Any]":
        """Return the hashes of the texts to evaluate."""
        import numpy as np

        parts = [
            self.corpus.hashes[split] if rows is None else self.corpus.hashes[split][rows]
            for split, rows in self.rows
        ]
        return np.concatenate(parts)


def data_config(overrides: Sequence[str]) -> "DataConfig":
    """Return the data configuration of `overrides`, composed as for training.

    Raises
    ------
    ConfigError
        An override is not about the data, or has no effect here.
    """
    for override in overrides:
        key = override.partition("=")[0].lstrip("+~")
        if key != "data" and not key.startswith("data."):
            raise ConfigError(
                f"{override} is not supported by evaluate, which takes only options of the data.\n"
                "Set data=… and data.…=…; nlp-rnn evaluate --help shows an example."
            )
        if key in _TRAINING_ONLY:
            raise ConfigError(
                f"{key} has an effect only on training; evaluate reads the whole split.\n"
                f"Remove {key}."
            )
    from nlp_rnn.config.compose import compose

    # the classifier truncates texts itself; the tokenizer of this configuration is not used
    return compose([*overrides, "tokenizer.max_length=1000000"]).data


def load_data(
    data: "DataConfig",
    overrides: Sequence[str],
    classifier: "TextClassifier",
    training_texts: "TrainingTexts | None",
    split: str | None,
    notes: list[str],
) -> EvaluationData:
    """Load the corpus and choose the split; `notes` receives what a user should see.

    Options that are not set have the values of the training: the columns, the form of the file
    if it has the same format, and what cuts and samples the splits. If the data cannot be read
    with them, it is read without them.

    Raises
    ------
    ClassifierError
        `unseen` is not possible, because the classifier has no hashes of its training texts.
    DataError
        The data cannot be read, or does not have the split.
    """
    from nlp_rnn.sources.reading import CONTENT

    provenance = classifier.config["provenance"]
    keys = {override.partition("=")[0].removeprefix("data.") for override in overrides}
    remembered, difference = _remembered(data, keys, classifier.config)
    fitting = remembered
    like_training = {
        name: value
        for name, value in provenance.get("data_options", {}).items()
        if name not in keys and hasattr(data, name)
    }
    content = {name: value for name, value in remembered.items() if name in CONTENT}
    attempts = [
        remembered,
        *([content] if content != remembered else []),
        *([{}] if content else []),
    ]
    cutting = split in ("test", "validation", "train")
    corpus, is_training_data, error = None, False, None
    for attempt in attempts:
        try:
            corpus, is_training_data = _load(
                replace(data, **attempt), like_training, classifier, cutting
            )
        except DataError as fault:
            # what is reported follows from the columns, whose options the user sees
            error = fault if error is None or attempt else error
        else:
            remembered = attempt
            break
    if corpus is None:
        assert error is not None
        if content:
            first, *rest = str(error).splitlines()
            raise DataError("\n".join([f"{first} ({remembered_note(content)})", *rest])) from error
        raise error
    if remembered:
        notes.append(remembered_note(remembered))
    elif content:
        used = {"text": data.text, "label": data.label}  # type: ignore[attr-defined]
        notes.append(
            f"not {remembered_note(content)}, which does not fit the data, but with "
            f"{remembered_note(used).partition(': ')[2]}"
        )
    if difference and remembered is fitting and not is_training_data:
        notes.append(difference)
    if not is_training_data:
        notes += corpus.notes
    if split is None:
        split = "test" if is_training_data or len(corpus.test) else "all"
    rows: list[tuple[str, Any]] = [(split, None)]
    if split in ("all", "unseen"):
        rows = [(name, None) for name in ("train", "validation", "test")]
    if split == "unseen":
        rows = _unseen(corpus, training_texts)
    return EvaluationData(corpus, is_training_data, split, rows, training_texts)


def _remembered(
    data: "DataConfig", keys: set[str], config: dict[str, Any]
) -> tuple[dict[str, Any], str | None]:
    """Return the options of the training that apply to files and are not set.

    The second value is a note on options that do not fit the files.
    """
    from nlp_rnn.config.data import FilesConfig
    from nlp_rnn.sources.files import find_splits
    from nlp_rnn.sources.reading import CONTENT, form_defaults
    from nlp_rnn.sources.same_form import fitting_form
    from nlp_rnn.sources.saved_folders import is_saved
    from nlp_rnn.sources.source import file_options

    if not isinstance(data, FilesConfig):
        return {}, None
    reading = saved_reading(config)
    saved = reading.get("options", {})
    path = Path(data.path).expanduser()
    entries: list[Entry] = []
    paths, formats = [path], set[str]()
    columns = saved.get("text", "text") if "text" not in keys else data.text
    columns = [str(name) for name in (columns if isinstance(columns, list) else [columns])]
    if not is_saved(path):
        try:
            entries = find_splits(path, columns, [], file_options(data)).get("train", [])
            paths, formats = [e.path for e in entries], {e.format for e in entries}
        except DataError:
            pass
    options = {name: saved[name] for name in CONTENT if name in saved}
    form = form_defaults(reading, paths, formats)
    form = {name: value for name, value in form.items() if name not in keys}
    form, difference = fitting_form(form, entries, columns)
    default = {field.name: getattr(data, field.name) for field in fields(data)}
    remembered = {
        name: value
        for name, value in (options | form).items()
        if name not in keys and value != default[name]
    }
    return remembered, difference


def _load(
    data: "DataConfig", like_training: dict[str, Any], classifier: "TextClassifier", cutting: bool
) -> "tuple[Corpus, bool]":
    """Load the corpus, and return whether it is the one that the classifier was trained on.

    The digest shows whether the texts, labels and splits are the same.
    """
    from nlp_rnn.data.corpus import load_corpus

    same: Corpus | None = None
    try:
        same = load_corpus(replace(data, **like_training), classifier.labels)
    except DataError:  # such as too few rows to cut a test split from
        if cutting:
            raise
    if same and same.digest == classifier.config["provenance"].get("data_digest"):
        return same, True
    return load_corpus(data, classifier.labels, cutting=cutting), False


def _unseen(
    corpus: "Corpus", training_texts: "TrainingTexts | None"
) -> "list[tuple[str, NDArray[Any] | None]]":
    import numpy as np

    if training_texts is None or not training_texts.exact:
        problem = "has no hashes" if training_texts is None else "has only a sample of the hashes"
        raise ClassifierError(
            f"The classifier {problem} of the texts that it was trained on, so that --split unseen "
            "is not possible.\nSet --split test or --split all."
        )
    rows: list[tuple[str, Any]] = [
        (split, np.flatnonzero(training_texts.unseen(corpus.hashes[split])))
        for split in ("train", "validation", "test")
    ]
    if not any(len(chosen) for _, chosen in rows):
        raise DataError(
            "The classifier was trained on all of these texts, so that --split unseen has none.\n"
            "Set data.path to other data."
        )
    return rows


def training_text_notes(data: EvaluationData, fitted_to_validation: bool) -> tuple[int, list[str]]:
    """Return how many of the texts were trained on, and notes about them.

    `fitted_to_validation` says whether the n-gram models of the classifier were fitted to the
    validation split too.
    """
    known = len(data.corpus.train) if data.split in ("train", "all") else 0
    number = str(f"{known:,}")
    in_validation = ""
    if data.training_texts is not None:
        hashes = data.hashes()
        train = data.training_texts.known(hashes, "train")
        validation = data.training_texts.known(hashes, "validation")
        known, number = train.number, str(train)
        if validation.number and not (data.is_training_data and data.split == "validation"):
            in_validation = f"{validation} others are in its validation split. "
    elif not data.is_training_data:
        known = 0
    lines = []
    if data.is_training_data and data.split == "test":
        lines.append(
            f"The classifier was trained on this data. The test split has the "
            f"{len(data.corpus.test):,} texts that were kept apart."
        )
    elif data.is_training_data and data.split == "validation":
        used = "its weights were chosen on the validation split"
        if fitted_to_validation:
            used = "its n-gram models were fitted to the validation split too"
        lines.append(
            f"The classifier was trained on this data, and {used}.\n"
            "Use --split test for the texts that were kept apart."
        )
    if known and data.is_training_data and data.split in ("test", "validation"):
        lines.append(f"{number} of these texts are also in the train split.")
    elif known:
        advice = "--split test" if data.is_training_data else "--split unseen"
        what = "texts that were kept apart" if data.is_training_data else "other texts"
        lines.append(
            f"Warning: the classifier was trained on {number} of these texts, so the metrics are "
            f"too high for new texts.\n{in_validation}Use {advice} for the {what}."
        )
    if data.split == "unseen":
        total = sum(len(data.corpus.hashes[split]) for split in data.corpus.hashes)
        lines.append(
            f"{len(hashes):,} of {total:,} texts are in neither the train nor the validation split "
            "of the classifier."
        )
    return known, lines
