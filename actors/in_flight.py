"""The table of requests in flight: who has begun what, until when, and how far it has come.

Lost with the process, unless a checkpoint has it; by choice, since what it tells of is happening
just now and elsewhere.  Time is microseconds from a clock that only goes on.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Final

import msgspec

from holdfast.actors.messages.tracker import End_, Status, Tracked
from holdfast.errors import CapacityError, Conflict, InvalidInputError

__all__ = ["HeldRequest", "InFlight"]

OVERHEAD: Final = 400  # bytes counted for a request besides its texts
NONE: Final = b"null"  # in a checkpoint, where there is no text

_replace = msgspec.structs.replace


class HeldRequest(msgspec.Struct, frozen=True):
    """A request as a checkpoint keeps it: its texts are JSON in JSON, not texts in it."""

    request: Tracked
    payload: msgspec.Raw
    progress: msgspec.Raw

    @classmethod
    def of(cls, request: Tracked) -> HeldRequest:
        """The request, which is in flight and so has no result."""
        payload, progress = _raw(request.payload), _raw(request.progress)
        return cls(_replace(request, payload="", progress=""), payload, progress)

    def opened(self) -> Tracked:
        """The request as it was."""
        return _replace(self.request, payload=_text(self.payload), progress=_text(self.progress))


class InFlight:
    """Bounded by number and bytes; what has ended is kept for ``keep`` seconds, and bounded too."""

    def __init__(self, *, max_requests: int, max_bytes: int, keep: float, max_kept: int) -> None:
        self._max_requests = max_requests
        self._max_bytes = max_bytes
        self._keep_us = round(keep * 1_000_000)
        self._max_kept = max_kept
        self._live: dict[str, Tracked] = {}
        self._ended: OrderedDict[str, Tracked] = OrderedDict()  # in the order of their ends
        self._due: list[tuple[int, str]] = []  # a heap of deadlines and retries; may be outdated
        self._count = 0
        self.bytes = self._ended_bytes = 0
        self.expired = self.interrupted = 0  # since the process started

    def reconfigure(self, max_requests: int, max_bytes: int, keep: float, max_kept: int) -> None:
        """Other bounds from now on; what is over them stays until its end."""
        self._max_requests, self._max_bytes = max_requests, max_bytes
        self._keep_us, self._max_kept = round(keep * 1_000_000), max_kept

    def __len__(self) -> int:
        return len(self._live)

    @property
    def began(self) -> int:
        """How many ever began."""
        return self._count

    @property
    def kept(self) -> int:
        """How many that have ended are still known."""
        return len(self._ended)

    def get(self, id: str, now: int) -> Tracked | None:
        """The request, also for a while after its end."""
        self._forget(now)
        return self._live.get(id) or self._ended.get(id)

    def begin(self, request: Tracked, now: int) -> Tracked:
        """Put it in the table; the same message again changes nothing.

        Raises InvalidInputError when the id is in flight, CapacityError.
        """
        known = self._live.get(request.id)
        if known is not None:
            if known.token and known.token == request.token:
                return known
            raise InvalidInputError(
                f"id = {request.id[:80]!r}: it is in flight already, {known.status}, of "
                f"{known.owner!r}: finish or cancel it first, or take another id"
            )
        if len(self._live) >= self._max_requests:
            raise CapacityError(
                f"{len(self._live)} requests are in flight, [actors.tracker] max_requests: none "
                "is begun; finish some, or raise it"
            )
        self._check_room(_size(request))
        self._count += 1
        begun = _replace(request, number=self._count)
        self._forget_one(request.id)
        self._put(begun)
        return begun

    def update(self, id: str, progress: str, attempt: int, now: int) -> Tracked | None:
        """Note how far it has come.  Raises Conflict, CapacityError."""
        request = self._live.get(id)
        if request is None:
            return self.get(id, now)
        _check_attempt(request, attempt)
        self._check_room(len(progress.encode()) - len(request.progress.encode()))
        return self._put(_replace(request, progress=progress, changed_us=now))

    def end(
        self,
        id: str,
        status: End_,
        *,
        result: str,
        reason: str,
        may_retry: bool,
        attempt: int,
        now: int,
    ) -> Tracked | None:
        """End it, or have it tried again; one that had ended stays.  Raises Conflict."""
        request = self._live.get(id)
        if request is None:
            return self.get(id, now)
        _check_attempt(request, attempt)
        changed = _replace(request, reason=reason, changed_us=now)
        if status == "failed" and request.status == "retrying":
            return request  # the same failure, told again
        if status == "failed" and may_retry and _has_attempts(request):
            return self._put(
                _replace(changed, status="retrying", next_at_us=_next_at(request, now))
            )
        return self._end(_replace(changed, status=status, result=result), now)

    def interrupt(
        self, is_meant: Callable[[Tracked], bool], reason: str, now: int
    ) -> list[Tracked]:
        """Mark what runs and ``is_meant``; it may be taken, if it is to be retried when due."""
        changed = []
        for request in [one for one in self._live.values() if one.status == "running"]:
            if is_meant(request):
                changed.append(self._interrupt(request, reason, now))
        self.interrupted += len(changed)
        return changed

    def take(
        self,
        is_meant: Callable[[Tracked], bool],
        limit: int,
        *,
        taker: tuple[str, str],
        token: str,
        now: int,
    ) -> list[Tracked]:
        """Hand over what may be taken: it runs again, one attempt further, as ``taker``'s.

        ``taker`` is its owner from now on, by name and life.
        """
        taken: list[Tracked] = []
        for request in list(self._live.values()):
            if len(taken) == limit:
                break
            is_open = request.status in ("interrupted", "retrying")
            if is_open and request.next_at_us <= now and is_meant(request):
                again = _replace(request, status="running", next_at_us=0, changed_us=now)
                again = _replace(again, attempt=request.attempt + 1, token=token)
                taken.append(self._put(_replace(again, owner=taker[0], life=taker[1])))
        return taken

    def taken(self, token: str) -> list[Tracked]:
        """What was handed over in answer to a message."""
        return [one for one in self._live.values() if one.token == token and one.attempt > 1]

    def select(self, statuses: tuple[Status, ...], after: int, now: int) -> Iterator[Tracked]:
        """The requests in the order of their numbers, those that have ended too."""
        self._forget(now)
        everything = (*self._live.values(), *self._ended.values())
        for request in sorted(everything, key=lambda one: one.number):
            if request.number > after and (not statuses or request.status in statuses):
                yield request

    @property
    def next_due(self) -> int | None:
        """When ``advance`` has something to do."""
        while self._due and not self._is_due(*self._due[0]):
            heapq.heappop(self._due)
        due = [self._due[0][0]] if self._due else []
        if (oldest := self._oldest_end) is not None:
            due.append(oldest.changed_us + self._keep_us)
        return min(due, default=None)

    def advance(self, now: int) -> list[Tracked]:
        """End what is over its deadline, each once; forget what ended long ago."""
        self._forget(now)
        expired = []
        while self._due and self._due[0][0] <= now:
            due, id = heapq.heappop(self._due)
            request = self._live.get(id)
            if request is not None and due == request.deadline_us:
                expired.append(self._end(_replace(request, status="expired"), now))
        self.expired += len(expired)
        return expired

    def held(self) -> list[HeldRequest]:
        """What a checkpoint has to keep."""
        return [HeldRequest.of(request) for request in self._live.values()]

    def hold(self, held: Iterable[HeldRequest], reason: str, now: int) -> tuple[int, int]:
        """Take over what a checkpoint kept, as interrupted; how many, and how many were not.

        One whose id is known here is newer here.  What is over its deadline expires with the
        next ``advance``.
        """
        count = skipped = 0
        for one in held:
            request = one.opened()
            full = len(self._live) >= self._max_requests
            full = full or self.bytes + _size(request) > self._max_bytes
            if full or request.id in self._live or request.id in self._ended:
                skipped += 1
                continue
            count += 1
            self._count += 1
            request = _replace(request, number=self._count, life="", token="")
            self._put(request)
            if request.status == "running":
                self._interrupt(request, reason, now)
        self.interrupted += count
        return count, skipped

    # -- inside -------------------------------------------------------------------------------

    def _interrupt(self, request: Tracked, reason: str, now: int) -> Tracked:
        """To be taken at once, or when its retry policy says; its end, if that allows no more."""
        changed = _replace(request, reason=reason, changed_us=now)
        if request.retry is None:
            return self._put(_replace(changed, status="interrupted"))
        if not _has_attempts(request):
            return self._end(_replace(changed, status="failed"), now)
        next_at = _next_at(request, now)
        return self._put(_replace(changed, status="interrupted", next_at_us=next_at))

    def _put(self, request: Tracked) -> Tracked:
        before = self._live.get(request.id)
        self.bytes += _size(request) - (0 if before is None else _size(before))
        self._live[request.id] = request
        for due in (request.deadline_us, request.next_at_us):
            if due and (before is None or due not in (before.deadline_us, before.next_at_us)):
                heapq.heappush(self._due, (due, request.id))
        return request

    def _end(self, request: Tracked, now: int) -> Tracked:
        self.bytes -= _size(self._live.pop(request.id))
        request = _replace(request, changed_us=now, next_at_us=0)
        self._ended[request.id] = request
        self._ended_bytes += _size(request)
        while len(self._ended) > self._max_kept or self._ended_bytes > self._max_bytes:
            self._forget_one(next(iter(self._ended)))
        return request

    def _forget(self, now: int) -> None:
        while (oldest := self._oldest_end) is not None:
            if oldest.changed_us + self._keep_us > now:
                return
            self._forget_one(oldest.id)

    @property
    def _oldest_end(self) -> Tracked | None:
        return next(iter(self._ended.values()), None)

    def _forget_one(self, id: str) -> None:
        request = self._ended.pop(id, None)
        if request is not None:
            self._ended_bytes -= _size(request)

    def _is_due(self, due: int, id: str) -> bool:
        request = self._live.get(id)
        return request is not None and due in (request.deadline_us, request.next_at_us)

    def _check_room(self, more: int) -> None:
        if more > 0 and self.bytes + more > self._max_bytes:
            raise CapacityError(
                f"the requests in flight take {self.bytes} bytes, and [actors.tracker] max_bytes "
                f"= {self._max_bytes} has no room for {more} more: nothing is changed"
            )


def _has_attempts(request: Tracked) -> bool:
    return request.retry is not None and request.attempt < request.retry.max_attempts


def _next_at(request: Tracked, now: int) -> int:
    """Exponential backoff, by the attempts there were."""
    retry = request.retry
    assert retry is not None
    try:
        wait = min(retry.backoff * retry.factor ** (request.attempt - 1), retry.backoff_max)
    except OverflowError:  # a long series
        wait = retry.backoff_max
    return now + round(wait * 1_000_000)


def _check_attempt(request: Tracked, attempt: int) -> None:
    if attempt and attempt != request.attempt:
        what = f"the attempt of request {request.id[:80]!r}"
        raise Conflict(what, expected=attempt, current=request.attempt)


def _size(request: Tracked) -> int:
    texts = (request.id, request.kind, request.owner, request.payload, request.progress)
    return OVERHEAD + sum(len(text.encode()) for text in (*texts, request.result, request.reason))


def _raw(text: str) -> msgspec.Raw:
    return msgspec.Raw(text.encode() or NONE)


def _text(raw: msgspec.Raw) -> str:
    return "" if bytes(raw) == NONE else bytes(raw).decode()
