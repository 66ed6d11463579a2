"""What the root is asked and answers about moves of the data to another backend."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "CancelSwap",
    "ForgetSwapped",
    "GetSwap",
    "GetSwaps",
    "SwapCancelled",
    "SwapIs",
    "SwapPhase",
    "SwapRecord",
    "SwapStatus",
    "SwapSum",
    "SwappedForgotten",
    "SwapsAre",
]

# In their order.  After "committing" nothing goes back; "recovering" is by a root that was started
# after one that was killed in the middle.
SwapPhase = Literal[
    "preparing",
    "copying",
    "following",
    "holding",
    "finishing",
    "committing",
    "releasing",
    "verifying",
    "done",
    "undoing",
    "recovering",
]


class GetSwap(msgspec.Struct, frozen=True, array_like=True, tag="get_swap"):
    """How far is the swap that is under way?  Reply: SwapIs."""


class GetSwaps(msgspec.Struct, frozen=True, array_like=True, tag="get_swaps"):
    """Which swaps were there, the newest last, at most so many?  Reply: SwapsAre."""

    limit: int = 100


class ForgetSwapped(msgspec.Struct, frozen=True, array_like=True, tag="forget_swapped"):
    """Delete what swaps have left: old data that is labelled so, and half-filled targets.

    With ``dry_run`` only name it.  Reply: SwappedForgotten, when all is gone, which may take
    minutes; ReloadError while a swap, or another reload, is under way.
    """

    dry_run: bool = False


class CancelSwap(msgspec.Struct, frozen=True, array_like=True, tag="cancel_swap"):
    """Give up the swap that is under way, or was cut off, and delete what it had filled.

    Reply: SwapCancelled, when the database is what it was; ReloadError when there is none, or when
    its commit point is written.
    """


class SwapStatus(msgspec.Struct, frozen=True):
    """``rows`` of ``total`` are at the target, ``rate`` of them a second, ``remaining`` seconds.

    ``behind`` rows were added or changed since and are not there yet.  ``source`` and ``target``
    in words that hold no secret.  ``resumed`` rows were there before, by a try that was cut off;
    ``anew``: why such a one was not gone on with.  ``is_cut``: it is not under way, it was cut off
    in this phase, and the next reload goes on with it.
    """

    swap: str
    source: str
    target: str
    phase: SwapPhase
    seconds: float = 0.0
    table: str = ""
    rows: int = 0
    total: int = 0
    bytes: int = 0
    behind: int = 0
    rate: float = 0.0
    remaining: float | None = None
    resumed: int = 0
    anew: str = ""
    is_cut: bool = False


class SwapSum(msgspec.Struct, frozen=True):
    """One table as it was moved; ``checksum`` of all its rows, whatever their order."""

    table: str
    rows: int
    checksum: str


class SwapRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One swap that is over.

    ``phase`` it came to, and what is wrong where it failed; ``pause`` seconds from the first actor
    that was stopped to the last one that was ready; ``tail`` rows moved in it.  ``old`` is where
    the old data is.  ``parts`` of the pause, in seconds: stop, move, commit, start.
    ``verified``: it was read once more, all of it, and is what was moved.
    ``resumable``: cut off, and the next reload goes on with it.  ``resumed`` rows were there
    before, by tries that were cut off; ``copied`` were written by this one.  ``anew``: why such a
    try was not gone on with.
    """

    swap: str
    part: Literal["database", "sessions"]
    source: str
    target: str
    began: str
    seconds: float
    ok: bool
    phase: SwapPhase
    trigger: str = ""
    mode: str = "copy"
    rows: int = 0
    copied: int = 0
    resumed: int = 0
    anew: str = ""
    resumable: bool = False
    bytes: int = 0
    tail: int = 0
    pause: float = 0.0
    parts: dict[str, float] = {}
    last_seq: int = 0
    tables: list[SwapSum] = []
    old: str = ""
    verified: bool = False
    error: str = ""


class SwapIs(msgspec.Struct, frozen=True, array_like=True, tag="swap"):
    """The swap under way, None when there is none; the commit point, in words."""

    status: SwapStatus | None
    backend: str
    since: str


class SwapsAre(msgspec.Struct, frozen=True, array_like=True, tag="swaps"):
    """The oldest first."""

    swaps: list[SwapRecord]


class SwapCancelled(msgspec.Struct, frozen=True, array_like=True, tag="swap_cancelled"):
    """This one; ``what`` it had filled and is deleted; ``left`` is why something of it is not."""

    swap: str
    what: list[str]
    left: str = ""


class SwappedForgotten(msgspec.Struct, frozen=True, array_like=True, tag="swapped_forgotten"):
    """What was deleted, or would be: each by its name."""

    what: list[str]
