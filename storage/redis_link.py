"""One connection to a Redis or Valkey server, and what to do while there is none.

Every wait is bounded.  Whatever goes wrong ends the connection: what became of the last request is
unknown then, and the next connection begins anew, at growing intervals.  Lost with the process:
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from holdfast.clock import Clock
from holdfast.storage.redis_wire import RefusalError, Wire

__all__ = ["LEAST_VERSION", "LinkLostError", "RedisLink", "complaint", "shown_url"]

LEAST_VERSION: Final = (6, 0)  # ACLs and their names for what is refused; 7.0 and Valkey are tested
BACKOFF: Final = 0.5  # seconds before the second attempt, then twice as many ...
BACKOFF_MAX: Final = 5.0  # ... up to so many; at once, when the server answers that it will not

# How a refusal begins, and what it means.
_REFUSALS: Final = {
    "OOM": "it is full: raise its maxmemory, or lower what is in it",
    "READONLY": "it is a replica that nobody may write to: name its primary in url",
    "NOAUTH": "it wants a password: put it in url, or better a reference to it",
    "WRONGPASS": "it refuses the password or the user of url",
    "NOPERM": "the user of url may not do what is needed (docs/REDIS.md says what that is)",
    "MISCONF": "it cannot save to its disk and so refuses writes",
    "MOVED": "it is a node of a cluster: a single server is needed",
}


# And these are over when the next connection is made.
_PASSING: Final = ("NOSCRIPT", "LOADING", "MASTERDOWN", "BUSY")


class LinkLostError(Exception):
    """The connection is gone, and why; never leaves the classes that use a link."""


class RedisLink:
    """``url`` may hold a password, which is in no error.  ``timeout`` seconds for each wait."""

    def __init__(self, url: str, *, name: str, timeout: float, clock: Clock) -> None:
        import redis  # here, so that who has no use for it needs none

        self._redis: Any = redis
        self._pool = self._redis.ConnectionPool.from_url(
            url,
            protocol=2,
            client_name=name,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            health_check_interval=0,
        )
        self._secret = unquote(urlsplit(url).password or "")
        self._clock = clock
        self._connection: Any = None
        self._wire: Wire | None = None  # of that, once it is made
        self._tries = 0  # in a row that came to nothing
        self._not_before = 0.0  # monotonic
        self.problem = "not asked yet"  # "" while there is a connection
        self.failures = 0

    @property
    def is_open(self) -> bool:
        """There is a connection."""
        return self._connection is not None

    @property
    def is_due(self) -> bool:
        """There is none, and it is time to try."""
        return self._connection is None and self._clock.monotonic() >= self._not_before

    def connect(self) -> None:
        """Raises LinkLostError.  A server that will not do is refused."""
        connection = self._pool.make_connection()
        self._connection = connection
        try:
            connection.connect()
        except (self._redis.RedisError, OSError) as error:
            raise self._lost(error) from None
        self._wire = Wire(connection._sock)  # redis-py has no other name for it
        text = self.call("INFO")
        if found := complaint(parsed_info(text)):
            self.lose(found, is_refused=True)
            raise LinkLostError(found)

    def proven(self) -> None:
        """It does what it is there for: the next failure is the first."""
        self._tries = 0
        self.problem = ""

    def call(self, *request: Any) -> Any:
        """The reply to one command.  Raises LinkLostError."""
        return self.calls([request])[0]

    def calls(self, requests: Sequence[Sequence[Any]]) -> list[Any]:
        """The replies to several that travel together.  Raises LinkLostError."""
        if self._wire is None:
            raise LinkLostError(self.problem)
        try:
            return self._wire.exchange(requests)
        except (RefusalError, OSError) as error:
            raise self._lost(error) from None

    def lose(self, problem: str, *, is_refused: bool = False) -> None:
        """Give up the connection."""
        self.close()
        self._tries += 1
        self.failures += 1
        self.problem = problem
        doubled = min(BACKOFF * 2 ** min(self._tries - 1, 16), BACKOFF_MAX)
        wait = BACKOFF_MAX if is_refused else doubled
        self._not_before = self._clock.monotonic() + wait

    def close(self) -> None:
        """For good; what was sent has been answered."""
        connection, self._connection, self._wire = self._connection, None, None
        if connection is not None:
            connection.disconnect()

    def _lost(self, error: Exception) -> LinkLostError:
        problem, is_refused = self._told(error)
        self.lose(problem, is_refused=is_refused)
        return LinkLostError(problem)

    def _told(self, error: Exception) -> tuple[str, bool]:
        """What an error says, without what nobody may read."""
        text = " ".join(str(error).split()) or type(error).__name__
        if self._secret:
            text = text.replace(self._secret, "...")
        exceptions = self._redis.exceptions
        if isinstance(error, exceptions.AuthenticationError):
            return f"it refuses the password or the user of url, or wants one: {text}", True
        for start, meaning in _REFUSALS.items():
            if text.startswith(start) or f" {start} " in text:
                return meaning, True
        if isinstance(error, exceptions.ReadOnlyError):
            return _REFUSALS["READONLY"], True
        if isinstance(error, exceptions.OutOfMemoryError):
            return _REFUSALS["OOM"], True
        if isinstance(error, exceptions.NoPermissionError):
            return _REFUSALS["NOPERM"], True
        if isinstance(error, self._redis.TimeoutError | TimeoutError):
            return f"it does not answer in time: {text}", False
        if isinstance(error, self._redis.ConnectionError | OSError):
            return f"it cannot be reached: {text}", False
        return f"it refuses: {text.removeprefix('ERR ')}", not text.startswith(_PASSING)


def parsed_info(text: bytes | str) -> dict[str, str]:
    """The fields of what INFO answers."""
    lines = (text.decode(errors="replace") if isinstance(text, bytes) else text).splitlines()
    return dict(line.partition(":")[::2] for line in lines if ":" in line)


def complaint(info: dict[str, str]) -> str:
    """Why a server that says this of itself will not do; "" if it will."""
    version = info.get("redis_version", "")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < LEAST_VERSION:
        least = ".".join(map(str, LEAST_VERSION))
        return f"it is of version {version or 'unknown'}: {least} or newer is needed"
    if info.get("role", "master") != "master":
        return _REFUSALS["READONLY"]
    if info.get("cluster_enabled") == "1":
        return _REFUSALS["MOVED"]
    policy = info.get("maxmemory_policy", "")
    if policy.startswith("allkeys") and info.get("maxmemory", "0") != "0":
        return f"maxmemory-policy {policy} deletes anything: set noeviction or volatile-ttl"
    return ""


def shown_url(url: str) -> str:
    """The URL without user and password, for people."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return f"unix://{parts.path}"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
