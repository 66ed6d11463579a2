"""What goes wrong, one class per thing a caller does differently.

HoldfastError
|- ConfigError            the config file, a key in it, or a child it names
|- InvalidInputError      a value that holdfast refuses; nothing was changed
|  |- CursorError         a stored position is of another database, or of one that was restored
|- ReloadError            the config file is not reloaded; all is as it was
|- SwapError              the data is not moved to the other backend; the old one has it all
|- AlreadyRunningError    another daemon owns the data or the run directory
|- DaemonNotFoundError    no daemon answers at the run directory
|- StartError             a child did not become ready while the tree was starting
|- StorageError            the database refused; nothing of the command is stored
|  |- UnreachableError    the database's server does not answer; it may be tried again
|  |  |- UnknownError       it may be stored or not: nobody could tell
|  |- DiskFullError       there was no room for it; it may be tried again
|  |- SchemaError         the file is no holdfast database, or of a newer holdfast
|  |- DamagedError        what is stored is not what was; restore a backup, or repair it
|  |- FencedError         a newer writer owns the database; this one must end
|- CapacityError          a bound of the configuration is reached; later there may be room
|- Conflict               the expected version is not the current one
|- OwnedError              somebody else owns the session or writes the thread of checkpoints
|- NotFoundError           what is to be changed does not exist
|  |- NoSessionError       no session of that id lives
|- DeliveryError          a message was not delivered or not answered
|  |- ActorDied           the actor died with the request in hand
|  |  |- ActorGone        it has ended and is not restarted; it was not handled
|  |- AskTimeoutError     no reply within the timeout
|  |- OutboxFullError     the bound on unacknowledged messages was reached
|  |- ExpiredError        the sender was forgotten; its old numbers mean nothing now
|  |- PoisonError         the message has killed its receiver more than once
|  |- GapError            a sender's number is not the next one
|  |- UnknownActorError   no supervisor has a child of that name
|  |- UnacknowledgedError  a named subscriber has to acknowledge events before it gets more
|- ProtocolError           the peer speaks something else
|  |- FrameError          garbage, or a frame over the bound
|  |- VersionError        another version of the protocol
|- RemoteError            an exception in the handler at the other side
"""

from __future__ import annotations

from typing import Final

__all__ = [
    "ActorDied",
    "ActorGone",
    "AlreadyRunningError",
    "AskTimeoutError",
    "CapacityError",
    "ChildError",
    "ConfigError",
    "Conflict",
    "CursorError",
    "DaemonNotFoundError",
    "DamagedError",
    "DeliveryError",
    "DiskFullError",
    "ExpiredError",
    "FencedError",
    "FrameError",
    "GapError",
    "HoldfastError",
    "InvalidInputError",
    "NoSessionError",
    "NotFoundError",
    "OutboxFullError",
    "OwnedError",
    "PoisonError",
    "ProtocolError",
    "ReloadError",
    "RemoteError",
    "SchemaError",
    "StartError",
    "StorageError",
    "SwapError",
    "UnacknowledgedError",
    "UnknownActorError",
    "UnknownError",
    "UnreachableError",
    "VersionError",
]


class HoldfastError(Exception):
    """The root of the tree: everything holdfast raises on purpose."""


class ConfigError(HoldfastError):
    """The message names file, table, key, value and what is accepted."""


class InvalidInputError(HoldfastError, ValueError):
    """The message names the field, the value and what is accepted."""


class CursorError(InvalidInputError):
    """The database is not, or not any more, the one that the cursor was read from."""

    def __init__(self, cursor: str, *, current: str) -> None:
        super().__init__(
            f"cursor {cursor}: the newest event of this database is at {current}; the cursor is "
            "of another database, or of this one before it was restored from a copy; read from "
            "the beginning (after=0) or from a time (since=...)"
        )
        self.cursor = cursor
        self.current = current


class AlreadyRunningError(HoldfastError):
    """The message names the directory and the pid that owns it."""


class DaemonNotFoundError(HoldfastError):
    """The message names the run directory that was looked at."""


class StartError(HoldfastError):
    """The message names the child, where it is configured, and why it failed."""


class ChildError(HoldfastError):
    """A supervisor refused to do that to a child; nothing was changed.

    ``reason`` is one of the keys of ``REASONS``; the first five are OTP's.
    """

    REASONS: Final = {
        "already_started": "runs already",
        "already_present": "is there and is down: restart_child starts it, delete_child forgets it",
        "not_found": "is no child here: which_children names those that are",
        "running": "runs: terminate_child it first",
        "restarting": "is about to be restarted: terminate_child it first",
        "name_taken": "is the name of another actor: choose another one",
        "too_many": "is one too many: delete some, or add it to another supervisor",
        "stopping": "cannot be started: its supervisor is stopping",
        "held": "is down while the database moves, for less than a second: try again",
    }

    def __init__(self, child: str, reason: str) -> None:
        super().__init__(f"{child!r} {self.REASONS.get(reason, reason)}")
        self.child = child
        self.reason = reason


