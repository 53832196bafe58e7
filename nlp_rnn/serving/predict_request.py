"""Body of `POST /predict`: strict parsing, and predictions as JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from nlp_rnn.classifier.label_choice import check_options, indices_at_least
from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.errors import ClassifierError
from nlp_rnn.serving.bad_request import RequestError

__all__ = [
    "PredictRequest",
    "check_limits",
    "parse_json",
    "parse_predict",
    "prediction_records",
    "read_flag",
    "reject_unknown",
    "whole_number",
]

FIELDS = ("texts", "top_k", "threshold", "probabilities", "windows")


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """A checked request.

    Attributes
    ----------
    texts : list of str
        The texts; pairs are joined already.
    top_k, threshold, windows
        As in `TextClassifier.predict`.
    probabilities : bool
        Whether the response has the probability of every label.
    """

    texts: list[str]
    top_k: int | None = None
    threshold: float | None = None
    probabilities: bool = False
    windows: bool = False


def _reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number of JSON")


DECODER = json.JSONDecoder(parse_constant=_reject_constant)


def parse_json(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body.

    Raises
    ------
    RequestError
        Status 400: the body is no JSON object in UTF-8.
    """
    try:
        value = DECODER.decode(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise RequestError(400, f"The body is not UTF-8: byte {error.start} is invalid.") from None
    except RecursionError:
        raise RequestError(400, "The body is nested too deeply.") from None
    except json.JSONDecodeError as error:
        message = f"The body is not JSON: {error.msg} at character {error.pos}."
        raise RequestError(400, message) from None
    except ValueError as error:  # NaN, or a number of thousands of digits
        raise RequestError(400, f"The body is not JSON: {str(error).split(';')[0]}.") from None
    if not isinstance(value, dict):
        raise RequestError(400, f"The body is {_kind(value)}, not a JSON object.")
    return value


def parse_predict(
    value: Mapping[str, Any], classifier: TextClassifier, max_texts: int, max_characters: int
) -> PredictRequest:
    """Check the fields of a request.

    Raises
    ------
    RequestError
        Status 400: a field is unknown, missing or invalid; or there are too many texts or
        characters.
    """
    reject_unknown(value, FIELDS)
    if "texts" not in value:
        raise RequestError(400, 'The field "texts" is missing: {"texts": ["a text"]}.')
    items = value["texts"]
    if not isinstance(items, list):
        raise RequestError(400, f"texts is {_kind(items)}, not a list of strings.")
    top_k, threshold = whole_number(value.get("top_k")), value.get("threshold")
    try:
        check_options(top_k, threshold, len(classifier.labels))
    except ClassifierError as error:
        raise RequestError(400, str(error)) from None
    if len(items) > max_texts:  # before they are joined
        check_limits(items, max_texts, max_characters)
    texts = [
        item if type(item) is str else _pair(item, position, classifier)
        for position, item in enumerate(items)
    ]
    check_limits(texts, max_texts, max_characters)
    windows = read_flag(value, "windows")
    if windows and classifier.config["max_length"] is None:
        raise RequestError(
            400, "windows has no effect: this classifier processes texts of any length."
        )
    return PredictRequest(texts, top_k, threshold, read_flag(value, "probabilities"), windows)


def check_limits(texts: list[Any], max_texts: int, max_characters: int) -> None:
    """Check the number of texts and of their characters.

    Raises
    ------
    RequestError
        Status 400.
    """
    if len(texts) > max_texts:
        raise RequestError(
            400,
            f"The request has {len(texts)} texts; the limit is {max_texts}. Send them in parts.",
        )
    for position, text in enumerate(texts):
        if len(text) > max_characters:
            raise RequestError(
                400,
                f"texts[{position}] has {len(text)} characters; the limit is {max_characters}.",
            )


def reject_unknown(value: Mapping[str, Any], known: tuple[str, ...]) -> None:
    """Check that an object has no unknown fields.

    Raises
    ------
    RequestError
        Status 400.
    """
    for name in value:
        if name not in known:
            hint = (
                " Select a classifier in the address: ?classifier=NAME."
                if name == "classifier"
                else ""
            )
            raise RequestError(
                400, f"There is no field {name[:40]!r}; there are {', '.join(known)}.{hint}"
            )


def whole_number(value: Any) -> Any:
    """Return 2 for 2.0, which is the same number in JSON, and other values unchanged."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def read_flag(value: Mapping[str, Any], name: str) -> bool:
    """Return a field that is true or false; false if it is missing.

    Raises
    ------
    RequestError
        Status 400: it is something else.
    """
    flag = value.get(name, False)
    if not isinstance(flag, bool):
        raise RequestError(400, f"{name} is {_kind(flag)}, not true or false.")
    return flag


def _pair(item: Any, position: int, classifier: TextClassifier) -> str:
    """Join the texts of a pair."""
    if isinstance(item, list) and len(item) >= 2 and all(type(part) is str for part in item):
        if not _reads_pairs(classifier):
            raise RequestError(
                400,
                f"texts[{position}] is a list of {len(item)} texts, but this classifier was "
                "trained on single texts. Send a string.",
            )
        return classifier.join_texts(*item)
    raise RequestError(
        400, f"texts[{position}] is {_kind(item)}, not a string or a list of two strings or more."
    )


def _reads_pairs(classifier: TextClassifier) -> bool:
    """Return whether the training data had several text columns, or may have had them."""
    config = classifier.config
    reading = config["provenance"].get("reading")
    if config.get("separator") is not None or not reading:  # older folders do not say
        return True
    columns = reading.get("options", {}).get("text")
    return isinstance(columns, list) and len(columns) > 1


def _kind(value: Any) -> str:
    names = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        dict: "an object",
    }
    return "null" if value is None else names.get(type(value), "a list")


def prediction_records(
    request: PredictRequest, classifier: TextClassifier, probabilities: NDArray[np.float32]
) -> list[dict[str, Any]]:
    """Return one prediction per row of probabilities (n, C), as the MLflow model returns them.

    A single-label prediction has `label` and `score`; the label is None below `threshold`. A
    multi-label prediction has `labels` and `scores`. `top_k` adds or replaces `labels` and
    `scores`, and `probabilities` adds the probability of every label.
    """
    labels, thresholds = classifier.labels, classifier.thresholds
    records: list[dict[str, Any]] = []
    if thresholds is None:
        best = probabilities.argmax(axis=1).tolist()
        scores = probabilities.max(axis=1)
        certain = [True] * len(best)
        if request.threshold is not None:
            certain = (scores >= request.threshold).tolist()
        records = [
            {"label": labels[index] if is_certain else None, "score": score}
            for index, score, is_certain in zip(best, scores.tolist(), certain, strict=True)
        ]
    elif request.top_k is None:
        limits = thresholds if request.threshold is None else request.threshold
        for row in probabilities:
            chosen = indices_at_least(row, limits)
            records.append(
                {"labels": [labels[index] for index in chosen], "scores": row[chosen].tolist()}
            )
    else:
        records = [{} for _ in probabilities]
    if request.top_k is not None:
        order = np.argsort(-probabilities, axis=1, kind="stable")[:, : request.top_k]
        for record, row, indices in zip(records, probabilities, order, strict=True):
            if request.threshold is not None:
                indices = indices[row[indices] >= request.threshold]
            record["labels"] = [labels[index] for index in indices]
            record["scores"] = row[indices].tolist()
    if request.probabilities:
        for record, values in zip(records, probabilities.tolist(), strict=True):
            record["probabilities"] = dict(zip(labels, values, strict=True))
    return records
