"""The calls about children and their supervisors: what they send, how the replies read.

OTP's names.  Nothing is kept here.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeVar

import msgspec

from holdfast.actors.calls import Ask, Now, Steps
from holdfast.actors.messages.supervisor import (
    ChildCount,
    ChildIs,
    Children,
    ChildStatus,
    CountChildren,
    DeleteChild,
    GetReports,
    Locate,
    Located,
    Reload,
    Reloaded,
    Report,
    ReportsAre,
    RestartChild,
    StartChild,
    TerminateChild,
    WhichChildren,
    reply_of,
)
from holdfast.actors.messages.swap import (
    CancelSwap,
    ForgetSwapped,
    GetSwap,
    GetSwaps,
    SwapCancelled,
    SwapIs,
    SwappedForgotten,
    SwapRecord,
    SwapsAre,
)
from holdfast.errors import DeliveryError, InvalidInputError

__all__ = [
    "ROOT",
    "cancel_swap",
    "count_children",
    "delete_child",
    "forget_swapped",
    "read_reply",
    "reload",
    "reports",
    "restart_child",
    "start_child",
    "supervisor_of",
    "swap",
    "swaps",
    "terminate_child",
    "which_children",
]

ROOT: Final = "root"  # knows whose child everybody is

T = TypeVar("T")


def which_children(supervisor: str = ROOT, *, timeout: float = 30.0) -> Steps[list[ChildStatus]]:
    """The direct children of a supervisor, in start order, as it knows them now."""
    return read_reply((yield Ask(supervisor, WhichChildren(), timeout)), Children).children


def count_children(supervisor: str = ROOT, *, timeout: float = 30.0) -> Steps[ChildCount]:
    """How many direct children there are: specs, active, supervisors, workers."""
    return read_reply((yield Ask(supervisor, CountChildren(), timeout)), ChildCount)


def start_child(
    name: str,
    table: dict[str, Any],
    *,
    supervisor: str = "agents",
    kind: Literal["agent", "supervisor"] = "agent",
    timeout: float = 60.0,
) -> Steps[ChildStatus]:
    """Add a child behind those that are there and start it; its status, once it is ready.

    ``table`` has the keys of ``[agents.NAME]`` in a config, ``class`` first of all; of
    ``[supervisors.NAME]`` for a ``kind`` of "supervisor".  It lasts as long as its supervisor: the
    next life of that has the children of the config.  Raises ConfigError, ChildError; StartError,
    and then it is not kept; ActorDied when the supervisor died meanwhile.
    """
    if not isinstance(table, dict):
        raise InvalidInputError(f"table = {table!r}: expected a dict, as {{'class': 'm:Agent'}}")
    order = StartChild(name, table, kind)
    return read_reply((yield Ask(supervisor, order, timeout, idempotent=False)), ChildIs).status


def terminate_child(name: str, *, timeout: float = 60.0) -> Steps[ChildStatus]:
    """Stop a child, and do not restart it; its status, once it is down.

    What is sent to it waits at its senders; a temporary child is no child any more, and that
    becomes dead letters.  Raises UnknownActorError, ChildError.
    """
    return (yield from _order(name, TerminateChild(name), timeout))


def restart_child(name: str, *, timeout: float = 60.0) -> Steps[ChildStatus]:
    """Start a child that is down; its status, once it is ready.

    Raises UnknownActorError, ChildError, and StartError: it is down again then.
    """
    return (yield from _order(name, RestartChild(name), timeout))


def delete_child(name: str, *, timeout: float = 60.0) -> Steps[ChildStatus]:
    """Forget a child that is down; its last status.  Raises UnknownActorError, ChildError."""
    return (yield from _order(name, DeleteChild(name), timeout))


def reports(
    supervisor: str = ROOT, *, after: int | None = None, timeout: float = 30.0
) -> Steps[list[Report]]:
    """What a supervisor has reported after number ``after``; waits until there is something.

    Without ``after`` all that it remembers (1,000), at once.  Numbers count from 1 in each life of
    the supervisor.  Raises AskTimeout when nothing came.
    """
    request = GetReports(-1 if after is None else after)
    return read_reply((yield Ask(supervisor, request, timeout)), ReportsAre).reports


def reload(*, dry_run: bool = False, timeout: float = 300.0) -> Steps[Reloaded]:
    """Have the daemon read its config file again and be what it says; what was done.

    With ``dry_run`` everything is checked and nothing done; changes that no reload makes are in
    ``refusals`` then.  Raises ConfigError, ReloadError: all is as it was.  After AskTimeout the
    reload goes on.
    """
    ask = Ask(ROOT, Reload(dry_run), timeout, idempotent=False)
    return read_reply((yield ask), Reloaded)


def swap(*, timeout: float = 30.0) -> Steps[SwapIs]:
    """Where the data is, and how far the swap is that is under way, if there is one."""
    return read_reply((yield Ask(ROOT, GetSwap(), timeout)), SwapIs)


def swaps(*, limit: int = 100, timeout: float = 30.0) -> Steps[list[SwapRecord]]:
    """The newest swaps that are over, the oldest of them first."""
    return read_reply((yield Ask(ROOT, GetSwaps(limit), timeout)), SwapsAre).swaps


def cancel_swap(*, timeout: float = 120.0) -> Steps[SwapCancelled]:
    """Give up the swap that is under way, or was cut off, and delete what it had filled.

    Raises ReloadError when there is none, or when the data is at its new place already.
    """
    ask = Ask(ROOT, CancelSwap(), timeout, idempotent=False)
    return read_reply((yield ask), SwapCancelled)


def forget_swapped(*, dry_run: bool = False, timeout: float = 300.0) -> Steps[list[str]]:
    """Delete what swaps have left, old data and half-filled targets; the names of all that.

    With ``dry_run`` nothing is deleted.  Raises ReloadError.  After AskTimeout it goes on.
    """
    ask = Ask(ROOT, ForgetSwapped(dry_run), timeout, idempotent=False)
    return read_reply((yield ask), SwappedForgotten).what


def supervisor_of(name: str, timeout: float) -> Steps[str]:
    """Whose child an actor is.  Raises UnknownActorError."""
    return read_reply((yield Ask(ROOT, Locate(name), timeout)), Located).supervisor


def _order(name: str, message: object, timeout: float) -> Steps[ChildStatus]:
    began = yield Now()
    supervisor = yield from supervisor_of(name, timeout)
    rest = max(0.0, timeout - ((yield Now()) - began))
    return read_reply((yield Ask(supervisor, message, rest, idempotent=False)), ChildIs).status


def read_reply(reply: Any, wanted: type[T]) -> T:
    """What a supervisor answered.  Raises DeliveryError if it is no ``wanted``."""
    try:
        value = reply_of(reply)
    except msgspec.ValidationError as error:
        raise DeliveryError(f"the reply of a supervisor could not be read: {error}") from error
    if not isinstance(value, wanted):
        raise DeliveryError(f"a supervisor answered {type(value).__name__}, not {wanted.__name__}")
    return value