class ReloadError(HoldfastError):
    """The config file is not reloaded, and the tree is as it was.

    ``reason`` is busy (another reload is under way), refused (a change that no reload makes),
    failed (it was begun, and is undone), starting or stopping.
    """

    def __init__(self, text: str, *, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


class SwapError(HoldfastError):
    """The data is not moved to the other backend; the old one has all of it, and goes on.

    ``table`` and ``key`` name the row that was in the way, where it was one.
    """

    def __init__(self, text: str, *, table: str = "", key: tuple[object, ...] = ()) -> None:
        super().__init__(text)
        self.table = table
        self.key = key


class StorageError(HoldfastError):
    """The database refused; nothing of the command is stored."""


class DiskFullError(StorageError):
    """The disk is full; the database is whole, and takes more once there is room."""


class UnreachableError(StorageError):
    """The database's server does not answer; nothing of the command is stored."""


class UnknownError(UnreachableError):
    """The server was lost on the way: the command is stored, or it is not.

    Do it again with the same id, key or expected version: what is stored is not stored twice.
    """


class SchemaError(StorageError):
    """The file is not a holdfast database, or a newer holdfast wrote it."""


class DamagedError(StorageError):
    """The file, or what is in it, is damaged; nothing was changed."""


class FencedError(StorageError):
    """A writer with a higher epoch owns the database."""


class CapacityError(HoldfastError):
    """A bound of the configuration is reached; nothing was changed.  The message names the key."""


class Conflict(HoldfastError):
    """The expected version is not the current one; read again and decide."""

    def __init__(self, what: str, *, expected: str | int | None, current: str | int | None) -> None:
        if not expected:
            text = f"exists already, its version is {current}"
        elif not current:
            text = f"expected version {expected}, but it does not exist"
        else:
            text = f"expected version {expected}, but the current one is {current}"
        super().__init__(f"{what}: {text}")
        self.what = what
        self.expected = expected
        self.current = current


class NotFoundError(HoldfastError):
    """What is to be changed does not exist; nothing was changed."""


class OwnedError(HoldfastError):
    """Somebody else owns it; nothing was changed.  ``owner`` says who."""

    def __init__(
        self,
        what: str,
        *,
        owner: str,
        how: str = "is owned by {!r}: act in that name, or claim it with steal=True",
    ) -> None:
        super().__init__(f"{what} {how.format(owner)}")
        self.what = what
        self.owner = owner


class NoSessionError(NotFoundError):
    """No session of that id lives: it has ended, or never was."""

    def __init__(self, id: str) -> None:
        super().__init__(f"session {id!r} has ended or never was: put it first")
        self.id = id


class DeliveryError(HoldfastError):
    """A message was not delivered, or its reply did not come."""


class ActorDied(DeliveryError):
    """The actor died with the request in hand.

    ``started`` is False when the request had not left this process, so it was certainly not
    handled; True when it had, so it may have been.
    """

    def __init__(self, actor: str, *, started: bool) -> None:
        hint = "it may have been handled" if started else "it was not handled; ask again"
        super().__init__(f"actor {actor!r} died before it answered: {hint}")
        self.actor = actor
        self.started = started


class ActorGone(ActorDied):
    """The actor has ended and its supervisor does not restart it; the request was not handled.

    ``how`` it ended, in words.  A tell becomes a dead letter instead.
    """

    def __init__(self, actor: str, how: str) -> None:
        DeliveryError.__init__(
            self,
            f"actor {actor!r} is gone: it ended ({how}) and will not be restarted; "
            "the request was not handled",
        )
        self.actor = actor
        self.started = False
        self.how = how


class AskTimeoutError(DeliveryError, TimeoutError):
    """No reply within the timeout; the request may still be handled."""


class OutboxFullError(DeliveryError):
    """The bound on unacknowledged messages was reached and stayed so; nothing was queued."""


class ExpiredError(DeliveryError):
    """The receiver no longer keeps what it knew of this sender; connect anew."""


class PoisonError(DeliveryError):
    """The message has killed its receiver more than once; it is a dead letter now."""


class UnacknowledgedError(DeliveryError):
    """``max_in_flight`` events are handed out and not acknowledged; nothing more is."""

    def __init__(self, name: str, in_flight: int, waited: float) -> None:
        super().__init__(
            f"subscriber {name!r} has {in_flight} events in flight, for {waited:g} s now: "
            "acknowledge some with ack(event), or raise max_in_flight"
        )
        self.name = name
        self.in_flight = in_flight


class GapError(DeliveryError):
    """A sender's number is not the next one; nothing of the command is stored."""

    def __init__(self, who: str, *, expected: int, got: int) -> None:
        super().__init__(f"{who}: number {got}, but the next one is {expected}; send from there")
        self.who = who
        self.expected = expected
        self.got = got


class UnknownActorError(DeliveryError):
    """No supervisor has a child of that name, or not any more."""


class ProtocolError(HoldfastError):
    """The peer speaks something else; only its connection is closed."""


class FrameError(ProtocolError):
    """Bytes that are no frame, or a frame over the bound."""


class VersionError(ProtocolError):
    """The peer speaks another version of the protocol; the message names both."""


class RemoteError(HoldfastError):
    """An exception in the handler at the other side; ``type`` is its class name there."""

    def __init__(self, actor: str, type: str, text: str) -> None:
        super().__init__(f"actor {actor!r} raised {type}: {text}")
        self.actor = actor
        self.type = type
        self.text = text
