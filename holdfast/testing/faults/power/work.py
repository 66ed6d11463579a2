"""A writer's life, drawn from a seed: real commands of every concern, and what is told of each.

Owns the state of the senders.  The same seed makes the same commands.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from random import Random
from typing import Final

from holdfast.errors import HoldfastError, StorageError
from holdfast.storage import parts
from holdfast.storage.checkpoint_records import (
    CheckpointStored,
    PinCheckpoint,
    PruneCheckpoints,
    StoreCheckpoint,
)
from holdfast.storage.commands import Command, Outcome
from holdfast.storage.ports import Durability
from holdfast.storage.records import (
    Appended,
    AppendEvents,
    DeadLetter,
    Event,
    KeepAnswer,
    Origin,
    RawEvent,
    SkipEvents,
    StoreDeadLetter,
)
from holdfast.storage.retention_records import Retention, Rule
from holdfast.storage.session_records import Session, SessionItem, StoreSessions
from holdfast.storage.sqlite import SqliteDatabase
from holdfast.storage.state_records import (
    Change,
    ChangeState,
    CreateEntity,
    DefineType,
    DeleteEntity,
    EntityChanged,
    EntityDeleted,
    Pop,
    Push,
    Relate,
    StateChanged,
    Unrelate,
    UpdateEntity,
)
from holdfast.storage.stream_records import AppendStream, StreamAppended
from holdfast.storage.subscriber_records import (
    AcknowledgeEvents,
    EventsAcknowledged,
    StoreSubscriber,
    SubscriberStored,
)
from holdfast.testing.clock import ManualClock
from holdfast.testing.faults.power.dying import abandon
from holdfast.testing.faults.recording import Fact, Recorder, Told

__all__ = ["RETENTION", "Failing", "Open", "Work"]

Open = Callable[[], SqliteDatabase]
Failing = Callable[[], AbstractContextManager[None]]

# Small, so that there is always something to delete and a page to give back.
RETENTION: Final = Retention(
    (Rule("noise:*", max_count=150), Rule("large:*", max_bytes=200_000)), ignore_subscribers=True
)
FEW: Final = 16  # pages of the log that are copied by a pass beside the connection
_INCARNATION: Final = "1.1"
_SENDERS: Final = ("planner", "critic", "coder")
_AGENTS: Final = ("planner", "critic")


class Work:
    """``step`` by ``step``; ``counts`` says how many there were of each kind."""

    def __init__(
        self,
        open_database: Open,
        *,
        durability: Durability,
        random: Random,
        clock: ManualClock,
        recorder: Recorder,
        failing: Failing | None = None,
    ) -> None:
        """Within ``failing`` syncs may fail; the writer dies of it and is opened again."""
        self._open = open_database
        self._durability: Durability = durability
        self._random = random
        self._clock = clock
        self._recorder = recorder
        self._failing = failing or nullcontext
        self._numbers: Counter[tuple[str, str]] = Counter()  # by sender and stream
        self._sessions: dict[str, int] = {}
        self._generation = 0
        self._keys = 0
        self.counts: Counter[str] = Counter()
        self._database: SqliteDatabase
        self.start()

    def start(self) -> None:
        """Open the database."""
        self._database = self._open()
        self._tell(self._database.last_seq)

    def stop(self) -> None:
        """In order: all is in the file then, and there is no log."""
        self._database.close()

    def step(self) -> None:
        """One thing that a writer does: mostly a group of commands in one transaction."""
        self._clock.advance(self._random.random())
        chosen = self._random.choices(
            (
                self._commit,
                self._sync,
                self._force,
                self._retain,
                self._chore,
                self._checkpoint,
                self._restart,
            ),
            (70, 10, 4, 6, 4, 8, 0.5),
        )[0]
        chosen()
        self._database.checkpoint(is_hurried=self._random.random() < 0.7)

    # -- what a writer does -------------------------------------------------------------------

    def _commit(self) -> None:
        makers = (
            self._events,
            self._noise,
            self._large,
            self._entities,
            self._session,
            self._state,
            self._stream,
            self._subscriber,
            self._letter,
            self._answer,
            self._tombstone,
        )
        weights = (8, 4, 1, 5, 4, 3, 3, 1, 1, 1, 0.5)
        size = self._random.choice((1, 1, 1, 1, 2, 5))
        self._apply([make() for make in self._random.choices(makers, weights, k=size)])

    def _force(self) -> None:
        """Sessions that are to be on the disk at once, with no event in between."""
        for _ in range(2):
            self._apply([self._session(is_quiet=True)])
            self._sync()

    def _apply(self, group: list[Command]) -> None:
        outcomes = self._database.apply(group)
        facts: list[Fact] = []
        for command, outcome in zip(group, outcomes, strict=True):
            if isinstance(outcome, StorageError):
                raise outcome
            self.counts[type(command).__name__] += 1
            facts += self._facts(command, outcome)
        self._tell(self._database.last_seq, facts)

    def _tell(self, last_seq: int, facts: list[Fact] | None = None) -> None:
        facts = [*(facts or ()), ("seq", "", last_seq)]
        self._recorder.add(Told(self._durability, facts, is_all=self._durability == "disk"))

    def _sync(self) -> None:
        self.counts["sync"] += 1
        try:
            with self._failing():
                self._sync_somehow()
        except StorageError:
            self.counts["death of a failed sync"] += 1
            abandon(self._database)
            self.start()
        else:
            self._recorder.add(Told("disk", [], is_all=True))

    def _sync_somehow(self) -> None:
        """In one part, or in two as the writer does; by turns, which are no matter of chance."""
        if self.counts["sync"] % 2 == 0:
            self._database.sync()
            return
        if (wait := self._database.begin_sync()) is None:  # the first one after an opening
            self._apply([self._session(is_quiet=True)])
            wait = self._database.begin_sync()
        self.counts["sync beside the connection"] += 1
        if wait is not None:
            wait()

    def _retain(self) -> None:
        self.counts["retention"] += 1
        self._database.retain(self._random.choice((0.0, 1.0)))

    def _chore(self) -> None:
        self.counts["text index"] += 1
        self._database.work_off(0.0)

    def _checkpoint(self) -> None:
        """Of two parts, as the writer has it, with a commit between them, if that is worth it."""
        self.counts["log checkpoint"] += 1
        if work := self._database._wal.begin(FEW):
            self.counts["log checkpoint beside the connection"] += 1
            work()
            self._apply([self._plain()])
        self._database.checkpoint(is_hurried=True)

    def _restart(self) -> None:
        self.counts["stop and start"] += 1
        self.stop()
        self.start()

    # -- commands -----------------------------------------------------------------------------

    def _origin(self, sender: str, stream: str, count: int = 1) -> Origin:
        first = self._numbers[sender, stream] + 1
        self._numbers[sender, stream] += count
        return Origin(sender, _INCARNATION, stream, first, max(0, first - 20))

    def _text(self, size: int) -> str:
        return f'"{self._random.randbytes(size // 2).hex()}"'

    def _event(self, type: str, source: str, data: str) -> RawEvent:
        self._keys += 1
        key = f"k{self._keys}" if self._random.random() < 0.3 else None
        session = f"s{self._keys % 5}" if self._random.random() < 0.5 else None
        now = self._clock.time_us()
        return (now, type, source, None, session, None, None, None, 0, key, data)

    def _frame(self, type: str, sender: str, count: int, size: int) -> AppendEvents:
        events = [self._event(type, sender, self._text(size)) for _ in range(count)]
        return AppendEvents(self._origin(sender, "log", count), events)

    def _plain(self) -> Command:
        """Of which nothing is drawn, so that the seeds go on meaning what they meant."""
        event = (
            self._clock.time_us(),
            "tool:call",
            _SENDERS[0],
            None,
            None,
            None,
            None,
            None,
            0,
            None,
        )
        return AppendEvents(self._origin(_SENDERS[0], "log"), [(*event, "{}")])

    def _events(self) -> Command:
        size = self._random.choice((10, 100, 1_000))
        return self._frame(
            "tool:call", self._random.choice(_SENDERS), self._random.randint(1, 20), size
        )

    def _noise(self) -> Command:
        return self._frame("noise:tick", "noisy", self._random.randint(1, 60), 40)

    def _large(self) -> Command:
        return self._frame("large:result", "noisy", 1, self._random.randint(9_000, 40_000))

    def _tombstone(self) -> Command:
        count = self._random.randint(1, 5)
        return SkipEvents(self._origin("planner", "log", count), count, "outbox full")

    def _entities(self) -> Command:
        sender = self._random.choice(_SENDERS)
        changes: list[Change] = [self._change() for _ in range(self._random.choice((1, 1, 2, 5)))]
        return ChangeState(self._origin(sender, "writer"), changes)

    def _change(self) -> Change:
        one, other = (f"e{self._random.randrange(12)}" for _ in range(2))
        kind = self._random.randrange(20)
        text = f'{{"p": {self._text(20)}, "q": {self._keys}}}'
        match kind:
            case 0:
                return DeleteEntity(one)
            case 1 | 2:
                return Relate(one, "knows", other, on_conflict="merge")
            case 3:
                return Unrelate(one, "knows", other)
            case 4 | 5:
                return Push("inbox", one, self._text(30))
            case 6:
                return Pop("inbox", one, 2)
            case 7:
                return DefineType("task", history=True, keep=5)
            case _ if kind < 12:
                return UpdateEntity(one, increment='{"n": 1}', append='{"l": [1]}')
            case _:
                return CreateEntity(one, "task", text, on_conflict="merge")

    def _session(self, *, is_quiet: bool = False) -> Command:
        """Versions of sessions that are put; one of those that are deleted again has no fact."""
        id, now = f"s{self._random.randrange(6)}", self._clock.time_us()
        version = self._sessions[id] = self._sessions.get(id, 0) + 1
        put = [Session(id, self._text(200), f"1.1:{version}", 5, now, now + 10**9, 1e3)]
        passing = f"passing{self._random.randrange(3)}"
        if self._random.random() < 0.3:
            put.append(Session(passing, "{}", f"1.1:{version}", now, now, now + 10**6, 1.0))
        is_ending = not is_quiet and self._random.random() < 0.3
        gone = [f"passing{self._random.randrange(3)}"] if is_ending else []
        items = [SessionItem(version, now, f"i{version}", self._text(50), id, 5)]
        told = [Event(now, "session:ended", "sessions", passing)] if gone else []
        origin = self._origin("sessions", "writer")
        return StoreSessions(origin, put, gone, told, items=items)

    def _state(self) -> Command:
        """A checkpoint, its large value in parts; or what is done with those that there are."""
        agent, kind = self._random.choice(_AGENTS), self._random.randrange(8)
        if kind == 0:
            return PruneCheckpoints(self._origin(agent, "writer"), agent, 3)
        if kind == 1:
            return PinCheckpoint(self._origin(agent, "writer"), agent, 1, "first")
        state = {"turn": self._keys, "memory": self._text(self._random.choice((10, 20_000)))}
        layout = parts.lay_out(state)
        packed = parts.pack(layout.parts)
        origin = self._origin(agent, "writer")
        return StoreCheckpoint(origin, agent, 0, layout.state, layout.pieces, packed, layout.size)

    def _stream(self) -> Command:
        name = f"stream{self._random.randrange(3)}"
        events = [
            self._event("turn", "critic", self._text(60)) for _ in range(self._random.randint(1, 4))
        ]
        named = [(*event[:3], name, *event[4:]) for event in events]
        return AppendStream(self._origin("critic", "writer"), name, None, named)

    def _subscriber(self) -> Command:
        origin = self._origin("coder", "writer")
        if not self._generation or self._random.random() < 0.2:
            self._generation += 1
            return StoreSubscriber(origin, "reader", "{}", "coder", 0)
        seq = self._database.last_seq
        return AcknowledgeEvents(origin, "reader", self._generation, seq)

    def _letter(self) -> Command:
        number = self._random.randrange(1_000)
        now = self._clock.time_us()
        reason = "poison: killed by signal 9"
        letter = DeadLetter(
            0, "coder", "planner", "1.1", "coder", number, "tell", reason, 2, now, b"\x90"
        )
        return StoreDeadLetter(letter)

    def _answer(self) -> Command:
        return KeepAnswer(self._origin("planner", "writer"), "an answer")

    # -- what is known of them then -----------------------------------------------------------

    def _facts(self, command: Command, outcome: Outcome | HoldfastError) -> list[Fact]:
        """Refusals take their number too."""
        facts: list[Fact] = []
        if (origin := command.origin) is not None:
            count = 1
            if isinstance(command, AppendEvents):
                count = len(command.events)
            elif isinstance(command, SkipEvents):
                count = command.count
            who = f"{origin.sender} {origin.incarnation} {origin.stream}"
            facts.append(("mark", who, origin.first + count - 1))
        match outcome:
            case Appended():
                facts.append(("mark", who, outcome.mark))
            case StateChanged(outcomes=changed):
                assert isinstance(command, ChangeState)
                for asked, change in zip(command.changes, changed, strict=True):
                    if isinstance(change, EntityChanged):
                        facts.append(("entity", change.id, change.version))
                    elif isinstance(asked, DeleteEntity) and isinstance(change, EntityDeleted):
                        facts.append(("entity", asked.id, change.version))
            case CheckpointStored(id=id):
                assert isinstance(command, StoreCheckpoint)
                facts.append(("checkpoint", command.agent, id))
            case StreamAppended(version=version):
                assert isinstance(command, AppendStream)
                facts.append(("stream", command.stream, version))
            case EventsAcknowledged(acked=acked):
                facts.append(("subscriber", "reader", acked))
            case SubscriberStored(generation=generation):
                facts.append(("generation", "reader", generation))
            case _ if isinstance(command, StoreSessions):
                facts += [
                    ("session", session.id, int(session.version.partition(":")[2]))
                    for session in command.put
                    if not session.id.startswith("passing")
                ]
        return facts
