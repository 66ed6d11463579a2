"""What the root is asked and answers about moves of the data to another backend."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "ForgetSwapped",
    "GetSwap",
    "GetSwaps",
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


class SwapStatus(msgspec.Struct, frozen=True):
    """``rows`` of ``total`` are at the target, ``rate`` of them a second, ``remaining`` seconds.

    ``behind`` rows were added or changed since and are not there yet.  ``source`` and ``target``
    in words that hold no secret.
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


class SwappedForgotten(msgspec.Struct, frozen=True, array_like=True, tag="swapped_forgotten"):
    """What was deleted, or would be: each by its name."""

    what: list[str]
