"""Sessions in a Redis or Valkey server, in front of the database.

Keys, all of one daemon: ``holdfast:NAME:session:ID``, a hash of ``data`` (JSON text), ``version``,
``use`` (JSON of everything else) and ``life``; ``holdfast:NAME:owed``, what the database has not
yet; ``holdfast:NAME:fence``, who may write.  Lost when the server dies: what the database had not,
at most a second of unforced puts and touches, if their actor dies too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
from loguru import logger

from holdfast.clock import Clock, SystemClock
from holdfast.errors import StorageError
from holdfast.storage.redis_link import LinkLostError, RedisLink, shown_url
from holdfast.storage.redis_scripts import TAKE, TIDY, WRITE
from holdfast.storage.session_ports import FrontChange, FrontState, Left
from holdfast.storage.session_records import Session, SessionItem

__all__ = ["RedisSessions", "probe"]

SOME: Final = 50  # sessions in one exchange: with data of 2 MiB each they still fit in memory
SCANNED: Final = 200  # keys looked at in one step
# After the end of a session the server may forget it.  The actor deletes it then; the server does
# when the actor is not there.  A day, for the clocks of the two may differ.
GRACE: Final = 86_400_000  # milliseconds
LONGEST: Final = 10 * 365 * 86_400_000  # milliseconds: the server refuses what overflows

_NUL: Final = "\0"


class Use(msgspec.Struct, frozen=True):
    """What the field ``use`` holds: a session without its id and its data."""

    created_us: int
    touched_us: int
    expires_us: int
    ttl: float
    max_age: float | None
    owner: str | None
    holders: str
    items: int
    item_bytes: int


_encode: Final = msgspec.json.Encoder().encode
_decode_use: Final = msgspec.json.Decoder(Use).decode
_decode_item: Final = msgspec.json.Decoder(SessionItem).decode


class RedisSessions:
    """Implements ``holdfast.storage.session_ports.SessionFront``."""

    def __init__(
        self, url: str, *, daemon: str, incarnation: str, timeout: float, clock: Clock
    ) -> None:
        self._link = RedisLink(url, name=f"holdfast:{daemon}", timeout=timeout, clock=clock)
        self._clock = clock
        self._shown = shown_url(url)
        self._prefix = f"holdfast:{daemon}:session:"
        self._owed = f"holdfast:{daemon}:owed"
        self._fence = f"holdfast:{daemon}:fence"
        self._incarnation = incarnation
        self._connections = 0
        self._token = b""  # of this connection; what was written under another is not believed
        self._cursor: bytes | None = b"0"  # of the tidying
        self._away_since: float | None = None  # monotonic; None when it was heard of last
        self._told = ""  # the problem that the log has

    @property
    def is_open(self) -> bool:
        """There is a connection, and the fence was its own when it last wrote."""
        return self._link.is_open

    @property
    def state(self) -> FrontState:
        """How it is."""
        return FrontState("redis", self._link.problem, self._link.failures)

    def open(self) -> bool:
        """Connect and take the fence; whether that came about now."""
        if not self._link.is_due:
            return False
        try:
            self._link.connect()
            self._take_fence()
        except LinkLostError as error:
            self._note_loss(str(error))
            return False
        self._cursor = b"0"
        self._link.problem = ""
        return True

    def filled(self) -> None:
        """All is there again: say so, if it was said that it was not."""
        self._link.proven()
        if self._away_since is not None:
            seconds = self._clock.monotonic() - self._away_since
            logger.info("redis at {}: there again after {:.1f} s", self._shown, seconds)
        self._away_since, self._told = None, ""

    def look(self) -> None:
        """See whether the fence is still this connection's."""
        try:
            held = self._link.call("GET", self._fence)
            if held != self._token:
                self._lose_fence(held or b"")
        except LinkLostError as error:
            self._note_loss(str(error))

    def read(self, ids: Sequence[str]) -> dict[str, Session]:
        """What was written on this connection; nothing when it breaks."""
        found: dict[str, Session] = {}
        try:
            for some in _portions(ids):
                requests = [self._request_of(id) for id in some]
                for id, reply in zip(some, self._link.calls(requests), strict=True):
                    if reply[0] == self._token and (session := _session_of(id, reply)) is not None:
                        found[id] = session
        except LinkLostError as error:
            self._note_loss(str(error))
            return {}
        return found

    def write(self, change: FrontChange, now_us: int) -> list[str]:
        """One script, one step."""
        sessions = (*change.put, *change.use)
        keys = [self._prefix + id for id in ([each.id for each in sessions] + change.drop)]
        texts: list[Any] = []
        for session in change.put:
            texts += (session.version, _remaining(session, now_us), _use_of(session), session.data)
        for session in change.use:
            texts += (session.version, _remaining(session, now_us), _use_of(session))
        for id in change.owed:
            texts += (id, "")
        for item in change.owed_items:
            texts += (_field_of(item), _encode(item))
        texts += change.paid
        texts += map(_field_of, change.paid_items)
        counts = (len(change.put), len(change.use), len(change.owed) + len(change.owed_items))
        try:
            answer = self._run(WRITE, (self._owed, *keys), (*counts, *texts))
        except LinkLostError as error:
            self._note_loss(str(error))
            return []
        return [change.use[position - 1].id for position in answer]

    def left(self) -> Left:
        """What is named in ``owed``; nothing when the connection breaks."""
        ids: list[str] = []
        items: list[SessionItem] = []
        sessions: list[Session] = []
        try:
            fields = self._link.call("HGETALL", self._owed)
            for field, value in zip(fields[::2], fields[1::2], strict=True):
                name = field.decode()
                if _NUL in name:
                    items.append(_decode_item(value))
                else:
                    ids.append(name)
            for some in _portions(ids):
                replies = self._link.calls([self._request_of(id) for id in some])
                found = map(_session_of, some, replies)
                sessions += [session for session in found if session is not None]
        except LinkLostError as error:
            self._note_loss(str(error))
            return Left()
        except (ValueError, msgspec.DecodeError) as error:
            # Somebody else's: nothing of it can be believed.
            problem = f"{self._owed} is not what holdfast wrote ({error}): delete it"
            self._link.lose(problem, is_refused=True)
            self._note_loss(problem)
            return Left()
        return Left(ids, sessions, items)

    def tidy(self) -> bool:
        """One step of a scan."""
        if self._cursor is None or not self.is_open:
            return False
        pattern = f"{self._prefix}*"  # a daemon's name has no character that means something here
        try:
            cursor, keys = self._link.call("SCAN", self._cursor, "MATCH", pattern, "COUNT", SCANNED)
            if keys:
                self._run(TIDY, tuple(keys), ())
        except LinkLostError as error:
            self._note_loss(str(error))
            return False
        self._cursor = None if cursor == b"0" else cursor
        return self._cursor is not None

    def close(self) -> None:
        """Hang up."""
        self._link.close()

    def _take_fence(self) -> None:
        self._connections += 1
        token = f"{self._incarnation}/{self._connections}"
        self._token = token.encode()
        requests = [("SCRIPT", "LOAD", script) for script in (TAKE, WRITE, TIDY)]
        self._link.calls(requests)
        taken, held = self._link.call("EVALSHA", _sha(TAKE), 1, self._fence, token)
        if not taken:
            self._refuse_fence(held)

    def _refuse_fence(self, held: bytes) -> None:
        problem = (
            f"{self._fence} is {held.decode(errors='replace')}, of a later life than this one's, "
            f"{self._incarnation}: another daemon of this name uses the server, or one that is no "
            "more did; give this one another name, or delete that key"
        )
        self._link.lose(problem, is_refused=True)
        raise LinkLostError(problem)

    def _lose_fence(self, held: bytes) -> None:
        holder = held.decode(errors="replace")
        problem = f"somebody took the fence: {holder}" if held else "it has lost what was in it"
        self._link.lose(problem)
        raise LinkLostError(problem)

    def _run(self, script: str, keys: Sequence[Any], texts: Sequence[Any]) -> list[int]:
        """What the script answers when the fence is this connection's.  Raises LinkLostError."""
        reply = self._link.call(
            "EVALSHA", _sha(script), len(keys) + 1, self._fence, *keys, self._token, *texts
        )
        if not reply[0]:
            self._lose_fence(reply[1])
        answer: list[int] = reply[1:]
        return answer

    def _request_of(self, id: str) -> tuple[str, ...]:
        return ("HMGET", self._prefix + id, "life", "version", "use", "data")

    def _note_loss(self, problem: str) -> None:
        """Say it once, not at every attempt."""
        if self._away_since is None:
            self._away_since = self._clock.monotonic()
        if problem != self._told:
            self._told = problem
            logger.warning(
                "redis at {}: {}; sessions are served from memory and the database meanwhile",
                self._shown,
                problem,
            )


