"""Body of `POST /invocations`: the formats of MLflow's model server, in JSON and CSV.

The response has the format of that server too, so that a client can change its address alone.
"""

import csv
import io
from collections.abc import Mapping
from typing import Any

from nlp_rnn.classifier.label_choice import check_options
from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.errors import ClassifierError
from nlp_rnn.serving.bad_request import RequestError
from nlp_rnn.serving.predict_request import (
    PredictRequest,
    check_limits,
    parse_json,
    read_flag,
    reject_unknown,
    whole_number,
)

__all__ = ["parse_invocation"]

FORMATS = ("inputs", "instances", "dataframe_split", "dataframe_records")
PARAMETERS = ("top_k", "threshold", "probabilities")


def parse_invocation(
    body: bytes, media_type: str, classifier: TextClassifier, max_texts: int, max_characters: int
) -> PredictRequest:
    """Return the texts and parameters of a body.

    Parameters
    ----------
    body : bytes
        JSON with one of the keys `FORMATS` and optionally `params`, or CSV with the column `text`.
    media_type : str
        `application/json` or `text/csv`.
    classifier : TextClassifier
        The classifier.
    max_texts, max_characters : int
        Limits of the service.

    Raises
    ------
    RequestError
        Status 400 or 415: the body is invalid.
    """
    parameters: Any = {}
    if media_type == "text/csv":
        texts = _csv_texts(body)
    elif media_type == "application/json":
        value = parse_json(body)
        reject_unknown(value, (*FORMATS, "params"))
        names = [name for name in FORMATS if name in value]
        if len(names) != 1:
            raise RequestError(
                400,
                f"The body has {' and '.join(names) or 'none'} of {', '.join(FORMATS)}; send one.",
            )
        texts = _json_texts(names[0], value[names[0]])
        if value.get("params") is not None:
            parameters = value["params"]
    else:
        raise RequestError(415, "Set the header Content-Type: application/json or text/csv.")
    for position, text in enumerate(texts):
        if type(text) is not str:
            raise RequestError(400, f"texts[{position}] is {type(text).__name__}, not a string.")
    check_limits(texts, max_texts, max_characters)
    if not isinstance(parameters, dict):
        raise RequestError(400, "params is not a JSON object.")
    reject_unknown(parameters, PARAMETERS)
    top_k = whole_number(parameters.get("top_k", 0))
    if type(top_k) is not int or not 0 <= top_k <= len(classifier.labels):
        raise RequestError(
            400,
            f"top_k is not a whole number from 1 to {len(classifier.labels)}, or 0 for no list.",
        )
    threshold = parameters.get("threshold") or None  # 0, MLflow's default, means none
    try:
        check_options(None, threshold, len(classifier.labels))
    except ClassifierError as error:
        raise RequestError(400, str(error)) from None
    return PredictRequest(
        texts, top_k or None, threshold, probabilities=read_flag(parameters, "probabilities")
    )


def _json_texts(name: str, value: Any) -> list[Any]:
    """Return the texts of one of the formats, unchecked."""
    if name == "dataframe_split":
        if not isinstance(value, dict) or not isinstance(value.get("data"), list):
            raise RequestError(
                400, 'dataframe_split is not {"columns": ["text"], "data": [["…"]]}.'
            )
        reject_unknown(value, ("columns", "data", "index"))
        columns, rows = value.get("columns"), value["data"]
        if columns is None:
            columns = ["text"]
        if not isinstance(columns, list):
            raise RequestError(400, "dataframe_split has columns that are not a list of names.")
        position = _text_column(columns)
        if not all(isinstance(row, list) and len(row) == len(columns) for row in rows):
            raise RequestError(400, "dataframe_split has a row without a value for each column.")
        return [row[position] for row in rows]
    if name == "inputs" and isinstance(value, dict):
        texts = value[_name_of_text(value)]
        if not isinstance(texts, list):
            raise RequestError(400, 'inputs has no list of texts: {"text": ["a text"]}.')
        return texts
    if not isinstance(value, list):
        raise RequestError(400, f"{name} is not a list.")
    if name == "dataframe_records" and not all(isinstance(item, dict) for item in value):
        raise RequestError(400, 'dataframe_records is not a list of objects: [{"text": "a text"}].')
    return [item[_name_of_text(item)] if isinstance(item, dict) else _only(item) for item in value]


def _only(row: Any) -> Any:
    """Return the value of a row with one column, or the row itself."""
    return row[0] if isinstance(row, list) and len(row) == 1 else row


def _name_of_text(record: Mapping[str, Any]) -> str:
    columns = list(record)
    return columns[_text_column(columns)]


def _text_column(columns: list[Any]) -> int:
    """Return the position of the column `text`."""
    if columns.count("text") != 1:
        names = ", ".join(str(column)[:40] for column in columns[:20])
        raise RequestError(400, f'There is no column "text"; found {names or "none"}.')
    return columns.index("text")


def _csv_texts(body: bytes) -> list[str]:
    """Return the column `text` of a CSV; every cell is text, also `NA` and `007`."""
    try:
        rows = csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True)
        columns = next(rows, [])
        position = _text_column(columns)
        texts = []
        for row in rows:
            if len(row) != len(columns):
                if not row:
                    continue  # an empty line
                raise RequestError(
                    400, f"Line {rows.line_num} has {len(row)} cells instead of {len(columns)}."
                )
            texts.append(row[position])
        return texts
    except UnicodeDecodeError as error:
        raise RequestError(400, f"The body is not UTF-8: byte {error.start} is invalid.") from None
    except csv.Error as error:
        raise RequestError(400, f"The body is not CSV: {error}.") from None
