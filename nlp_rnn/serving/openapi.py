"""OpenAPI description of the service, for `/openapi.json` and the page `/docs`."""

from collections.abc import Mapping
from typing import Any

from nlp_rnn.serving.options import ServingOptions

__all__ = ["openapi"]

Schema = dict[str, Any]


def openapi(options: ServingOptions, classifiers: Mapping[str, int]) -> Schema:
    """Return the description, with the limits of this service.

    Parameters
    ----------
    options : ServingOptions
        Options of the service.
    classifiers : mapping of str to int
        Names of the classifiers, with their numbers of labels.
    """
    top_k: Schema = {"type": "integer", "minimum": 1, "maximum": max(classifiers.values())}
    classifier = CLASSIFIER | {"schema": {"type": "string", "enum": list(classifiers)}}
    parameters: Schema = {"parameters": [classifier]}
    text = {"type": "string", "maxLength": options.max_characters}
    texts = {
        "type": "array",
        "maxItems": options.max_texts,
        "items": {"oneOf": [text, {"type": "array", "items": text, "minItems": 2}]},
        "description": "Texts; a text of several parts, such as a pair, is a list of its parts.",
    }
    security: Schema = {"security": [{"token": []}]} if options.tokens else {}
    description: Schema = {
        "openapi": "3.1.0",
        "info": {
            "title": "nlp-rnn serve",
            "version": "1",
            "description": (
                "Text classification. Unknown fields and parameters are errors. "
                "The WebSocket /stream, which OpenAPI cannot describe, is on the page /docs."
            ),
        },
        "paths": {
            "/predict": {"post": _predict(texts, top_k) | parameters | security},
            "/invocations": {"post": _invocations(top_k) | parameters | security},
            "/explain": {"post": _explain(text) | parameters | security},
            "/model": {"get": _model() | parameters | security},
            "/risk-coverage": {"get": _risk_coverage() | parameters | security},
            "/metrics": {
                "get": _get("Metrics of the service for Prometheus", "text/plain") | security
            },
            "/health": {"get": _get("Whether the process is alive")},
            "/ping": {"get": _get("The same, as in MLflow's model server")},
            "/ready": {"get": _get("Whether the service accepts requests", unavailable=True)},
        },
        "components": {"schemas": {"Prediction": PREDICTION, "Error": ERROR}},
    }
    if options.tokens:
        description["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer"}
        }
    return description


CLASSIFIER = {
    "name": "classifier",
    "in": "query",
    "description": "Name of the classifier; without it, the first one predicts.",
}

ERROR: Schema = {
    "type": "object",
    "required": ["error_code", "message"],
    "properties": {"error_code": {"type": "string"}, "message": {"type": "string"}},
}

PREDICTION: Schema = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "label": {
            "type": ["string", "null"],
            "description": "Single-label: the most probable label; null below the threshold.",
        },
        "score": {"type": "number", "description": "Single-label: its probability."},
        "labels": {
            "type": "array",
            "items": {"type": "string"},
            "description": "With top_k, or multi-label: labels, the most probable first.",
        },
        "scores": {"type": "array", "items": {"type": "number"}},
        "probabilities": {"type": "object", "additionalProperties": {"type": "number"}},
    },
}

PREDICTIONS: Schema = {
    "type": "object",
    "required": ["predictions"],
    "properties": {
        "predictions": {"type": "array", "items": {"$ref": "#/components/schemas/Prediction"}}
    },
}


def _predict(texts: Schema, top_k: Schema) -> Schema:
    fields = {
        "texts": texts,
        "top_k": top_k
        | {
            "type": ["integer", "null"],
            "description": "Number of labels in labels and scores, from 1.",
        },
        "threshold": {
            "type": ["number", "null"],
            "exclusiveMinimum": 0,
            "maximum": 1,
            "description": (
                "Smallest probability of a predicted label, above 0 and at most 1; without it, "
                "every text gets a label."
            ),
        },
        "probabilities": {"type": "boolean", "description": "Add the probability of every label."},
        "windows": {
            "type": "boolean",
            "description": "Read texts beyond the largest length of the classifier to their end.",
        },
    }
    return {
        "summary": "Predict the labels of texts",
        "requestBody": _json_body(_object(fields, "texts")),
        "responses": _responses(PREDICTIONS),
    }


