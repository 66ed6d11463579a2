"""The table of requests in flight, with time that only the test moves."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from holdfast.actors.in_flight import HeldRequest, InFlight
from holdfast.actors.messages.tracker import End_, Retry, Tracked
from holdfast.actors.request_checks import check_retry
from holdfast.errors import CapacityError, Conflict, InvalidInputError

SECOND = 1_000_000
RETRY = Retry(max_attempts=3, backoff=1.0, factor=2.0, backoff_max=3.0)


class Table:
    """The table and its time."""

    def __init__(self, **bounds: int) -> None:
        self.now = 1_000 * SECOND
        self.table = InFlight(
            max_requests=bounds.get("requests", 10),
            max_bytes=bounds.get("bytes", 100_000),
            keep=60.0,
            max_kept=bounds.get("kept", 10),
        )

    def begin(
        self,
        id: str,
        *,
        deadline: float = 0,
        retry: Retry | None = None,
        payload: str = "1",
        owner: str = "planner",
        token: str = "t",
    ) -> Tracked:
        request = Tracked(
            id=id,
            number=0,
            kind="llm",
            owner=owner,
            status="running",
            payload=payload,
            progress="",
            result="",
            reason="",
            attempt=1,
            retry=retry,
            began_us=self.now,
            changed_us=self.now,
            deadline_us=self.now + round(deadline * SECOND) if deadline else 0,
            next_at_us=0,
            life="1.1",
            token=token,
        )
        return self.table.begin(request, self.now)

    def end(self, id: str, status: End_ = "finished", *, attempt: int = 0) -> Tracked | None:
        return self.table.end(
            id, status, result="2", reason="", may_retry=True, attempt=attempt, now=self.now
        )

    def interrupt(self) -> list[Tracked]:
        return self.table.interrupt(lambda _: True, "why", self.now)

    def take(
        self, token: str = "x", is_meant: Callable[[Tracked], bool] = lambda _: True
    ) -> list[str]:
        taker = ("critic", "1.7")
        found = self.table.take(is_meant, 10, taker=taker, token=token, now=self.now)
        return [request.id for request in found]

    def pass_(self, seconds: float) -> list[str]:
        """Let time pass as a timer does, from due to due; the ids that expired."""
        end = self.now + round(seconds * SECOND)
        expired = []
        while (due := self.table.next_due) is not None and due <= end:
            self.now = max(self.now, due)
            expired += [request.id for request in self.table.advance(self.now)]
        self.now = end
        return expired

    def status(self, id: str) -> str:
        request = self.table.get(id, self.now)
        return "unknown" if request is None else request.status


@pytest.fixture
def table() -> Table:
    return Table()


def test_a_request_expires_once_and_only_if_it_is_in_flight(table: Table) -> None:
    table.begin("a", deadline=5)
    table.begin("b", deadline=5)
    table.begin("c")
    table.end("b")
    assert table.pass_(4.9) == []
    assert table.pass_(0.1) == ["a"]
    assert table.pass_(1_000) == []
    assert table.status("c") == "running"


def test_the_first_end_counts(table: Table) -> None:
    table.begin("a", deadline=5)
    table.pass_(5)
    late = table.end("a")
    assert late is not None
    assert (late.status, late.result) == ("expired", "")
    assert table.end("nobody") is None


def test_what_has_ended_is_known_for_a_while_and_not_without_bound() -> None:
    table = Table(kept=3)
    for n in range(5):
        table.begin(f"{n}")
        table.end(f"{n}")
    assert [table.status(f"{n}") for n in range(5)] == ["unknown"] * 2 + ["finished"] * 3
    table.pass_(60)
    assert table.status("4") == "unknown"
    assert table.table.next_due is None, "no timer where there is nothing to do"


def test_the_table_is_bounded_by_number_and_by_bytes() -> None:
    table = Table(requests=2, bytes=3_000)
    table.begin("a")
    table.begin("b")
    with pytest.raises(CapacityError, match="max_requests"):
        table.begin("c")
    table.end("a")
    with pytest.raises(CapacityError, match="max_bytes"):
        table.begin("c", payload="x" * 2_500)
    with pytest.raises(CapacityError, match="max_bytes"):
        table.table.update("b", "x" * 3_000, 0, table.now)
    table.begin("c", payload="x" * 1_000)
    for id in ("b", "c"):
        table.end(id)
    assert table.table.bytes == 0


def test_the_same_message_again_begins_nothing_twice(table: Table) -> None:
    first = table.begin("a", token="one")
    assert table.begin("a", token="one") is first
    with pytest.raises(InvalidInputError, match="in flight already"):
        table.begin("a", token="two")
    table.end("a")
    assert table.begin("a", token="two").number == 2


def test_a_failure_is_tried_again_later_and_later_until_its_attempts_are_used(
    table: Table,
) -> None:
    table.begin("a", retry=RETRY)
    waits = []
    for attempt in (1, 2):
        failed = table.end("a", "failed")
        assert failed is not None
        assert (failed.status, failed.attempt) == ("retrying", attempt)
        assert table.end("a", "failed") == failed, "told again"
        waits.append((failed.next_at_us - table.now) / SECOND)
        assert table.take() == []
        table.pass_(waits[-1])
        assert table.take() == ["a"]
        assert table.take() == [], "each to one taker"
    assert waits == [1.0, 2.0]
    last = table.end("a", "failed")
    assert last is not None
    assert (last.status, last.attempt) == ("failed", 3)


def test_a_failure_without_a_policy_is_the_end(table: Table) -> None:
    table.begin("a")
    table.end("a", "failed")
    assert table.status("a") == "failed"


def test_what_is_interrupted_is_handed_over_once(table: Table) -> None:
    table.begin("plain")
    table.begin("retried", retry=RETRY)
    table.begin("done")
    table.end("done")
    assert [one.id for one in table.interrupt()] == ["plain", "retried"]
    assert table.interrupt() == []
    assert table.take(token="x") == ["plain"], "the other when its backoff is over"
    table.pass_(1)
    assert table.take(token="y") == ["retried"]
    assert [one.id for one in table.table.taken("x")] == ["plain"]
    assert table.take() == []
    taken = table.table.get("plain", table.now)
    assert taken is not None
    assert (taken.owner, taken.life, taken.attempt, taken.status) == ("critic", "1.7", 2, "running")


def test_a_policy_without_attempts_left_makes_an_interruption_the_end(table: Table) -> None:
    table.begin("a", retry=Retry(max_attempts=1))
    table.interrupt()
    assert table.status("a") == "failed"


def test_an_old_attempt_cannot_end_a_new_one(table: Table) -> None:
    table.begin("a")
    table.interrupt()
    table.take()
    with pytest.raises(Conflict) as refused:
        table.end("a", attempt=1)
    assert (refused.value.expected, refused.value.current) == (1, 2)
    ended = table.end("a", attempt=2)
    assert ended is not None
    assert ended.status == "finished"


def test_a_long_series_of_attempts_waits_no_longer_than_it_says(table: Table) -> None:
    table.begin("a", retry=Retry(max_attempts=1_000, backoff=1, factor=100, backoff_max=5))
    for _ in range(400):
        table.interrupt()
        table.pass_(5)
        assert table.take() == ["a"]


def test_what_a_checkpoint_kept_is_interrupted_and_newer_ones_stay(table: Table) -> None:
    table.begin("a", payload='{"a": "\\"quoted\\""}')
    table.begin("late", deadline=5)
    table.begin("known")
    kept = msgspec.json.encode(table.table.held())
    other = Table()
    other.now = table.now + 10 * SECOND
    other.begin("known", payload="7")
    held = msgspec.json.decode(kept, type=list[HeldRequest])
    assert other.table.hold(held, "restored", other.now) == (2, 1)
    assert other.pass_(0) == ["late"], "its deadline is over"
    assert other.take() == ["a"]
    request = other.table.get("a", other.now)
    known = other.table.get("known", other.now)
    assert request is not None
    assert known is not None
    assert request.payload == '{"a": "\\"quoted\\""}'
    assert known.payload == "7"


@pytest.mark.parametrize(
    "retry",
    [
        Retry(max_attempts=0),
        Retry(backoff=-1),
        Retry(factor=0.5),
        Retry(backoff_max=float("inf")),
        Retry(backoff=float("nan")),
    ],
)
def test_a_policy_that_makes_no_sense_is_refused_by_name(retry: Retry) -> None:
    with pytest.raises(InvalidInputError, match=r"retry\."):
        check_retry(retry)
