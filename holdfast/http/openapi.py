"""The OpenAPI 3.1 document, made of the types that requests are read with and of KSI's events."""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from holdfast import __version__
from holdfast.actors.messages.gateway import EVENTS, Parameters
from holdfast.http import answers
from holdfast.http.reading import KSI, fields_of
from holdfast.http.requests import REQUESTS, Request, StreamEvents

__all__ = ["document"]

TEMPLATE: Final = "#/components/schemas/{name}"
ALWAYS: Final = (400, 401, 500, 503)
PHRASES: Final = {
    304: "The client has it already.",
    400: "Refused; nothing was changed.",
    401: "The token is missing, or another one.",
    403: "The page may not ask.",
    404: "There is none.",
    409: "It is there already, or another version of it, or somebody else's.",
    412: "Another version is there.",
    413: "Too large.",
    415: "No JSON.",
    500: "The daemon failed; its log says how.",
    503: "An actor did not answer in time; outcome says whether a change may have been made.",
}
# Over HTTP a stream is the subscription.
NO_POST: Final = ("monitor:subscribe", "monitor:unsubscribe")

Schema = dict[str, Any]


def document() -> Schema:
    """All of it."""
    types = [each.ANSWER for each in REQUESTS if each.ANSWER is not None]
    shown = {name: each for name, each in EVENTS.items() if name not in NO_POST}
    _, components = msgspec.json.schema_components(
        [*dict.fromkeys(types), answers.KsiAnswer, answers.Problem], ref_template=TEMPLATE
    )
    paths: Schema = {}
    for request in REQUESTS:
        paths.setdefault(request.PATH, {})[request.METHOD.lower()] = _operation(request)
    for event, parameters in shown.items():
        path = KSI.format(event=event)
        paths[path] = {"post": _ksi(event, parameters)}
    paths["/healthz"] = {"get": _healthz()}
    paths["/openapi.json"] = {"get": _itself()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "holdfast",
            "version": __version__,
            "description": 'State of an AI-agent daemon. Bytes travel as {"$bytes": BASE64}.',
        },
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": components,
        },
    }


def _operation(request: type[Request]) -> Schema:
    _, known = msgspec.json.schema_components([request], ref_template=TEMPLATE)
    schema = known[request.__name__]
    body, query, outer = fields_of(request)
    required = schema.get("required", [])
    properties = schema["properties"]
    summary, _, more = (request.__doc__ or "").partition("\n\n")
    operation: Schema = {
        "operationId": request.__name__,
        "summary": " ".join(summary.split()),
        "description": " ".join(more.split()),
        "tags": [request.PATH.split("/")[1]],
        "parameters": [
            _parameter(request, name, properties[name], is_required=name in required)
            for name in (*outer, *query)
        ],
        "responses": _responses(request),
    }
    if body:
        wanted = {
            "type": "object",
            "properties": {name: properties[name] for name in body},
            "required": [name for name in body if name in required],
            "additionalProperties": False,
        }
        operation["requestBody"] = {
            "required": bool(wanted["required"]),
            "content": {"application/json": {"schema": wanted}},
        }
    return operation


def _parameter(request: type[Request], name: str, schema: Schema, *, is_required: bool) -> Schema:
    schema = _without_null(schema)
    if name in request.HEADERS:
        return {"name": request.HEADERS[name], "in": "header", "schema": schema}
    if f"{{{name}}}" in request.PATH:
        return {"name": name, "in": "path", "required": True, "schema": schema}
    parameter: Schema = {"name": name, "in": "query", "required": is_required}
    if schema.get("type") == "object":
        return {**parameter, "content": {"application/json": {"schema": schema}}}
    return {**parameter, "schema": schema}


def _without_null(schema: Schema) -> Schema:
    """What is left out is not there; nothing in a query or a header is null."""
    ways = [way for way in schema.get("anyOf", ()) if way.get("type") != "null"]
    if len(ways) == 1:
        rest = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
        return {**rest, **ways[0]}
    return schema


def _responses(request: type[Request]) -> Schema:
    found = {str(code): _problem(code) for code in (*ALWAYS, *request.FAILS)}
    done: Schema = {"description": "Done."}
    if request is StreamEvents:
        done["content"] = {"text/event-stream": {"schema": {"type": "string"}}}
    elif request.ANSWER is not None:
        schema = {"$ref": TEMPLATE.format(name=request.ANSWER.__name__)}
        done["content"] = {"application/json": {"schema": schema}}
    return {str(request.STATUS): done, **found, "default": _problem(0)}


def _problem(code: int) -> Schema:
    told: Schema = {"description": PHRASES.get(code, "An error.")}
    if code != 304:
        schema = {"$ref": TEMPLATE.format(name="Problem")}
        told["content"] = {"application/problem+json": {"schema": schema}}
    return told


def _ksi(event: str, type_: type[Parameters]) -> Schema:
    _, known = msgspec.json.schema_components([type_], ref_template=TEMPLATE)
    wanted = known[type_.__name__]  # not by its name, which may be that of an answer
    codes = (*ALWAYS, 404, 409)
    answer = {"$ref": TEMPLATE.format(name="KsiAnswer")}
    return {
        "operationId": re.sub(r"\W", "_", event),
        "summary": " ".join((type_.__doc__ or "").split()),
        "tags": ["ksi"],
        "requestBody": {
            "required": bool(wanted.get("required")),
            "content": {"application/json": {"schema": wanted}},
        },
        "responses": {
            "200": {"description": "Done.", "content": {"application/json": {"schema": answer}}},
            **{str(code): _problem(code) for code in codes},
            "default": _problem(0),
        },
    }


def _healthz() -> Schema:
    return {
        "operationId": "Healthz",
        "summary": "Whether the door is open; asks nobody, and for no token.",
        "security": [],
        "responses": {"200": {"description": "It is.", "content": {"application/json": {}}}},
    }


def _itself() -> Schema:
    return {
        "operationId": "OpenApi",
        "summary": "This document.",
        "responses": {
            "200": {"description": "It.", "content": {"application/json": {}}},
            "401": _problem(401),
        },
    }