def probe(url: str, *, daemon: str = "probe", timeout: float = 2.0) -> None:
    """Raise StorageError unless sessions can be in front there; writes a key and deletes it.

    ``url`` is no reference.  Blocks, for some multiples of ``timeout`` seconds at most.
    """
    try:
        link = RedisLink(url, name=f"holdfast:{daemon}", timeout=timeout, clock=SystemClock())
    except ImportError:
        raise StorageError("redis-py is not installed: pip install 'holdfast[redis]'") from None
    key = f"holdfast:{daemon}:probe"
    try:
        link.connect()
        link.calls([("SCRIPT", "LOAD", script) for script in (TAKE, WRITE, TIDY)])
        link.call("EVALSHA", _sha(TAKE), 1, key, "0/0")
        link.call("DEL", key)
    except LinkLostError as error:
        raise StorageError(f"redis at {shown_url(url)}: {error}") from None
    finally:
        link.close()


def _sha(script: str) -> str:
    return _SHAS[script]


_SHAS: Final = {
    script: hashlib.sha1(script.encode(), usedforsecurity=False).hexdigest()
    for script in (TAKE, WRITE, TIDY)
}


def _portions(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[at : at + SOME] for at in range(0, len(ids), SOME))


def _remaining(session: Session, now_us: int) -> int:
    """Milliseconds until the server may forget it."""
    return min(max(session.expires_us - now_us, 0) // 1_000, LONGEST) + GRACE


def _use_of(session: Session) -> bytes:
    return _encode(
        Use(
            session.created_us,
            session.touched_us,
            session.expires_us,
            session.ttl,
            session.max_age,
            session.owner,
            session.holders,
            session.items,
            session.item_bytes,
        )
    )


def _session_of(id: str, reply: Sequence[bytes | None]) -> Session | None:
    """The session as it is there; None when it is not, or not as it was written."""
    _, version, use, data = reply
    if version is None or use is None or data is None:
        return None
    try:
        found = _decode_use(use)
        return Session(
            id,
            data.decode(),
            version.decode(),
            found.created_us,
            found.touched_us,
            found.expires_us,
            found.ttl,
            found.max_age,
            found.owner,
            found.holders,
            found.items,
            found.item_bytes,
        )
    except (msgspec.DecodeError, UnicodeError):
        return None


def _field_of(item: SessionItem) -> str:
    return f"{item.session}{_NUL}{item.created_us}{_NUL}{item.number}"
