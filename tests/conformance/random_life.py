"""A writer's life at random: commands of every kind, with values that are hard to hold.

Not by hypothesis: a life has hundreds of commands, and what went wrong is found by its seed.
"""

from __future__ import annotations

import random
from itertools import count
from typing import Any, Final

from msgspec.structs import replace

from holdfast.storage import parts
from holdfast.storage.checkpoint_records import (
    ClaimThread,
    ForkCheckpoint,
    Part,
    Piece,
    PinCheckpoint,
    PruneCheckpoints,
    StoreCheckpoint,
    StoreParts,
)
from holdfast.storage.ports import Database
from holdfast.storage.records import (
    AppendEvents,
    DeadLetter,
    DeleteDeadLetter,
    Event,
    KeepAnswer,
    Origin,
    SkipEvents,
    StoreDeadLetter,
)
from holdfast.storage.retention_records import Retention, Rule
from holdfast.storage.session_records import Session, SessionItem, SessionUse, StoreSessions
from holdfast.storage.state_records import (
    ChangeState,
    CreateEntity,
    DefineType,
    DeleteEntity,
    DeleteQueue,
    Pop,
    Push,
    Relate,
    Unrelate,
    UpdateEntity,
)
from holdfast.storage.stream_records import AppendStream
from holdfast.storage.subscriber_records import AcknowledgeEvents, RemoveSubscriber, StoreSubscriber
from tests.clock import ManualClock
from tests.storage.making import event

# Events of type t and u are deleted all the time, and their keys are free again then.
KEPT: Final = Retention((Rule("t", max_count=3), Rule("u", max_count=1)), ignore_subscribers=True)
PAYLOAD: Final = 2_000  # bytes

IDS: Final = ("a", "B", "b", "é", "%s\1", "z\0")
KEYS: Final = (None, "k", "K", "\1\0")
BIG: Final = 10**400
VALUES: Final = (
    "null", "true", "0", "-0.0", "1e20", "0.1", str(2**53 + 1), str(BIG), str(-BIG), '"\\u0000"',
    '"\\u0001\\u0002"', '"\U0001f600"', f'"{"é" * 300}"', "[1,[]]", '{"$bytes":"/wA="}', "9e-300",
)  # fmt: skip
DATAS: Final = ("{}", '"\\u0000"', '{"a":1e20}', "-0.0", f'"{"é" * 9_000}"', f'"{"x" * 3_000}"')
BLOBS: Final = (b"", b"\xff\0", b"x" * 2_000, b"\1")