def _invocations(top_k: Schema) -> Schema:
    text = {"type": "string"}
    strings = {"type": "array", "items": text}
    record = {"type": "object", "required": ["text"], "properties": {"text": text}}
    records = {"type": "array", "items": record}
    column = {"type": "object", "required": ["text"], "properties": {"text": strings}}
    # in the simplest form; other columns are accepted too
    rows = {"type": "array", "items": strings | {"minItems": 1, "maxItems": 1}}
    lists = {"type": "array", "items": {"anyOf": [text, record, rows["items"]]}}
    split = _object({"columns": {"enum": [["text"], None]}, "data": rows, "index": {}}, "data")
    params = _object({"top_k": top_k | {"minimum": 0}, "probabilities": {"type": "boolean"}})
    params["type"] = ["object", "null"]
    params["description"] = "top_k, 0 for no list, and probabilities."
    kinds: dict[str, Schema] = {
        "inputs": {"anyOf": [lists, column], "description": 'Texts: ["a text"].'},
        "instances": lists | {"description": "The same as inputs."},
        "dataframe_split": split
        | {"description": 'Table: {"columns": ["text"], "data": [["a text"]]}.'},
        "dataframe_records": records | {"description": 'Rows: [{"text": "a text"}].'},
    }
    choices = [_object({name: kind, "params": params}, name) for name, kind in kinds.items()]
    return {
        "summary": "Predict in the formats of MLflow's model server",
        # a schema cannot express the columns of a CSV
        "description": (
            "Send one of the fields for the texts. The body can also be text/csv with the column "
            "text."
        ),
        "requestBody": _json_body({"oneOf": choices}),
        "responses": _responses(PREDICTIONS),
    }


def _explain(text: Schema) -> Schema:
    fields = {
        "text": {
            "oneOf": [text, {"type": "array", "items": text, "minItems": 2}],
            "description": "A text; a pair is a list of its parts.",
        }
    }
    return {
        "summary": "Contributions of the tokens of a text, and the gates of the network",
        "requestBody": _json_body(_object(fields, "text")),
        "responses": _responses({"type": "object"}),
    }


def _model() -> Schema:
    return {
        "summary": "Labels, checksum, sizes and model card of a classifier, and limits of requests",
        "responses": _responses({"type": "object"}),
    }


def _risk_coverage() -> Schema:
    return {
        "summary": "Coverage and accuracy by threshold, on the validation texts",
        "description": "The rows are null for multi-label classifiers, and without a table.",
        "responses": _responses({"type": "object"}),
    }


def _get(summary: str, media_type: str = "application/json", unavailable: bool = False) -> Schema:
    kind = "object" if media_type == "application/json" else "string"
    content = {media_type: {"schema": {"type": kind}}}
    responses: Schema = {"200": {"description": "OK", "content": content}, "400": _error("invalid")}
    if unavailable:
        responses["503"] = _error("the service is stopping")
    return {"summary": summary, "responses": responses}


def _object(fields: Schema, *required: str) -> Schema:
    schema = {"type": "object", "additionalProperties": False, "properties": fields}
    return schema | ({"required": list(required)} if required else {})


def _json_body(schema: Schema) -> Schema:
    return {"required": True, "content": {"application/json": {"schema": schema}}}


def _responses(schema: Schema) -> Schema:
    errors = {
        "400": "the request is invalid",
        "401": "the token is missing or wrong",
        "404": "there is no classifier of this name",
        "408": "the request did not arrive in time",
        "413": "the body is too large",
        "415": "the media type is not supported",
        "503": "the queue is full, or the prediction timed out; see Retry-After",
    }
    return {
        "200": {"description": "OK", "content": {"application/json": {"schema": schema}}},
        **{status: _error(text) for status, text in errors.items()},
    }


def _error(text: str) -> Schema:
    schema = {"$ref": "#/components/schemas/Error"}
    description = text[0].upper() + text[1:]
    return {"description": description, "content": {"application/json": {"schema": schema}}}
