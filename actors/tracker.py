"""The tracker actor: requests in flight, and rate limiters.

In memory only, by choice: what it tells of is happening just now and elsewhere.  Lost when its
process dies: all of it, but what the last daemon checkpoint has; what is restored from one is
handed back as interrupted.  It acknowledges nothing that it would have to keep.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import Any, Final

import msgspec
from loguru import logger

from holdfast.actors.delivery import Delivery
from holdfast.actors.host import LATER, HostedActor
from holdfast.actors.in_flight import InFlight
from holdfast.actors.mailbox_link import Answered
from holdfast.actors.messages import barrier, tracker
from holdfast.actors.messages.tracker import RateLimit, Tracked
from holdfast.actors.notices import Notices
from holdfast.actors.owners import Owners, Watching, sender_of
from holdfast.actors.rate_limits import RateLimits
from holdfast.actors.request_checks import (
    MAX_NAME,
    check_name,
    check_retry,
    check_text,
    check_until,
)
from holdfast.actors.resuming import Resuming
from holdfast.actors.session_cache import SteadyClock
from holdfast.actors.tracker_part import collected, opened
from holdfast.clock import Clock
from holdfast.errors import CapacityError, HoldfastError, InvalidInputError

__all__ = ["TrackerActor", "TrackerLimits"]

MAX_LIMIT: Final = 1_000  # requests in one reply
MAX_LIMITERS: Final = 10_000  # limiters in one reply
REPLY_BYTES: Final = 4 * 1024 * 1024
SOON: Final = 0.001  # seconds: timers are not set closer together
TOLD_IDS: Final = 100  # ids in one notice


class TrackerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of the configuration; ``keep`` in seconds."""

    max_requests: int
    max_bytes: int
    keep: float
    max_kept: int
    max_limiters: int
    max_waiting: int
    limits: dict[str, RateLimit]


class _Due(msgspec.Struct, frozen=True):
    """A deadline, a retry or a permit is due."""


class _Taker(msgspec.Struct, frozen=True):
    """A take that waits for something to take; ``until`` in monotonic seconds."""

    delivery: Delivery
    take: tracker.Take


