"""Agents for trees under test that take more than they may have."""

from __future__ import annotations

import os

from holdfast import Agent
from holdfast.actors.host import HostedActor

MUCH = 1 << 30  # bytes


def take_all(taken: list[object]) -> None:
    """Until nothing of any size can be had, as far as that goes."""
    chain: object = None  # a list would fail to grow, and leave what it had asked for
    for size in (1_000_000, 50_000, 4_000, *range(500, 0, -16)):
        try:
            while True:
                chain = taken[0] = (chain, bytes(size))
        except MemoryError:
            if size < 16:
                raise


class EmitsAndTakes(Agent):
    """Emits what it is told, and then wants more memory than there is."""

    def __init__(self) -> None:
        super().__init__()
        self._taken: list[object] = [None]

    def on_receive(self, message: object) -> None:
        self.hub.events.emit("last:words", {"said": str(message)})
        take_all(self._taken)


class Takes(HostedActor):
    """Takes memory when it is told to, the way it is told.

    Also when it starts, while the file ``when`` exists.
    """

    def __init__(self, *, when: str = "") -> None:
        super().__init__()
        self._when = when
        self._taken: list[object] = [None]

    def on_start(self) -> None:
        if self._when and os.path.exists(self._when):
            take_all(self._taken)

    def on_receive(self, message: object) -> object:
        match message:
            case "slowly":
                take_all(self._taken)
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
