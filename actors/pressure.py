"""What the log does about overload: counts what it does not keep, switches the mode, tells of it.

Lost with the log's process: the counts of this life; the losses themselves are rows of
``dropped``.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from loguru import logger

from holdfast.actors.blocks import Block
from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages import writer
from holdfast.actors.messages.log import Mode
from holdfast.actors.overload import CALM, Overload, Switch, Thresholds
from holdfast.actors.relays import Frame, Relays
from holdfast.storage import jsontext
from holdfast.storage.records import Event, Origin

__all__ = ["LookForCalm", "Pressure"]


class LookForCalm(msgspec.Struct, frozen=True):
    """The mode is not "async": it may be time to let the senders go."""


class Pressure:
    """The log's; ``hand_over`` sends the writer what waits in ``relays``."""

    def __init__(
        self,
        *,
        overload: Overload,
        relays: Relays,
        mailbox: Mailbox,
        stream: str,
        hand_over: Callable[[], None],
    ) -> None:
        self.dropped = 0  # events, in this life
        self._overload = overload
        self._relays = relays
        self._mailbox = mailbox
        self._stream = stream
        self._hand_over = hand_over
        self._told = 0  # of the dropped ones, in notices
        self._notices = 0  # sent, which numbers them

    @property
    def mode(self) -> Mode:
        """How events are taken in now."""
        return self._overload.mode

    @property
    def is_dropping(self) -> bool:
        """What comes now is not kept."""
        return self._overload.is_dropping

    def adopt(self, thresholds: Thresholds) -> None:
        """Judge by these from now on."""
        self._overload.thresholds = thresholds
        self.look()

    def look(self) -> None:
        """Something was added or settled."""
        switch = self._overload.look(self._relays.load)
        if switch is not None:
            self._switched(switch)

    def look_for_calm(self) -> None:
        """LookForCalm has come."""
        switch = self._overload.look_for_calm(self._relays.load)
        if switch is not None:
            self._switched(switch)
        if self.mode != "async":
            self._mailbox.after(CALM, LookForCalm())

    def _switched(self, switch: Switch) -> None:
        flushed = self._relays.bury_all("overload:flush") if switch.now == "flush" else 0
        self.dropped += flushed
        self._mailbox.narrow(switch.now != "async" and self._overload.thresholds.sync_at > 0)
        if switch.before == "async":
            self._mailbox.after(CALM, LookForCalm())
        logger.warning("overload: {} events wait, mode {}", switch.load, switch.now)
        lost, self._told = self.dropped - self._told, self.dropped
        counts = {"load": switch.load, "dropped": lost, "flushed": flushed}
        self.tell("log:overload", {"mode": switch.now, "before": switch.before, **counts})

    def tell(self, type: str, data: dict[str, object]) -> None:
        """An event of the log's own, in a numbering of its own; never dropped."""
        self._notices += 1
        incarnation = self._mailbox.incarnation
        event = Event(
            time_us=self._mailbox.time_us(),
            type=type,
            source="log",
            key=f"{type.removeprefix('log:')}:{incarnation}:{self._notices}",
            data=jsontext.encode(data),
        )
        block = Block(msgspec.msgpack.encode([event]))
        origin = Origin("log", incarnation, self._stream, self._notices)
        self._relays.add(Frame(writer.Relay(origin, msgspec.Raw(block.raw)), 1, block, None))
        self._hand_over()