class Life:
    """What is told to one writer after the other; ``seed`` is all that it depends on."""

    def __init__(self, seed: int, clock: ManualClock) -> None:
        self.chances = random.Random(seed)
        self._clock = clock
        self._numbers = {"one": count(1), "two": count(1), "skipping": count(1)}
        self._kinds = (
            self._state, self._state, self._events, self._events, self._sessions,
            self._checkpoints, self._streams, self._subscribers, self._letters, self._others,
        )  # fmt: skip

    def tell(self, database: Database, times: int) -> None:
        """Some commands; of what is refused nothing is stored."""
        for _ in range(times):
            chance = self.chances.random()
            if chance < 0.1:
                database.retain(1.0)
            elif chance < 0.15:
                self._clock.advance(2.0)
            elif chance < 0.17:
                database.forget("skipping", "1.1")
                self._numbers["skipping"] = count(1)
            else:
                database.apply([self._numbered(self._one(self._kinds)())])

    def _one(self, choices: Any) -> Any:
        return self.chances.choice(choices)

    def _numbered(self, command: Any) -> Any:
        if command.origin is not None or self.chances.random() < 0.4:
            return command
        return replace(command, origin=self._origin(self._one(("one", "two"))))

    def _origin(self, sender: str) -> Origin:
        return Origin(sender, "1.1", "writer", next(self._numbers[sender]))

    def _object(self) -> str:
        names = self.chances.sample(("n", "s", "na'me\\\"", "%s", "\\u0000"), 2)
        return "{" + ",".join(f'"{name}":{self._one(VALUES)}' for name in names) + "}"

    def _state(self) -> Any:
        id, other, type = self._one(IDS), self._one(IDS), self._one(("agent", "\1\2"))
        made = CreateEntity(id, type, self._object(), self._one(("merge", "replace", "refuse")))
        changes: list[Any] = [
            made,
            made,
            UpdateEntity(id, self._object(), [self._one(("n", "s"))]),
            DeleteEntity(id),
            Relate(id, type, other, self._object(), "merge"),
            Unrelate(id, type, other),
            Push(id, self._one(("in", "n\0")), self._one(VALUES), self._one((None, 1.0))),
            Pop(id, "in", 1),
            DeleteQueue(id, "n\0"),
            DefineType(type, self._one((True, False)), self._one((None, 2))),
        ]
        return ChangeState(None, self.chances.sample(changes, 2))

    def _events(self) -> Any:
        return AppendEvents(
            None,
            [
                Event(n, self._one("tuv"), "s", session=self._one((None, "n\0")),
                      key=self._one(KEYS), data=self._one(DATAS))
                for n in range(self._one((1, 2, 5)))
            ],
        )  # fmt: skip

    def _sessions(self) -> Any:
        id, other = self._one(IDS), self._one(IDS)
        put = Session(id, self._one(DATAS), "1.1:1", 1, self._one((1, 9)), 9, 0.1,
                      self._one((None, float("inf"))), self._one(KEYS), "{}", 1, 2)  # fmt: skip
        use = SessionUse(5, 2**63 - 1, self._one(KEYS), "{}", 2, 7, other, 1)
        item = SessionItem(self._one((1, 2)), 5, self._one(KEYS), self._one(DATAS), id, 1)
        return StoreSessions(
            None,
            self._one(([], [put], [put])),
            self._one(([], [], [other])),
            [],
            "answer",
            self._one(([], [use])),
            self._one(([], [item])),
        )

    def _checkpoints(self) -> Any:
        agent, there = self._one(("a", "é\1")), [_part(n) for n in range(4)]
        cut = self.chances.sample(there, 2)
        pieces = [Piece(["x"], [part.name for part in cut], "\\u0000")]
        stored = self._one((
            StoreCheckpoint(None, agent, 0, "null", pieces, there),
            StoreCheckpoint(None, agent, 0, "1e20", [], []),
        ))  # fmt: skip
        return self._one((
            stored,
            stored,
            StoreParts(None, cut),
            ForkCheckpoint(None, agent, 1, self._one("fg")),
            PinCheckpoint(None, agent, self._one((1, 2)), self._one(("x", "n\0"))),
            ClaimThread(None, agent, True),
            PruneCheckpoints(None, agent, 1, -1, False, 0, 1, False),
        ))  # fmt: skip

    def _streams(self) -> Any:
        key = self._one((None, None, "k"))
        return AppendStream(None, self._one(("one", "\1")), None, [event(1, type="t", key=key)])

    def _subscribers(self) -> Any:
        return self._one((
            StoreSubscriber(None, self._one(("x", "n\0")), "{}", "me", 0),
            AcknowledgeEvents(None, "x", 1, self._one((0, 3))),
            RemoveSubscriber(None, "n\0"),
        ))  # fmt: skip

    def _letters(self) -> Any:
        letter = DeadLetter(0, self._one(("a", "n\0")), "s", "1.1", "log", self._one((1, 2, 3)),
                            "tell", "why", 1, 5, self._one(BLOBS))  # fmt: skip
        return self._one((StoreDeadLetter(letter), DeleteDeadLetter(self._one((1, 2, 3)))))

    def _others(self) -> Any:
        if self.chances.random() < 0.5:
            return SkipEvents(self._origin("skipping"), 1, "no\0 room")
        return KeepAnswer(self._origin(self._one(("one", "two"))), "an answer\0")


def _part(n: int) -> Part:
    data = bytes([n]) * 10**n
    return Part(parts.name_of(data), len(data), 0, data)
