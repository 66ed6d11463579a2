"""Proxies across processes: an agent's public methods and attributes, as pykka's proxies have them.

Only what the agent's own class adds is reachable, and no name that starts with an underscore; the
receiver checks that, not the sender.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from holdfast.actors.plain import ProxyCall
from holdfast.actors.ref import RemoteFuture, RemoteRef
from holdfast.errors import InvalidInputError

__all__ = ["RemoteMethod", "RemoteProxy", "serve"]


class RemoteMethod:
    """A method of an agent elsewhere: calling it gives a future, ``defer`` waits for nothing."""

    def __init__(self, ref: RemoteRef, name: str) -> None:
        self._ref = ref
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> RemoteFuture:
        """Call it; the future has what it returned or raised."""
        future: RemoteFuture = self._ref.ask(self._message(args, kwargs), block=False)
        return future

    def defer(self, *args: Any, **kwargs: Any) -> None:
        """Call it and let what it returns go; an exception ends the agent, as in any tell."""
        self._ref.tell(self._message(args, kwargs))

    def _message(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ProxyCall:
        return ProxyCall("call", self._name, list(args), kwargs)


class RemoteProxy:
    """Attributes are futures, methods return futures, setting waits until it is done."""

    def __init__(self, ref: RemoteRef, *, timeout: float | None = 30.0) -> None:
        """Ask the actor what it has; at most ``timeout`` seconds."""
        described: dict[str, bool] = ref.ask(ProxyCall("describe"), timeout=timeout)
        object.__setattr__(self, "actor_ref", ref)
        object.__setattr__(self, "_is_method", described)

    def __getattr__(self, name: str) -> Any:
        is_method: dict[str, bool] = object.__getattribute__(self, "_is_method")
        ref: RemoteRef = object.__getattribute__(self, "actor_ref")
        if name not in is_method:
            raise AttributeError(f"{ref} has no public attribute {name!r}")
        if is_method[name]:
            return RemoteMethod(ref, name)
        return ref.ask(ProxyCall("get", name), block=False)

    def __setattr__(self, name: str, value: Any) -> None:
        ref: RemoteRef = object.__getattribute__(self, "actor_ref")
        ref.ask(ProxyCall("set", name, [value]))

    def __dir__(self) -> list[str]:
        return sorted(object.__getattribute__(self, "_is_method"))


def serve(actor: object, base: type, call: ProxyCall) -> Any:
    """Do what a proxy asks of ``actor``; what ``base`` has already is not the proxy's to reach.

    Raises InvalidInputError for any other name, and what the method raises.
    """
    if call.verb == "describe":
        return {name: callable(getattr(actor, name)) for name in _public(actor, base)}
    if call.name.startswith("_") or call.name in _reserved(base):
        raise InvalidInputError(f"{call.name!r} is not public")
    match call.verb:
        case "call":
            method: Callable[..., Any] = _attribute(actor, call.name)
            return method(*call.args, **call.kwargs)
        case "get":
            return _attribute(actor, call.name)
        case "set":
            setattr(actor, call.name, *call.args)
            return None
        case _:
            raise InvalidInputError(f"verb = {call.verb!r}: expected call, get, set or describe")


def _public(actor: object, base: type) -> list[str]:
    reserved = _reserved(base)
    return [name for name in dir(actor) if not name.startswith("_") and name not in reserved]


def _reserved(base: type) -> set[str]:
    """What every actor has: methods, and the attributes that its classes declare."""
    declared = {name for cls in base.__mro__ for name in getattr(cls, "__annotations__", ())}
    return declared | set(dir(base))


def _attribute(actor: object, name: str) -> Any:
    try:
        return getattr(actor, name)
    except AttributeError:
        raise InvalidInputError(f"{type(actor).__name__} has no attribute {name!r}") from None
