"""One accepted connection: the socket under an intake.

Owns bytes in flight and nothing else; what was read and not handled when the process dies is sent
again by its sender.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from holdfast.actors.delivery import Delivery
from holdfast.actors.frames import FrameReader
from holdfast.actors.intake import CopyError, Intake
from holdfast.actors.reactor import READ, WRITE, Reactor, Timer
from holdfast.actors.receiver import Receiver
from holdfast.errors import ProtocolError

__all__ = ["Connection"]

# An answer over a quarter of what the kernel holds for a socket by default, once there is one, gets
# room: else each quarter of it costs a wake-up on both sides.
LARGE: Final = 64 * 1024
SEND_BUFFER: Final = 4 * 1024 * 1024
GRACE: Final = 30.0  # seconds that bytes may stay unread by a peer before it is cut off
PATIENCE: Final = 30.0  # seconds for a greeting, and for the rest of a frame
GREETING: Final = 64 * 1024  # bytes; who has not greeted yet sends no more in one frame


class Connection:
    """Reads frames into the intake and writes what the intake has to say; never blocks."""

    def __init__(
        self,
        sock: socket.socket,
        *,
        reactor: Reactor,
        receiver: Receiver,
        deliver: Callable[[Sequence[Delivery]], None],
        wake: Callable[[Connection], None],
        closed: Callable[[Connection, str], None],
        holds: Callable[[Connection, int], None],
    ) -> None:
        self.sock = sock
        self.intake = Intake(receiver, wake=lambda: wake(self))
        self._reactor = reactor
        self._deliver = deliver
        self._closed = closed
        self._holds = holds  # gets the size of an unfinished frame, and 0 once it is finished
        self._max_frame = receiver.max_frame
        self._reader = FrameReader(max_frame=min(GREETING, receiver.max_frame))
        self._frames = 0  # that have come
        self._held = 0  # bytes of one that has not come to its end
        self._lingers: Timer | None = reactor.later(
            PATIENCE, partial(self._look_whether_it_goes_on, 0)
        )
        self._unsent = b""
        self._is_wide = False
        self._grace: Timer | None = None
        reactor.add(sock.fileno(), READ, self._on_ready)

    @property
    def has_greeted(self) -> bool:
        """It is known whose it is."""
        return bool(self.intake.sender)

    def read_rest(self) -> None:
        """Take in everything that has arrived, until there is no more or the end."""
        while not self.intake.closed and self._read():
            pass

    def flush(self) -> None:
        """Send what can be sent now; wait for room for the rest."""
        if self.intake.closed or not (self._unsent or self.intake.has_output):
            return
        data = self.intake.take_output()
        if self._unsent:
            data = self._unsent + data
        if not data:
            return
        if len(data) > LARGE and not self._is_wide:
            self._is_wide = True
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.close(f"broke while it was written: {error}")
            return
        had_rest, self._unsent = bool(self._unsent), data[sent:]
        if self._unsent:
            if sent or self._grace is None:
                self._restart_grace()
            if not had_rest:
                self._reactor.modify(self.sock.fileno(), READ | WRITE)
        elif had_rest:
            self._stop_grace()
            self._reactor.modify(self.sock.fileno(), READ)
        if self.intake.is_refused:
            self.close("refused")

    def close(self, reason: str) -> None:
        """Close; what the sender has not had acknowledged it will send again."""
        if self.intake.closed:
            return
        self._stop_grace()
        if self._lingers is not None:
            self._lingers.cancel()
        self._reactor.remove(self.sock.fileno())
        self.intake.close()
        self.sock.close()
        # What it holds of a frame and of answers, up to megabytes, does not wait for the collector.
        self._reader, self._unsent = FrameReader(), b""
        self._closed(self, reason)

    def _on_ready(self, events: int) -> None:
        if events & ~WRITE:
            self._read()
        if events & WRITE:
            self.flush()

    def _read(self) -> bool:
        """Whether there may be more to read."""
        try:
            payloads = self._reader.read(self.sock)
            if payloads is None:
                self.close("ended")
                return False
            for payload in payloads:
                self._deliver(self.intake.receive(payload))
                if self.intake.closed:
                    return False
            self._note(len(payloads))
        except BlockingIOError:
            return False
        except OSError as error:
            self.close(f"broke while it was read: {error}")
            return False
        except CopyError as error:  # whoever hears of it is not who sent it
            self.close(f"is {error}")
            return False
        except ProtocolError as error:
            self.intake.refuse(error)
            self.flush()
            self.close(f"refused: {error}")
            return False
        return not self.intake.closed

    def _note(self, frames: int) -> None:
        """So many have come, and perhaps a part of the next one."""
        if not self._frames and frames:
            self._reader.max_frame = self._max_frame  # it has greeted
        self._frames += frames
        held = self._reader.held
        if held or self._held:
            if frames:
                self._holds(self, 0)  # what is held now is younger than what others hold
            self._held = held
            self._holds(self, held)
            if self._lingers is None and held and not self.intake.closed:
                look = partial(self._look_whether_it_goes_on, self._frames)
                self._lingers = self._reactor.later(PATIENCE, look)

    def _look_whether_it_goes_on(self, frames: int) -> None:
        """A frame whose rest does not come, or a peer that says nothing, is a broken one."""
        self._lingers = None
        if not self.has_greeted:
            self.close(f"unknown: it has not greeted for {PATIENCE:.0f} s")
        elif self._held and self._frames == frames:
            self.close(f"unfinished: the rest of a frame has not come for {PATIENCE:.0f} s")
        elif self._held:
            look = partial(self._look_whether_it_goes_on, self._frames)
            self._lingers = self._reactor.later(PATIENCE, look)

    def _restart_grace(self) -> None:
        self._stop_grace()
        reason = f"left bytes unread for {GRACE:.0f} s"
        self._grace = self._reactor.later(GRACE, lambda: self.close(reason))

    def _stop_grace(self) -> None:
        if self._grace is not None:
            self._grace.cancel()
            self._grace = None
