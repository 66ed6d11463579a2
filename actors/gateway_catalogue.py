"""What clients may say, told from the message types: read, refused with what was expected, listed.

Nothing is kept here but what the types say.
"""

from __future__ import annotations

import re
from difflib import get_close_matches
from functools import cache
from typing import Any, Final

import msgspec

from holdfast.actors.messages.gateway import EVENTS, INSTEAD, Envelope, Parameters
from holdfast.errors import InvalidInputError, NotFoundError
from holdfast.storage import jsontext

__all__ = [
    "UnknownEventError",
    "describe",
    "discover",
    "expected",
    "read_data",
    "read_envelope",
    "refusal",
]

Answer = dict[str, Any]

_decode_envelope = msgspec.json.Decoder(Envelope).decode
_UNKNOWN: Final = re.compile(r"unknown field `(.*)`", re.DOTALL)
_AT: Final = re.compile(r" - at `\$\.?([^`.\[]*)[^`]*`$", re.DOTALL)
FIELDS: Final = Envelope.__struct_fields__


class UnknownEventError(NotFoundError):
    """No event of that name; ``near`` are those with a similar one."""

    def __init__(self, event: str) -> None:
        self.near = get_close_matches(event[:100], EVENTS, n=3)
        hint = f"did you mean {' or '.join(self.near)}?" if self.near else ""
        super().__init__(f"unknown event {event[:100]!r}; {hint or 'system:discover lists all'}")


def read_envelope(line: bytes) -> Envelope:
    """A line as it was meant.  Raises InvalidInputError."""
    try:
        return _decode_envelope(line)
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError) as error:
        text = str(error)
        if found := _UNKNOWN.search(text):
            text = f"unknown key {found[1][:80]!r}{_near(found[1], FIELDS)}"
        raise InvalidInputError(
            f"not a request: {text}; expected one JSON object on a line, "
            '{"event": NAME, "data": {...}}, with correlation_id and timeout if you like'
        ) from None


def read_data(event: str, data: msgspec.Raw) -> Parameters:
    """The parameters of an event.  Raises UnknownEventError, InvalidInputError.

    What begins with an underscore is KSI's own bookkeeping (``_ksi_context``), and passed over.
    """
    type_ = EVENTS.get(event)
    if type_ is None:
        if event in INSTEAD:
            raise InvalidInputError(f"{event} has no equivalent here: {INSTEAD[event]}")
        raise UnknownEventError(event)
    value = jsontext.decode(bytes(data))
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise InvalidInputError(
            f"{event}: data is no object; expected {expected(type_) or 'no parameters'}"
        )
    given = {
        name: each
        for name, each in value.items()
        if not name.startswith("_") and not (each is None and name in INSTEAD)
    }
    try:
        return msgspec.convert(given, type_)
    except (msgspec.ValidationError, RecursionError) as error:
        raise InvalidInputError(refusal(event, type_, str(error))) from None


def refusal(event: str, type_: type[msgspec.Struct], text: str) -> str:
    """What msgspec says of parameters, as an error that names what was expected."""
    wanted = expected(type_)
    if found := _UNKNOWN.search(text):
        name = found[1]
        if name in INSTEAD and issubclass(type_, Parameters):
            return f"{event}: {name[:80]} has no equivalent here: {INSTEAD[name]}"
        near = _near(name, type_.__struct_fields__)
        return f"{event}: unknown parameter {name[:80]!r}{near}; expected {wanted or 'none'}"
    if found := _AT.search(text):
        text = text[: found.start()]
        if accepted := _parameters(type_).get(found[1], {}).get("description"):
            return f"{event}: {found[1]}: {text}; expected {accepted}"
    return f"{event}: {text}; expected {wanted}"


def _near(name: str, known: tuple[str, ...]) -> str:
    close = get_close_matches(name[:100], known, n=1)
    return f", did you mean {close[0]}?" if close else ""


@cache
def expected(type_: type[msgspec.Struct]) -> str:
    """The names of the parameters; those with a question mark may be left out."""
    return ", ".join(
        field.encode_name if field.required else f"{field.encode_name}?"
        for field in msgspec.structs.fields(type_)
    )


@cache
def _parameters(type_: type[msgspec.Struct]) -> dict[str, Answer]:
    _, known = msgspec.json.schema_components([type_])
    schema = known[type_.__name__]
    required = schema.get("required", [])
    return {
        name: _parameter(each, is_required=name in required)
        for name, each in schema.get("properties", {}).items()
    }


def _parameter(schema: Answer, *, is_required: bool) -> Answer:
    ways = [way for way in schema.get("anyOf", [schema]) if way.get("type") != "null"]
    told: Answer = {
        "type": " or ".join(dict.fromkeys(_type_of(way) for way in ways)),
        "required": is_required,
        "description": " ".join(
            dict.fromkeys(each["description"] for each in (schema, *ways) if "description" in each)
        )
        or "any JSON value",
    }
    if "default" in schema and not is_required:
        told["default"] = schema["default"]
    if allowed := next((way["enum"] for way in ways if "enum" in way), None):
        told["allowed_values"] = allowed
    return told


def _type_of(schema: Answer) -> str:
    if "enum" in schema:
        return "string"
    return str(schema.get("type", "any"))


def describe(event: str, *, is_compact: bool = False) -> Answer:
    """One event as ``system:help`` tells of it.  Raises UnknownEventError, InvalidInputError."""
    type_ = EVENTS.get(event)
    if type_ is None:
        if event in INSTEAD:
            raise InvalidInputError(f"{event} has no equivalent here: {INSTEAD[event]}")
        raise UnknownEventError(event)
    told = {"event": event, **_summary(type_), "parameters": _parameters(type_)}
    if is_compact:
        told["parameters"] = expected(type_)
    needed = {name: "..." for name, each in _parameters(type_).items() if each["required"]}
    return {**told, "usage": {"event": event, "data": needed}}


def _summary(type_: type[Parameters]) -> dict[str, str]:
    text = " ".join((type_.__doc__ or "").split())
    summary, _, rest = text.partition(" Answer: ")
    answer, _, more = rest.partition(". ")
    return {"summary": f"{summary} {more}".strip(), "answer": answer.removesuffix(".")}


def discover(*, namespace: str | None, event: str | None, detail: bool, is_compact: bool) -> Answer:
    """All events, or those of a namespace, or one.  Raises UnknownEventError, NotFoundError."""
    if event is not None:
        names = [describe(event)["event"]]
    else:
        names = [name for name in EVENTS if namespace in (None, name.partition(":")[0])]
    namespaces = list(dict.fromkeys(name.partition(":")[0] for name in EVENTS))
    if not names:
        near = _near(namespace or "", tuple(namespaces))
        raise NotFoundError(
            f"no events in namespace {namespace!r}{near}; there are {', '.join(namespaces)}"
        )
    told: dict[str, Any] = {}
    for name in names:
        one = describe(name, is_compact=is_compact)
        told[name] = one if detail else {"summary": one["summary"]}
    return {"events": told, "namespaces": namespaces, "total": len(told)}
