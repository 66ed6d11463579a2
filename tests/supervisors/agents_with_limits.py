"""Agents for trees under test that take more than they may have."""

from __future__ import annotations

import os
from contextlib import suppress

from holdfast.actors.host import HostedActor

MUCH = 1 << 30  # bytes


class Takes(HostedActor):
    """Takes memory when it is told to, the way it is told.

    Also when it starts, while the file ``when`` exists.
    """

    def __init__(self, *, when: str = "") -> None:
        super().__init__()
        self._when = when
        self._taken: list[bytes] = []

    def on_start(self) -> None:
        if self._when and os.path.exists(self._when):
            self._take_slowly()

    def on_receive(self, message: object) -> object:
        match message:
            case "slowly":
                self._take_slowly()
            case "at once":
                self._taken.append(bytes(MUCH))
            case "in a frame":
                local = []
                while True:
                    local.append(bytearray(10_000))
            case "and say another thing":
                try:
                    self._taken.append(bytes(MUCH))
                except MemoryError as error:
                    raise RuntimeError("it is not my day") from error
            case "something else":
                raise RuntimeError("the moon is wrong")
        return message

    def _take_slowly(self) -> None:
        """Until not even a small thing can be had."""
        for size in (1_000_000, 10_000):
            with suppress(MemoryError):
                while True:
                    self._taken.append(bytes(size))
        while True:
            self._taken.append(os.urandom(100))
