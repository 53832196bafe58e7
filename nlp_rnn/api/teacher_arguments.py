"""Teacher that is passed to `nlp_rnn.train`, as arguments of `nlp-rnn train`."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.api.arguments import as_arguments
from nlp_rnn.classifier.location import is_run_id, is_uri
from nlp_rnn.config.teacher import TeacherKind
from nlp_rnn.errors import DataError

if TYPE_CHECKING:
    from nlp_rnn.data.corpus import Corpus

__all__ = ["teacher_arguments"]

FILE = "predictions.parquet"
PROBABILITY = "probability_"
FOLDS = 5
FORMS = (
    "Pass the path of a file of predictions, of a classifier or of a sentence encoder, a DataFrame "
    "of predictions,\na scikit-learn estimator with predict_proba, or a function from texts to "
    "probabilities."
)


def teacher_arguments(teacher: Any, folder: Path, arguments: Sequence[str]) -> list[str]:
    """Return the options of a teacher on disk or in memory.

    The predictions of a teacher in memory are saved in `folder/teacher` first, so that the run can
    be resumed and repeated.

    Parameters
    ----------
    teacher : path, name, DataFrame, Dataset, mapping, estimator or callable; None
        A file of predictions; one or several classifiers (folders, ids of runs, `sweep:ID`); a
        sentence encoder (a folder or a name on the hub); `"self"`; a table of predictions; a
        scikit-learn estimator, which is fitted to the labelled texts with out-of-fold predictions
        if it has not been fitted yet; or a function that takes a list of texts and returns their
        probabilities, as an array with the labels in the order of the data, a DataFrame with a
        column for each label, or a list of labels or dictionaries.
    folder : Path
        The run folder.
    arguments : sequence of str
        The other arguments, which set the data.

    Raises
    ------
    DataError
        The teacher is none of these, or its predictions have another length than its input.
    """
    if teacher is None:
        return []
    if isinstance(teacher, str | os.PathLike):
        return _of_path(os.fspath(teacher))
    if isinstance(teacher, list | tuple):
        if not all(isinstance(one, str | os.PathLike) for one in teacher):
            raise DataError(f"teacher is a {type(teacher).__name__} of other things than paths.")
        paths = [os.fspath(one) for one in teacher]
        return as_arguments({"teacher": "classifier", "teacher.path": paths}, {})
    frame = _as_frame(teacher)
    if frame is None:
        if not hasattr(teacher, "predict_proba") and not callable(teacher):
            raise DataError(f"teacher is a {type(teacher).__name__}.\n{FORMS}")
        frame = _predicted(teacher, arguments)
    path = folder / "teacher" / FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.to_parquet(path, index=False)
    return as_arguments({"teacher": "predictions", "teacher.path": path.absolute()}, {})


def _of_path(path: str) -> list[str]:
    if path in TeacherKind.__members__:
        return [f"teacher={path}"]
    local = Path(path).expanduser()
    if path.startswith("sweep:") or is_uri(path) or is_run_id(path) or _is_classifier(local):
        kind = "classifier"
    elif local.is_file() or (local.is_dir() and not (local / "modules.json").is_file()):
        kind = "predictions"
    else:
        kind = "encoder"
    return as_arguments({"teacher": kind, "teacher.path": path}, {})


def _is_classifier(folder: Path) -> bool:
    if (folder / "classifier").is_dir() or (folder / "0" / "classifier").is_dir():
        return True
    return (folder / "model.onnx").is_file() or (folder / "ngrams.safetensors").is_file()


def _as_frame(teacher: Any) -> Any:
    """Return a table of predictions as a DataFrame; None if `teacher` is no table."""
    import datasets
    import pandas as pd

    if isinstance(teacher, Mapping):
        return pd.DataFrame({name: list(values) for name, values in teacher.items()})
    if isinstance(teacher, datasets.Dataset):
        return teacher.to_pandas()
    return teacher if isinstance(teacher, pd.DataFrame) else None


def _predicted(teacher: Any, arguments: Sequence[str]) -> Any:
    """Return the predictions of an estimator or a function for the texts of the data."""
    import pandas as pd

    from nlp_rnn.config.compose import compose
    from nlp_rnn.data.corpus import load_corpus, quiet_datasets
    from nlp_rnn.sources.arrow_cache import texts_of
    from nlp_rnn.teachers.pool import read_pool

    config = compose([*arguments, "teacher=predictions", "teacher.path=in_memory"])
    with quiet_datasets():
        corpus = load_corpus(config.data)
        pool = read_pool(config.data, corpus)
    texts = {
        split: list(texts_of(getattr(corpus, split))) for split in ("train", "validation", "test")
    }
    texts["unlabelled"] = list(pool.texts)
    predict: Callable[[list[str]], Any] = teacher
    frames = []
    if hasattr(teacher, "predict_proba"):
        if not _is_fitted(teacher):
            teacher, out_of_fold = _fitted(teacher, texts["train"], corpus)
            frames.append(_frame(texts.pop("train"), out_of_fold, corpus))

        def predict(texts: list[str]) -> Any:
            return pd.DataFrame(
                teacher.predict_proba(texts), columns=list(map(str, teacher.classes_))
            )

    frames += [_frame(these, predict(these), corpus) for these in texts.values() if these]
    return pd.concat(frames, ignore_index=True)


def _is_fitted(estimator: Any) -> bool:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(estimator)
    except (NotFittedError, TypeError):
        return False
    return True


def _fitted(estimator: Any, texts: list[str], corpus: "Corpus") -> tuple[Any, Any]:
    """Fit an estimator to the training texts; return it with their out-of-fold probabilities."""
    import pandas as pd
    from sklearn.base import clone
    from sklearn.model_selection import cross_val_predict

    from nlp_rnn.data.labels import labels_of

    ids = labels_of(corpus.train)
    if ids.ndim == 2:
        raise DataError(
            "An estimator that has not been fitted can be a teacher for single-label data only.\n"
            "Fit it, or pass a function from texts to probabilities."
        )
    labels = [corpus.labels[index] for index in ids]
    fitted = clone(estimator).fit(texts, labels)
    table = cross_val_predict(estimator, texts, labels, cv=FOLDS, method="predict_proba")
    return fitted, pd.DataFrame(table, columns=list(map(str, fitted.classes_)))


def _frame(texts: list[str], predictions: Any, corpus: "Corpus") -> Any:
    """Return texts with their predictions as a table."""
    import numpy as np
    import pandas as pd

    if len(predictions) != len(texts):
        raise DataError(
            f"The teacher returned {len(predictions):,} predictions for {len(texts):,} texts.\n"
            "Return one prediction for each text, in the same order."
        )
    if isinstance(predictions, pd.DataFrame):
        named = predictions.rename(columns=lambda name: f"{PROBABILITY}{name}")
        table = named.reset_index(drop=True)
        for label in corpus.labels:  # the teacher may not know rare classes
            if f"{PROBABILITY}{label}" not in table:
                table[f"{PROBABILITY}{label}"] = 0.0
    elif isinstance(predictions, np.ndarray) and predictions.ndim == 2:
        table = pd.DataFrame({"probabilities": list(predictions.astype(np.float64))})
    else:
        table = pd.DataFrame({"prediction": list(predictions)})
    table.insert(0, "text", texts)
    return table
