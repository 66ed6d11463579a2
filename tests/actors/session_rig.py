"""The sessions actor without a process: its time, its writer and its death are the test's to say.

The actor, the database and its files are the real ones; only the sockets between them are not.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from holdfast.actors.delivery import LATER, Joined
from holdfast.actors.host import construct
from holdfast.actors.mailbox_link import Answered
from holdfast.actors.messages import writer
from holdfast.actors.sessions import SessionLimits, SessionsActor
from holdfast.errors import DiskFullError, HoldfastError
from holdfast.storage.memory_sessions import MemorySessions
from holdfast.storage.records import EventFilter, Origin, StoredEvent
from holdfast.storage.session_ports import SessionFront
from holdfast.storage.sqlite import SqliteDatabase, SqliteReader
from tests.clock import ManualClock

LIMITS = {
    "ttl": 100.0,
    "ttl_jitter": 0.0,
    "maxsize": 4,
    "max_bytes": 10**6,
    "store_max_sessions": 0,
    "store_max_bytes": 0,
    "cache_ttl": 100.0,
    "cache_maxsize": 10,
    "cache_max_bytes": 10**6,
    "cache_refresh_ahead": 0.0,
}


class Connection:
    """What an intake is to a delivery: it may end."""

    closed = False


class Asked:
    """A delivery whose answer the test looks at."""

    redelivered = False
    skip = 0
    acked = 0

    def __init__(self, message: Any, *, number: int = 0, intake: Connection | None = None) -> None:
        self.kind = "command" if number else "ask"
        self.sender, self.incarnation, self.number = "test", "1", number
        self.message = message
        self.intake = intake or Connection()
        self.answers: list[Any] = []

    def set(self, value: Any = None) -> None:
        if value is not LATER:
            self.answers.append(value)

    def set_exception(self, exc_info: Any = None) -> None:
        self.answers.append(exc_info[1])

    def set_aside(self) -> None:
        pass


class Rig:
    """Its parts are a mailbox and a link to the writer to the actor."""

    name = "sessions"

    def __init__(
        self,
        path: Path,
        clock: ManualClock,
        front: Callable[[str], SessionFront] = lambda _incarnation: MemorySessions(),
        **limits: Any,
    ) -> None:
        self.path = path
        self.make_front = front
        self.clock = clock
        self.limits = SessionLimits(**(LIMITS | limits))
        self.database = SqliteDatabase(path, daemon="d", durability="committed", clock=clock)
        self.reader = SqliteReader(path)  # the test's own
        self.current: Any = None
        self.commanded = 0
        self.life = 0
        self.start()

    # -- the mailbox --------------------------------------------------------------------------

    def link(self, _to: str) -> Rig:
        return self

    def after(self, delay: float, message: object) -> None:
        self.timers.append((self.clock.monotonic() + delay, message))

    def ask(self, message: object, *, context: object) -> None:
        self.outbox.append((message, context))

    def command(self, message: Any, *, context: object) -> None:
        self.commands += 1
        origin = Origin("sessions", str(self.life), "writer", self.commands, 0, True)
        self.outbox.append((type(message)(**_fields(message) | {"origin": origin}), context))

    # -- the test -----------------------------------------------------------------------------

    def start(self) -> None:
        """Another life of the actor; it is not done with the start until ``work``."""
        self.life += 1
        self.commands = 0
        self.timers: list[tuple[float, object]] = []
        self.outbox: deque[tuple[Any, Any]] = deque()
        self.front = self.make_front(f"1.{self.life}")
        self.actor = construct(
            SessionsActor,
            mailbox=self,  # type: ignore[arg-type]  # all that the actor uses of one
            open_reader=partial(SqliteReader, self.path),
            front=self.front,
            limits=self.limits,
            incarnation=f"1.{self.life}",
            clock=self.clock,
        )
        self.actor.on_start()

    def kill(self, *, arrived: int = 0) -> None:
        """The actor dies; the first ``arrived`` of what it has sent reach the writer all the same.

        Another one starts.
        """
        for message, _ in list(self.outbox)[:arrived]:
            self._write(message)
        if self.actor._reader is not None:
            self.actor._reader.close()
        self.front.close()
        self.start()

    def send(self, message: Any, **options: Any) -> Asked:
        """Hand it to the actor; the answer may come later."""
        delivery = self.current = Asked(message, **options)
        try:
            delivery.set(self.actor.on_receive(message))
        except HoldfastError as error:
            delivery.answers.append(error)
        finally:
            self.current = None
        return delivery

    def call(self, message: Any, **options: Any) -> Any:
        """The answer, with all that the writer has to do for it."""
        delivery = self.send(message, **options)
        self.work()
        (answer,) = delivery.answers
        return answer

    def work(self) -> None:
        """The writer carries out what was sent, and answers."""
        while self.outbox:
            message, context = self.outbox.popleft()
            self.actor.on_receive(Answered(context, self._write(message)))

    def refuse(self) -> None:
        """The writer carries out nothing of what was sent: there is no room."""
        while self.outbox:
            _, context = self.outbox.popleft()
            self.actor.on_receive(Answered(context, DiskFullError("no room")))

    def advance(self, seconds: float) -> None:
        """Time passes, timers fire, the writer keeps up."""
        end = self.clock.monotonic() + seconds
        self.work()
        while True:
            due = sorted((t for t in self.timers if t[0] <= end), key=lambda timer: timer[0])
            if not due:
                break
            self.timers.remove(due[0])
            self.clock.advance(max(0.0, due[0][0] - self.clock.monotonic()))
            self.actor.on_receive(due[0][1])
            self.work()
        self.clock.advance(end - self.clock.monotonic())

    def told(self) -> list[StoredEvent]:
        """The events in the database."""
        return self.reader.events(EventFilter(), 10_000)

    def close(self) -> None:
        if self.actor._reader is not None:
            self.actor._reader.close()
        self.front.close()
        self.reader.close()
        self.database.close()

    def _write(self, message: Any) -> Any:
        if isinstance(message, writer.GetPosition):
            return writer.PositionIs(self.database.position())
        assert not isinstance(message, Joined)
        (outcome,) = self.database.apply([message])
        return outcome


def _fields(message: Any) -> dict[str, Any]:
    return {name: getattr(message, name) for name in message.__struct_fields__}
