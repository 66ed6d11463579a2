"""Single flight: one makes it, the others wait."""

from __future__ import annotations

import pytest

from holdfast.actors.loads import LEASE, Loads, Waiter


class Asker(Waiter):
    gone = False

    @property
    def is_gone(self) -> bool:
        return self.gone


@pytest.fixture
def loads() -> Loads[str, Asker]:
    return Loads(name="1.1")


def askers(count: int, deadline: float = 100.0) -> list[Asker]:
    return [Asker(deadline) for _ in range(count)]


def test_one_has_the_task_and_all_others_get_the_result(loads: Loads[str, Asker]) -> None:
    first, *others = askers(4)
    assert loads.join("a", first, 0) is not None
    assert [loads.join("a", other, 0) for other in others] == [None, None, None]
    assert loads.finish("a") == others
    assert loads.finish("a") == []
    assert "a" not in loads


def test_things_are_made_independently(loads: Loads[str, Asker]) -> None:
    one, two = askers(2)
    tickets = {turn.ticket for turn in (loads.join("a", one, 0), loads.join("b", two, 0)) if turn}
    assert len(tickets) == 2


def test_a_loader_that_fails_passes_the_task_on(loads: Loads[str, Asker]) -> None:
    first, second, third = askers(3)
    turn = loads.join("a", first, 0)
    assert turn is not None
    loads.join("a", second, 0)
    loads.join("a", third, 0)
    was_its_own, next_turn = loads.give_up(turn.ticket, 1)
    assert was_its_own
    assert next_turn is not None
    assert next_turn.waiter is second
    assert loads.give_up(turn.ticket, 1) == (False, None)
    assert loads.finish("a") == [third]


def test_a_silent_loader_loses_the_task_and_one_at_work_keeps_it(
    loads: Loads[str, Asker],
) -> None:
    first, second = askers(2)
    turn = loads.join("a", first, 0)
    assert turn is not None
    loads.join("a", second, 0)
    assert loads.renew(turn.ticket, LEASE - 1)
    assert loads.overdue(LEASE) == []
    assert [turn.waiter for turn in loads.overdue(2 * LEASE)] == [second]
    assert not loads.renew(turn.ticket, 2 * LEASE)


def test_a_loader_whose_connection_ended_loses_the_task_at_once(loads: Loads[str, Asker]) -> None:
    first, second = askers(2)
    loads.join("a", first, 0)
    loads.join("a", second, 0)
    first.gone = True
    assert [turn.waiter for turn in loads.overdue(0.1)] == [second]


def test_who_does_not_wait_any_more_is_not_given_the_task(loads: Loads[str, Asker]) -> None:
    first, gone, late, last = askers(4)
    gone.gone, late.deadline = True, 2.0
    turn = loads.join("a", first, 0)
    assert turn is not None
    for asker in (gone, late, last):
        loads.join("a", asker, 0)
    _, next_turn = loads.give_up(turn.ticket, 3.0)
    assert next_turn is not None
    assert next_turn.waiter is last


def test_nobody_has_the_task_when_nobody_waits(loads: Loads[str, Asker]) -> None:
    turn = loads.join("a", askers(1)[0], 0)
    assert turn is not None
    assert loads.give_up(turn.ticket, 0) == (True, None)
    assert loads.join("a", askers(1)[0], 0) is not None
