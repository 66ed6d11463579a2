"""From a request's path, query, headers and body to its type, or to an error that names it all."""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote_to_bytes

import msgspec

from holdfast.actors.gateway_catalogue import refusal
from holdfast.errors import InvalidInputError
from holdfast.http.problems import HttpError
from holdfast.http.requests import REQUESTS, Request
from holdfast.storage import jsontext

__all__ = ["KSI", "Route", "fields_of", "json_of", "read_request", "route_of"]

KSI: Final = "/ksi/{event}"
WITH_BODY: Final = ("POST", "PUT", "PATCH")
FIELDS: Final = 1_000  # of a query


class Route(NamedTuple):
    """What a method and a path mean; ``request`` is None for an event of KSI."""

    path: str
    request: type[Request] | None
    given: dict[str, str]  # fields that stood in the path


def _pattern(path: str) -> re.Pattern[str]:
    # The last one may hold slashes, which clients need not escape.
    return re.compile(re.sub(r"\\\{(\w+)\\\}", r"(?P<\1>.+)", re.escape(path)))


# Those without a field first: /events/stream is no number.
_PATHS: Final = sorted({each.PATH for each in REQUESTS} | {KSI}, key=lambda path: "{" in path)
_PATTERNS: Final = tuple((path, _pattern(path)) for path in _PATHS)
_METHODS: Final = {
    path: {each.METHOD: each for each in REQUESTS if path == each.PATH} for path in _PATHS
}


def route_of(method: str, raw_path: bytes) -> Route:
    """Raises HttpError: 404, or 405 with what there is."""
    path = raw_path.decode("ascii", "replace")
    for template, pattern in _PATTERNS:
        if (found := pattern.fullmatch(path)) is None:
            continue
        given = {name: _text(value.encode(), name) for name, value in found.groupdict().items()}
        methods: dict[str, type[Request] | None] = {**_METHODS[template]}
        if template == KSI:
            methods = {"POST": None}
        if "GET" in methods:
            methods["HEAD"] = methods["GET"]
        if method not in methods:
            allowed = ", ".join(methods)
            raise HttpError(405, f"{method} {template}: expected {allowed}", allow=allowed)
        return Route(template, methods[method], given)
    near = get_close_matches(path[:100], _PATHS, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise HttpError(404, f"nothing is at {path[:100]!r}; {hint}/openapi.json lists all")


def _text(raw: bytes, name: str) -> str:
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise InvalidInputError(f"{name}: expected percent-encoded UTF-8") from None


def read_request(
    route: Route, query: bytes, headers: dict[str, str], body: bytes | None
) -> Request:
    """The request as it was meant; ``body`` None: there was none.  Raises InvalidInputError."""
    type_ = route.request
    assert type_ is not None
    where = f"{type_.METHOD} {type_.PATH}"
    places = _places(type_)
    outer: dict[str, Any] = _query_of(query, where, places)
    outer |= route.given
    for name, header in type_.HEADERS.items():
        if (value := headers.get(header.lower())) is not None:
            outer[name] = value
    if body and not places.body:
        raise InvalidInputError(f"{where}: expected no body")
    inner = json_of(body, where) if body else {}
    # What stands in a body is JSON and has its types; all else is text.
    read = _converted(where, places.outer_type, outer, strict=False)
    read |= _converted(where, places.body_type, inner, strict=True)
    return type_(**read)


class _Places(NamedTuple):
    """Where the fields of a request are read from."""

    body: tuple[str, ...]
    query: tuple[str, ...]
    objects: frozenset[str]  # in the query as JSON text
    lists: frozenset[str]  # in the query as often as wanted
    body_type: type[msgspec.Struct]
    query_type: type[msgspec.Struct]
    outer_type: type[msgspec.Struct]


@cache
def _places(type_: type[Request]) -> _Places:
    body, query, outer = fields_of(type_)
    known = msgspec.inspect.type_info(type_)
    assert isinstance(known, msgspec.inspect.StructType)
    kinds = {each.name: _bare(each.type) for each in known.fields}
    return _Places(
        body,
        query,
        frozenset(name for name in query if isinstance(kinds[name], msgspec.inspect.DictType)),
        frozenset(name for name in query if isinstance(kinds[name], msgspec.inspect.VarTupleType)),
        _part(type_, body),
        _part(type_, query),
        _part(type_, (*query, *outer)),
    )


def _bare(kind: msgspec.inspect.Type) -> msgspec.inspect.Type:
    """Without what is said about it."""
    return _bare(kind.type) if isinstance(kind, msgspec.inspect.Metadata) else kind


def fields_of(type_: type[Request]) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The names of what stands in the body, in the query, and in the path and headers."""
    outer = (*re.findall(r"\{(\w+)\}", type_.PATH), *type_.HEADERS)
    rest = [name for name in type_.__struct_fields__ if name not in outer]
    in_query = {"timeout", *type_.QUERY} if type_.METHOD in WITH_BODY else set(rest)
    return (
        tuple(name for name in rest if name not in in_query),
        tuple(name for name in rest if name in in_query),
        outer,
    )


def _part(type_: type[Request], names: tuple[str, ...]) -> type[msgspec.Struct]:
    """Some of the fields, as a type of their own: what an error lists as expected."""
    known = {field.name: field for field in msgspec.structs.fields(type_)}
    fields: list[Any] = []
    for name in names:
        field = known[name]
        given = {"default": field.default, "default_factory": field.default_factory}
        given = {key: value for key, value in given.items() if value is not msgspec.NODEFAULT}
        fields.append((name, field.type, msgspec.field(**given)))
    return msgspec.defstruct(type_.__name__, fields, kw_only=True, forbid_unknown_fields=True)


def _query_of(query: bytes, where: str, places: _Places) -> dict[str, Any]:
    found: dict[str, Any] = {}
    try:
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS
        )
    except ValueError:
        raise InvalidInputError(
            f"{where}: expected a query of at most {FIELDS} fields, percent-encoded UTF-8"
        ) from None
    for name, value in pairs:
        if name in places.lists:
            found.setdefault(name, []).append(value)
        elif name in found:
            raise InvalidInputError(f"{where}: {name[:80]} stands there twice: expected it once")
        elif name in places.objects:
            found[name] = json_of(value.encode(), f"{where}: {name}")
        elif name in places.query:
            found[name] = value
        else:
            unknown = f"Object contains unknown field `{name}`"
            raise InvalidInputError(refusal(where, places.query_type, unknown))
    return found


def _converted(
    where: str, type_: type[msgspec.Struct], given: dict[str, Any], *, strict: bool
) -> dict[str, Any]:
    try:
        read = msgspec.convert(given, type_, strict=strict)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidInputError(refusal(where, type_, str(error))) from None
    return {name: getattr(read, name) for name in type_.__struct_fields__}


def json_of(body: bytes, where: str) -> dict[str, Any]:
    """An object of JSON.  Raises InvalidInputError."""
    try:
        value = jsontext.decode(body)
    except InvalidInputError as error:
        raise InvalidInputError(f"{where}: {error}") from None
    if not isinstance(value, dict):
        raise InvalidInputError(f"{where}: expected an object of JSON")
    return value
