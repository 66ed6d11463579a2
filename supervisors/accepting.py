"""What a key of the config accepts, and what stands there instead, in the words of an error."""

from __future__ import annotations

import json
import math
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta
from msgspec.structs import FieldInfo

__all__ = ["as_toml", "fields_of", "hints_of", "in_words", "is_plain"]


def as_toml(value: object) -> str:
    """A value about as TOML writes it, on one line and short."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


@cache
def hints_of(type_: type[msgspec.Struct]) -> dict[str, Any]:
    """The types of its fields, with what is said of them."""
    return get_type_hints(type_, include_extras=True)


@cache
def fields_of(type_: type[msgspec.Struct]) -> dict[str, FieldInfo]:
    """Its fields, by what a config calls them."""
    return {field.encode_name: field for field in msgspec.structs.fields(type_)}


def in_words(hint: Any) -> str:
    """What a field's type accepts, in words."""
    if metas := [meta for meta in getattr(hint, "__metadata__", ()) if isinstance(meta, Meta)]:
        if words := metas[-1].description:
            return words
        hint = get_args(hint)[0]
    if get_origin(hint) is Literal:
        return f"one of {', '.join(map(as_toml, get_args(hint)))}"
    return str(hint)  # no field is so bare; a test looks at every one


def is_plain(value: object) -> bool:
    """Whether a value reaches the child's constructor as it is."""
    match value:
        case bool() | str():
            return True
        case int():
            return -(2**63) <= value < 2**64
        case float():
            return math.isfinite(value)
        case list():
            return all(map(is_plain, value))
        case dict():
            return all(map(is_plain, value.values()))
        case _:
            return False
