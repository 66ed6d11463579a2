"""Every message that an actor knows, built from its type, with the worst that a field may hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from holdfast.actors.messages import (
    checkpoints,
    files,
    log,
    query,
    sessions,
    supervisor,
    tracker,
    writer,
)

__all__ = ["NAMES", "PROBES", "VOCABULARIES", "messages", "request_types", "values"]

VOCABULARIES: Final[dict[str, Any]] = {
    "writer": writer.Request,
    "query": query.Request,
    "log": log.Request,
    "sessions": sessions.Request,
    "checkpoints": checkpoints.Request,
    "files": files.Request,
    "tracker": tracker.Request,
    "root": supervisor.Request,
    "agents": supervisor.Request,
}
# What each of them always answers.
PROBES: Final[dict[str, list[Any]]] = {
    "writer": ["get_position"],
    "query": ["get_position"],
    "log": ["stats"],
    "sessions": ["stats"],
    "checkpoints": ["list_threads"],
    "files": ["stats"],
    "tracker": ["stats"],
    "root": ["count_children"],
    "agents": ["count_children"],
}
# What a name, a type, a session, a property may be, if its sender means no good.  A lone surrogate
# is among the bytes below: no msgpack text can hold it.
NAMES: Final = (
    "",
    " ",
    ".",
    "..",
    "../../../../tmp/escaped",
    "/etc/passwd",
    "a/b",
    "a\0b",
    "\0",
    "a'b",
    'a"b',
    "a`b",
    "'; DROP TABLE events; --",
    '" OR 1=1 --',
    "x') UNION SELECT sql FROM sqlite_master --",
    "%",
    "_",
    "*",
    "**",
    "[",
    "[a-",
    "[^]",
    "[]",
    "?" * 50,
    "*a" * 200,
    "%s%n{0}{0.__class__}",
    "$(reboot)",
    "`reboot`",
    "\n",
    "\r\n\x1b[2J",
    "\u202e\ufeff\U0001f4a9",
    "a" * 5_000,
    "ü" * 600,
    "a:b",
    "a#b",
    "$bytes",
    "__class__",
    "NaN",
    "null",
    "{}",
    "[1]",
    '{"a": 1e999}',
    '{"a": NaN}',
    '{"$bytes": "!"}',
    '{"a": 1, "a": 2}',
    "[" * 2_000,
    "[" * 900 + "]" * 900,
    '"\\ud800"',
    "9" * 5_000,
    "1.1.1",
    "-1",
    "1e400",
    "stranger-1",
)
INTEGERS: Final = (0, 1, -1, 7, 2**31, 2**53, 2**63 - 1, 2**63, 2**64 - 1, -(2**63))
FLOATS: Final = (0.0, -0.0, 0.001, -1.0, 1e308, 1e-308, float("inf"), float("-inf"), float("nan"))

names = st.sampled_from(NAMES) | st.text(max_size=20)
anything: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.sampled_from(INTEGERS) | st.sampled_from(FLOATS) | names,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=5,
)


def request_types(actor: str) -> dict[str, inspect.StructType]:
    """The messages of an actor by their tags."""
    info = inspect.type_info(VOCABULARIES[actor])
    assert isinstance(info, inspect.UnionType)
    return {str(each.tag): each for each in info.types if isinstance(each, inspect.StructType)}


def messages(kind: inspect.StructType) -> st.SearchStrategy[bytes]:
    """Encoded messages of one type: right but for their values; now and then one wrong field."""
    right = values(kind)
    at = st.integers(min_value=1, max_value=max(1, len(kind.fields)))
    wrong = st.builds(_replaced, right, at, anything)
    return (right | right | wrong).map(msgspec.msgpack.encode)


def _replaced(message: list[Any], at: int, value: Any) -> list[Any]:
    return [*message[:at], value, *message[at + 1 :]]


def values(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """What the type allows."""
    match kind:
        case inspect.StructType():
            return _structs(kind)
        case inspect.UnionType(types=types):
            return st.one_of([values(each) for each in types])
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return st.lists(values(item), max_size=3)
        case inspect.TupleType(item_types=items):
            return st.tuples(*map(values, items)).map(list)
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(values(key), values(value), max_size=3)
        case inspect.LiteralType(values=allowed):
            return st.sampled_from(allowed)
        case _:
            return _plain(kind)


def _plain(kind: inspect.Type) -> st.SearchStrategy[Any]:
    strategies: dict[type[inspect.Type], Callable[[], st.SearchStrategy[Any]]] = {
        inspect.StrType: lambda: names,
        inspect.IntType: lambda: st.sampled_from(INTEGERS) | st.integers(0, 5),
        inspect.FloatType: lambda: st.sampled_from(FLOATS),
        inspect.BoolType: st.booleans,
        inspect.NoneType: st.none,
        inspect.BytesType: lambda: st.binary(max_size=40),
        inspect.RawType: lambda: anything,
        inspect.AnyType: lambda: anything,
    }
    return strategies[type(kind)]()


def _structs(kind: inspect.StructType) -> st.SearchStrategy[Any]:
    fields = [values(field.type) for field in kind.fields]
    if kind.array_like:
        head = [] if kind.tag is None else [st.just(kind.tag)]
        return st.tuples(*head, *fields).map(list)
    named = {field.encode_name: value for field, value in zip(kind.fields, fields, strict=True)}
    if kind.tag is not None:
        named[str(kind.tag_field)] = st.just(kind.tag)
    return st.fixed_dictionaries(named)
