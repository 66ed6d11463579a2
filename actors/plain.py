"""The messages of agents: plain values, and references to actors among them.

What msgspec encodes arrives as dicts, lists, text, numbers and bytes.  A reference travels as the
actor's name, and is a reference again at the receiver, carried by the receiver's own links.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from holdfast.actors.messages.barrier import Collect, Restore, decode_barrier
from holdfast.actors.ref import Driver, Reference, RemoteRef
from holdfast.errors import InvalidInputError

__all__ = ["ProxyCall", "decoder", "decoder_with", "encode", "encode_hook", "of_barrier"]

# Codes of msgpack extension types; 0 to 127 are the application's.
REFERENCE: Final = 1
PROXY: Final = 2
BARRIER: Final = 3


class ProxyCall(msgspec.Struct, frozen=True, array_like=True):
    """What a proxy asks: ``verb`` is call, get, set or describe; ``name`` a public attribute."""

    verb: str
    name: str = ""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}


def encode_hook(value: object) -> object:
    """What msgspec asks about a value it does not know."""
    if isinstance(value, Reference):
        return msgspec.msgpack.Ext(REFERENCE, value.name.encode())
    raise TypeError(
        f"a {type(value).__name__} cannot travel between processes: send numbers, text, bytes, "
        "lists, dicts, dataclasses, msgspec structs or references"
    )


_encode = msgspec.msgpack.Encoder(enc_hook=encode_hook).encode


def encode(message: object) -> bytes:
    """The message as msgpack.  Raises TypeError, InvalidInputError for what cannot travel."""
    try:
        if isinstance(message, ProxyCall):
            return _encode(msgspec.msgpack.Ext(PROXY, _encode(message)))
        return _encode(message)
    except UnicodeEncodeError as error:
        text = f"{type(message).__name__}: {error.object[:80]!r}"
        raise InvalidInputError(f"{text}: a lone surrogate is no Unicode text") from None


def of_barrier(message: Collect | Restore) -> object:
    """What an agent is sent of a daemon checkpoint: it reads plain values otherwise."""
    return msgspec.msgpack.Ext(BARRIER, _encode(message))


def decoder(driver: Driver, *, many: bool = False) -> Callable[[bytes | msgspec.Raw], Any]:
    """What reads messages whose references are to be carried by ``driver``; or arrays of them."""
    return decoder_with(lambda name: RemoteRef(name, driver), many=many)


def decoder_with(
    refer: Callable[[str], Reference], *, many: bool = False
) -> Callable[[bytes | msgspec.Raw], Any]:
    """What reads messages whose references ``refer`` makes of a name; or arrays of them."""

    def hook(code: int, data: memoryview) -> Any:
        if code == REFERENCE:
            return refer(bytes(data).decode())
        if code == PROXY:
            return calls.decode(data)
        if code == BARRIER:
            return decode_barrier(data)
        raise msgspec.ValidationError(f"extension type {code} is not known")

    calls = msgspec.msgpack.Decoder(ProxyCall, ext_hook=hook)
    return msgspec.msgpack.Decoder(list if many else Any, ext_hook=hook).decode
