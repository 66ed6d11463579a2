"""What becomes of each command about checkpoints, whatever database keeps them.

A backend derives from it and says how rows are read and written, within the caller's transaction.
Nothing is kept here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from holdfast.clock import Clock
from holdfast.errors import InvalidInputError
from holdfast.storage.checkpoint_pieces import decode_pieces, encode_pieces, names_in
from holdfast.storage.checkpoint_records import (
    DAEMON,
    CheckpointPinned,
    CheckpointsPruned,
    CheckpointStored,
    CheckpointUnpinned,
    ClaimThread,
    EnrolParticipant,
    ForkCheckpoint,
    Owner,
    Part,
    ParticipantEnrolled,
    PartsMissing,
    PartsStored,
    PinCheckpoint,
    PruneCheckpoints,
    StoreCheckpoint,
    StoreParts,
    ThreadClaimed,
    ThreadOwned,
    UnpinCheckpoint,
)
from holdfast.storage.records import Origin

__all__ = ["CheckpointKeeping", "CheckpointRow", "Parts", "Threads"]

MAX_NAME: Final = 256  # characters of the name of a thread or a pin
HOLD_US: Final = 3_600_000_000  # microseconds that a part waits for its checkpoint
NEVER_US: Final = 2**62  # a time that nothing was made after
MOST_PRUNED: Final = 1_000  # checkpoints in one transaction

# The columns of table ``checkpoints``, in order.
CheckpointRow = tuple[str, int, int, str, str | None, int, str | None, int | None]


class Parts(Protocol):
    """What checkpoints are made of: each part once, for as long as a checkpoint names it."""

    def missing(self, names: Iterable[bytes]) -> list[bytes]:
        """Those that are not there."""

    def add(self, parts: Iterable[Part], *, held_us: int) -> None:
        """Keep those that are not there yet, until ``held_us`` whoever refers to them."""

    def refer(self, names: Iterable[bytes]) -> None:
        """One more checkpoint names them."""

    def let_go(self, names: Iterable[bytes], *, now_us: int) -> int:
        """One checkpoint less names each, as often as it is in it; the bytes of those gone."""

    def sweep(self, now_us: int) -> int:
        """Delete some that were put and never used; their bytes."""


class Threads(Protocol):
    """One writer a thread."""

    def enter(
        self, agent: str, origin: Origin, *, takeover: bool = False, evict: int = 0
    ) -> int | Owner:
        """Let a sender write; the fence, or the owner that is in its way."""


class CheckpointKeeping(ABC):
    """States to resume from; every method raises InvalidInputError or the database's own error.

    The caller undoes what was done by then.
    """

    def __init__(self, *, parts: Parts, threads: Threads, clock: Clock) -> None:
        self._parts = parts
        self._threads = threads
        self._clock = clock

    def store(self, command: StoreCheckpoint) -> CheckpointStored | PartsMissing | ThreadOwned:
        """The row that makes it a checkpoint comes last."""
        agent, origin = _checked("agent", command.agent), command.origin
        if origin is not None:
            if origin.sender != "checkpoints":
                _check_is_not_the_daemons(agent)
            entered = self._threads.enter(
                agent, origin, takeover=command.takeover, evict=command.evict
            )
            if not isinstance(entered, int):
                return ThreadOwned(agent, entered)
        names = names_in(command.pieces)
        given = {part.name for part in command.parts}
        missing = self._parts.missing(name for name in names if name not in given)
        if missing:
            return PartsMissing(missing)
        self._parts.add(command.parts, held_us=0)
        self._parts.refer(names)
        id = self._newest(agent) + 1
        created_us = command.created_us or self._clock.time_us()
        size = command.size or len(command.state.encode())
        parent = (agent, id - 1) if id > 1 else (None, None)
        pieces = encode_pieces(command.pieces)
        self._put((agent, id, created_us, command.state, pieces, size, *parent))
        return CheckpointStored(id)

    def store_parts(self, command: StoreParts) -> PartsStored:
        """For a checkpoint that names them within an hour."""
        self._parts.add(command.parts, held_us=self._clock.time_us() + HOLD_US)
        return PartsStored()

    def claim(self, command: ClaimThread) -> ThreadClaimed | ThreadOwned:
        """A sender writes from here on."""
        agent, origin = _checked("agent", command.agent), _named(command.origin)
        _check_is_not_the_daemons(agent)
        entered = self._threads.enter(agent, origin, takeover=command.takeover, evict=command.evict)
        if isinstance(entered, int):
            return ThreadClaimed(entered)
        return ThreadOwned(agent, entered)

    def fork(self, command: ForkCheckpoint) -> CheckpointStored:
        """Nothing is copied but the row: its parts have one more that names them."""
        to = _checked("new thread", command.to)
        _check_is_not_the_daemons(command.agent)
        _check_is_not_the_daemons(to)
        if self._newest(to):
            raise InvalidInputError(f"thread {to!r} has checkpoints: fork into a new one")
        state, pieces, size = self._there(command.agent, command.id)
        self._parts.refer(names_in(decode_pieces(pieces)))
        created_us = self._clock.time_us()
        self._put((to, 1, created_us, state, pieces, size, command.agent, command.id))
        return CheckpointStored(1)

    def pin(self, command: PinCheckpoint) -> CheckpointPinned:
        """A name points to one checkpoint of its thread."""
        name = _checked("pin", command.name)
        self._there(command.agent, command.id)
        before = self._pinned(command.agent, name)
        self._pin(command.agent, name, command.id)
        return CheckpointPinned(before)

    def unpin(self, command: UnpinCheckpoint) -> CheckpointUnpinned:
        """The checkpoint stays, until it is pruned."""
        return CheckpointUnpinned(self._unpin(command.agent, command.name))

    def prune(self, command: PruneCheckpoints) -> CheckpointsPruned:
        """Rows first, then parts that nobody names: what remains has all its parts."""
        if command.keep_last < 1:
            raise InvalidInputError(f"keep_last = {command.keep_last}: expected 1 or more")
        limit = max(1, min(command.limit, MOST_PRUNED))
        now_us = self._clock.time_us()
        before_us = NEVER_US if command.age_us < 0 else now_us - command.age_us
        doomed = self._doomed(command, before_us=before_us, limit=limit)
        ids = [id for id, _ in doomed]
        if command.dry_run:
            return CheckpointsPruned(ids, 0, len(doomed) == limit)
        self._delete(command.agent, ids)
        # A part that two of them name is in here twice.
        names = [name for _, pieces in doomed for name in names_in(decode_pieces(pieces))]
        freed = self._parts.let_go(names, now_us=now_us) + self._parts.sweep(now_us)
        return CheckpointsPruned(ids, freed, len(doomed) == limit)

    def enrol(self, command: EnrolParticipant) -> ParticipantEnrolled:
        """Others than those of this boot take part no more."""
        if command.is_in:
            self._enrol(_checked("participant", command.name), command.boot)
        else:
            self._dismiss(command.name)
        return ParticipantEnrolled()

    def _there(self, agent: str, id: int) -> tuple[str, str | None, int]:
        found = self._found(agent, id)
        if found is None:
            raise InvalidInputError(f"thread {agent!r} has no checkpoint {id}: list what there is")
        return found

    @abstractmethod
    def _put(self, row: CheckpointRow) -> None:
        """A new row."""

    @abstractmethod
    def _newest(self, agent: str) -> int:
        """The id of the newest one of a thread; 0 before the first."""

    @abstractmethod
    def _found(self, agent: str, id: int) -> tuple[str, str | None, int] | None:
        """State, pieces and size."""

    @abstractmethod
    def _doomed(
        self, command: PruneCheckpoints, *, before_us: int, limit: int
    ) -> Sequence[tuple[int, str | None]]:
        """Id and pieces of what is to go, made before ``before_us``; the oldest first."""

    @abstractmethod
    def _delete(self, agent: str, ids: Sequence[int]) -> None:
        """The rows, and the names that they have."""

    @abstractmethod
    def _pinned(self, agent: str, name: str) -> int:
        """Which one has the name; 0 if none."""

    @abstractmethod
    def _pin(self, agent: str, name: str, id: int) -> None:
        """The name is this one's, whoever had it."""

    @abstractmethod
    def _unpin(self, agent: str, name: str) -> bool:
        """Whether there was one of the name."""

    @abstractmethod
    def _enrol(self, name: str, boot: int) -> None:
        """A participant, of this boot only."""

    @abstractmethod
    def _dismiss(self, name: str) -> None:
        """No participant any more."""


def _checked(what: str, name: str) -> str:
    if not name or len(name) > MAX_NAME or "\0" in name:
        raise InvalidInputError(
            f"{what} = {name[:80]!r}: expected 1 to {MAX_NAME} characters without NUL"
        )
    return name


def _check_is_not_the_daemons(agent: str) -> None:
    if agent == DAEMON:
        raise InvalidInputError(f"agent = {agent!r}: the daemon's own checkpoints are called so")


def _named(origin: Origin | None) -> Origin:
    if origin is None:
        raise InvalidInputError("a claim comes as a command: its sender is who gets the thread")
    return origin