class TrackerActor(HostedActor):
    """Has a timer for what is due next, and none while nothing is."""

    refuses_tells = True

    def __init__(self, *, limits: TrackerLimits, clock: Clock) -> None:
        super().__init__()
        self._now_us = SteadyClock(clock)
        self._max_waiting = limits.max_waiting
        self._in_flight = InFlight(
            max_requests=limits.max_requests,
            max_bytes=limits.max_bytes,
            keep=limits.keep,
            max_kept=limits.max_kept,
        )
        self._rates: RateLimits[Delivery] = RateLimits(
            limits.limits,
            max_limiters=limits.max_limiters,
            max_waiting=limits.max_waiting,
            is_there=self._is_there,
        )
        self._takers: deque[_Taker] = deque()
        self._owners = Owners(self.mailbox)
        self._notices = Notices(self.mailbox)
        self._resuming = Resuming(self.mailbox)
        # A heap: for when there are timers, in microseconds.  None is cancelled, since a cancelled
        # one stays in the mailbox until it would have been due.
        self._armed: list[int] = []

    def reconfigure(self, limits: TrackerLimits) -> None:
        """Other bounds from now on."""
        self._max_waiting = limits.max_waiting
        self._in_flight.reconfigure(
            limits.max_requests, limits.max_bytes, limits.keep, limits.max_kept
        )
        self._rates.reconfigure(
            limits.limits, max_limiters=limits.max_limiters, max_waiting=limits.max_waiting
        )
        self._arm()

    def on_start(self) -> None:
        """Ask for what the newest daemon checkpoint has; ready before that is answered."""
        self._resuming.begin()

    def on_receive(self, message: Any) -> Any:
        """Requests of programs, timers, and what supervisors answer."""
        try:
            return self._handled(message)
        finally:
            self._arm()

    def _handled(self, message: Any) -> Any:
        now = self._now_us()
        match message:
            case tracker.Acquire():
                return self._acquire(message, now)
            case tracker.Begin():
                return tracker.RequestIs(self._begin(message, now))
            case tracker.Update(id=id, progress=progress, attempt=attempt):
                check_text("progress", progress)
                return tracker.RequestIs(self._in_flight.update(id, progress, attempt, now))
            case tracker.End():
                return self._end(message, now)
            case tracker.Take():
                return self._take(message, now)
            case tracker.Get(id=id):
                return tracker.RequestIs(self._in_flight.get(id, now))
            case tracker.List():
                return self._list(message, now)
            case tracker.ListLimiters():
                limiters = self._rates.describe(now * 1000)
                return tracker.LimitersAre(
                    limiters[:MAX_LIMITERS], more=len(limiters) > MAX_LIMITERS
                )
            case tracker.Stats():
                return self._stats(now)
            case barrier.Collect():
                if not self._resuming.is_over:
                    return self._resuming.hold(self._delivery)
                return collected(self._in_flight, self._rates, now)
            case barrier.Restore():
                return self._restored(message.checkpoint, message.state, now)
            case _Due():
                heapq.heappop(self._armed)
                self._advance(now)
            case Answered(context=Resuming(), outcome=outcome):
                self._recalled(outcome, now)
            case Answered(context=Watching() as watching, outcome=outcome):
                self._owner_answered(watching, outcome, now)
            case _:
                logger.warning("unknown message {!r}", message)
        return None

    # -- requests in flight -------------------------------------------------------------------

    def _begin(self, begin: tracker.Begin, now: int) -> Tracked:
        for name, text in (("id", begin.id), ("kind", begin.kind)):
            check_name(name, text)
        check_text("payload", begin.payload)
        check_retry(begin.retry)
        if begin.deadline is not None and not 0 < begin.deadline <= 10 * 365 * 86_400:
            raise InvalidInputError(f"deadline = {begin.deadline}: expected seconds > 0")
        owner, life = self._owner(begin.owner)
        check_name("owner", owner)
        deadline = 0 if begin.deadline is None else now + round(begin.deadline * 1_000_000)
        request = Tracked(
            id=begin.id,
            number=0,
            kind=begin.kind,
            owner=owner,
            status="running",
            payload=begin.payload,
            progress="",
            result="",
            reason="",
            attempt=1,
            retry=begin.retry,
            began_us=now,
            changed_us=now,
            deadline_us=deadline,
            next_at_us=0,
            life=life,
            token=begin.token,
        )
        begun = self._in_flight.begin(request, now)
        self._watch(begun)
        return begun

    def _end(self, end: tracker.End, now: int) -> tracker.RequestIs:
        check_text("result", end.result)
        if len(end.reason) > MAX_NAME:
            raise InvalidInputError(f"reason: expected at most {MAX_NAME} characters")
        ended = self._in_flight.end(
            end.id,
            end.status,
            result=end.result,
            reason=end.reason,
            may_retry=end.may_retry,
            attempt=end.attempt,
            now=now,
        )
        self._serve_takers(now)
        return tracker.RequestIs(ended)

    def _take(self, take: tracker.Take, now: int) -> Any:
        if take.limit < 1:
            raise InvalidInputError(f"limit = {take.limit}: expected at least 1")
        until = check_until(take.until, self.mailbox.monotonic())
        take = msgspec.structs.replace(take, until=until)
        delivery = self._delivery
        if delivery.redelivered and (known := self._in_flight.taken(take.token)):
            return tracker.TrackedAre(known)
        found = self._taken(take, delivery, now)
        is_too_late = take.until <= self.mailbox.monotonic() or delivery.kind == "tell"
        if found or is_too_late:
            return tracker.TrackedAre(found)
        if len(self._takers) >= self._max_waiting:
            raise CapacityError(
                f"{len(self._takers)} wait for something to take, [actors.tracker] max_waiting: "
                "nothing is taken; try again later"
            )
        self._takers.append(_Taker(delivery, take))
        delivery.set_aside()
        return LATER

    def _taken(self, take: tracker.Take, delivery: Delivery, now: int) -> list[Tracked]:
        found = self._in_flight.take(
            lambda request: take.owner in ("", request.owner) and take.kind in ("", request.kind),
            min(take.limit, MAX_LIMIT),
            taker=sender_of(delivery),
            token=take.token,
            now=now,
        )
        for request in found:
            self._watch(request)
        return found

    def _serve_takers(self, now: int) -> None:
        """First come, first served."""
        monotonic = self.mailbox.monotonic()
        for taker in list(self._takers):
            if self._is_there(taker.delivery):
                found = self._taken(taker.take, taker.delivery, now)
                if not found and taker.take.until > monotonic:
                    continue
                taker.delivery.set(tracker.TrackedAre(found))
            self._takers.remove(taker)

    def _list(self, wanted: tracker.List, now: int) -> tracker.TrackedAre:
        found: list[Tracked] = []
        size = 0
        for request in self._in_flight.select(wanted.statuses, wanted.after, now):
            if wanted.owner not in ("", request.owner) or wanted.kind not in ("", request.kind):
                continue
            size += 4 * (len(request.payload) + len(request.progress) + len(request.result))
            if len(found) == min(max(wanted.limit, 1), MAX_LIMIT) or (found and size > REPLY_BYTES):
                return tracker.TrackedAre(found, more=True)
            found.append(request)
        return tracker.TrackedAre(found)

    # -- owners -------------------------------------------------------------------------------

    def _owner(self, named: str) -> tuple[str, str]:
        """The owner and its life; which of its lives is not known when somebody else names it."""
        sender, life = sender_of(self._delivery)
        return (sender, life) if named in ("", sender) else (named, "")

    def _watch(self, request: Tracked) -> None:
        if "/" not in request.owner:  # programs, named "client/...", are nobody's children
            self._owners.watch(request.owner, request.life)

    def _owner_answered(self, watching: Watching, outcome: Any, now: int) -> None:
        exit = self._owners.answered(watching, outcome)
        if exit is None:
            return
        owner, life = watching.owner, watching.life
        reason = f"its owner {owner} has ended: {exit.kind}"
        changed = self._in_flight.interrupt(
            lambda request: (request.owner, request.life) == (owner, life), reason, now
        )
        if changed:
            ids = [request.id for request in changed[:TOLD_IDS]]
            data: dict[str, object] = {"owner": owner, "reason": exit.kind, "count": len(changed)}
            self._notices.emit("tracker:interrupted", data | {"ids": ids}, subject=owner)
            self._serve_takers(now)

    # -- rate limits --------------------------------------------------------------------------

    def _acquire(self, acquire: tracker.Acquire, now: int) -> Any:
        check_name("key", acquire.key)
        delivery = self._delivery
        monotonic = self.mailbox.monotonic()
        patience = max(0.0, check_until(acquire.until, monotonic) - monotonic)
        if delivery.kind == "tell":
            patience = 0.0  # nobody waits for an answer
        until = now * 1000 + round(patience * 1e9)
        permit = self._rates.acquire(
            acquire.key, acquire.cost, acquire.limit, until, delivery, now * 1000
        )
        if permit is None:
            delivery.set_aside()
            return LATER
        return permit

    def _is_there(self, delivery: Delivery) -> bool:
        """Whether the sender still waits for the answer: what nobody waits for costs nothing."""
        deadline = delivery.deadline
        is_late = deadline is not None and deadline <= self.mailbox.monotonic()
        return not (delivery.intake.closed or is_late)

    # -- time ---------------------------------------------------------------------------------

    def _advance(self, now: int) -> None:
        for delivery, permit in self._rates.advance(now * 1000):
            delivery.set(permit)
        for request in self._in_flight.advance(now):
            data: dict[str, object] = {
                "id": request.id,
                "kind": request.kind,
                "owner": request.owner,
                "attempt": request.attempt,
                "deadline_us": request.deadline_us,
            }
            self._notices.emit("tracker:request_expired", data, subject=request.id)
        self._serve_takers(now)

    def _arm(self) -> None:
        """Have a timer for whatever is due next."""
        due = [] if (flight := self._in_flight.next_due) is None else [flight]
        if (rate := self._rates.next_due) is not None:
            due.append(-(-rate // 1000))  # never before it is due
        if self._takers:
            rest = min(one.take.until for one in self._takers) - self.mailbox.monotonic()
            due.append(self._now_us() + max(0, round(rest * 1_000_000)))
        if not due:
            return
        at = min(due)
        if self._armed and self._armed[0] <= at:
            return
        heapq.heappush(self._armed, at)
        self.mailbox.after(max((at - self._now_us()) / 1_000_000, SOON), _Due())

    # -- daemon checkpoints -------------------------------------------------------------------

    def _recalled(self, outcome: Any, now: int) -> None:
        """A part that cannot be had is no reason not to work."""
        try:
            if isinstance(outcome, HoldfastError):
                raise outcome
            if outcome.id:
                self._restored(str(outcome.id), outcome.state, now)
        except HoldfastError as error:
            logger.warning("nothing is taken over from the newest daemon checkpoint: {}", error)
        self._resuming.release(collected(self._in_flight, self._rates, now))

    def _restored(self, checkpoint: str, state: str, now: int) -> barrier.Restored:
        held = opened(state)
        reason = f"restored from checkpoint {checkpoint}"
        count, skipped = self._in_flight.hold(held.requests, reason, now)
        self._rates.hold(held.limiters, now * 1000)
        if count:
            data: dict[str, object] = {"checkpoint": checkpoint, "count": count}
            ids: list[object] = [one.request.id for one in held.requests[:TOLD_IDS]]
            self._notices.emit("tracker:interrupted", data | {"reason": "restored", "ids": ids})
        self._serve_takers(now)
        return barrier.Restored(count, skipped)

    # -- inside -------------------------------------------------------------------------------

    @property
    def _delivery(self) -> Delivery:
        """The message in hand, which came by socket."""
        delivery = self.mailbox.current
        assert delivery is not None
        return delivery

    def _stats(self, now: int) -> tracker.TrackerStats:
        flight = self._in_flight
        return tracker.TrackerStats(
            len(flight),
            flight.bytes,
            flight.kept,
            len(self._rates.describe(now * 1000)),
            self._rates.waiting,
            flight.began,
            flight.expired,
            flight.interrupted,
        )
