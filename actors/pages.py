"""Events of the ring as they travel: still encoded as their senders encoded them.

Keeps the blocks that it has cut up, until ``forget``; the fetches of the log own one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

import msgspec

from holdfast.actors.blocks import Block
from holdfast.actors.ring import Held, Ring

__all__ = ["Page", "Pages"]

MOST_BYTES: Final = 1024 * 1024  # in a page, but for its last event


class Page:
    """``events`` with the numbers ``seqs``; all that was asked for up to ``upto`` is in it."""

    __slots__ = ("events", "payloads", "seqs", "size", "upto")

    def __init__(self) -> None:
        self.seqs: list[int] = []
        self.events: list[msgspec.Raw] = []
        self.payloads: dict[int, str] = {}  # by index, where the data is that is not here
        self.size = 0  # bytes, at most
        self.upto = 0

    @property
    def is_full(self) -> bool:
        """No more goes into it."""
        return self.size > MOST_BYTES


class Pages:
    """Makes pages of the events in ``ring``."""

    def __init__(self, ring: Ring) -> None:
        self._ring = ring
        self._bodies: dict[int, list[msgspec.Raw]] = {}  # of blocks, by identity

    def page(self, seqs: Sequence[int]) -> Page:
        """The events of those numbers that there are, in order, as many as fit."""
        page, at = Page(), 0
        if not seqs:
            return page
        for held in self._ring.since(seqs[0] - 1):
            upto = bisect_left(seqs, held.seqs[-1] + 1, at)
            if upto > at:
                self._add(page, held, held.indexes(seqs[at:upto]))
                if page.is_full:
                    return page
            at = upto
            if at == len(seqs):
                break
        page.upto = seqs[-1]  # what the ring does not have of them was deleted meanwhile
        return page

    def forget(self) -> None:
        """Let go of what was cut up: blocks may go, and others come in their place."""
        self._bodies.clear()

    def _add(self, page: Page, held: Held, indexes: Sequence[int]) -> None:
        block, bodies, refs = held.block, self._split(held.block), held.block.payloads
        # As a whole when it fits: to weigh each would take longer than to send it.
        fits = page.size + block.size <= MOST_BYTES and len(indexes) * 4 > block.count
        page.size += block.size if fits else 0
        for index in indexes:
            if refs and (ref := refs.get(index)) is not None:
                page.payloads[len(page.events)] = ref
            page.events.append(bodies[index])
            page.seqs.append(held.seqs[index])
            page.upto = held.seqs[index]
            if not fits:
                page.size += len(memoryview(bodies[index]))
                if page.is_full:
                    return

    def _split(self, block: Block) -> list[msgspec.Raw]:
        """Its events one by one; once for all who are answered together."""
        bodies = self._bodies.get(id(block))
        if bodies is None:
            bodies = self._bodies[id(block)] = block.bodies()
        return bodies
