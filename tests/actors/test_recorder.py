"""The flight recorder: what is found in it after a crash."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from holdfast.actors.recorder import (
    NAMES,
    SLOTS,
    FlightRecorder,
    InHand,
    LastLife,
    Signs,
    Suspect,
    create,
    in_hand,
    read_signs,
    read_stacks,
)

TIMEOUT = 30.0

CHILD = """
import sys
from holdfast.actors.recorder import FlightRecorder
recorder = FlightRecorder(int(sys.argv[1]))
slot = recorder.seat("planner", "5.1.2", 2**64 - 1)
for number in range(1, 8):
    recorder.idle()
    recorder.begin(1.0, slot, "command", 100 + number, number, str)
print("in hand", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def record() -> Iterator[int]:
    fd = create("test")
    yield fd
    os.close(fd)


def test_a_killed_process_leaves_what_it_had_in_hand(record: int) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(record)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[record],
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"in hand\n"
        child.kill()
        assert child.wait(TIMEOUT) == -9
    assert in_hand(record) == InHand("planner", "5.1.2", "command", 107)
    last = LastLife(record, incarnation="5.2.1", suspects=[])
    assert last.reached("planner", "5.1.2") == (2**64 - 1, 7)
    assert last.reached("planner", "5.1.3") is None


def test_an_idle_actor_has_nothing_in_hand(record: int) -> None:
    assert in_hand(record) is None
    recorder = FlightRecorder(record)
    slot = recorder.seat("a", "1", 11)
    recorder.begin(1.0, slot, "ask", 1, 1, str)
    recorder.idle()
    assert in_hand(record) is None
    recorder.close()


def test_a_connection_that_ended_leaves_its_slot_to_the_next(record: int) -> None:
    recorder = FlightRecorder(record)
    first = recorder.seat("a", "1", 11)
    recorder.begin(1.0, first, "ask", 5, 5, str)
    recorder.leave(first)
    assert recorder.seat("b", "1", 12) == first
    recorder.begin(1.0, first, "ask", 2, 2, str)
    recorder.close()
    last = LastLife(record, incarnation="1", suspects=[])
    assert last.reached("a", "1") is None
    assert last.reached("b", "1") == (12, 2)


def test_more_connections_than_slots_go_unrecorded_and_do_no_harm(record: int) -> None:
    recorder = FlightRecorder(record)
    slots = [recorder.seat(f"s{n}", "1", n) for n in range(SLOTS + 2)]
    assert slots[-1] == 0
    assert len(set(slots)) == SLOTS + 1
    recorder.begin(1.0, 0, "tell", 1, 9, str)
    recorder.close()
    assert in_hand(record) is None


def test_a_name_that_is_too_long_goes_unrecorded(record: int) -> None:
    recorder = FlightRecorder(record)
    assert recorder.seat("x" * 300, "1", 1) == 0
    recorder.close()


@pytest.mark.parametrize(("deaths", "is_poison"), [(1, False), (2, True), (3, True)])
def test_a_message_is_poison_when_it_was_in_hand_at_two_deaths_in_a_row(
    record: int, deaths: int, is_poison: bool
) -> None:
    message = InHand("planner", "1", "tell", 7)
    last = LastLife(record, incarnation="2", suspects=[Suspect(message, deaths, "signal 9")])
    assert (last.poison(message) is not None) == is_poison
    assert last.poison(InHand("planner", "1", "tell", 8)) is None
    assert last.poison(InHand("planner", "1", "ask", 7)) is None


def test_the_record_tells_what_is_in_hand_and_since_when(record: int) -> None:
    recorder = FlightRecorder(record)
    assert read_signs(record) == Signs()
    recorder.begin(1.5, recorder.seat("a", "1", 11), "ask", 1, 1, dict)
    assert read_signs(record) == Signs(taken=1, since=1.5, last_message="dict")
    recorder.idle()
    assert read_signs(record) == Signs(taken=1, last_message="dict")
    recorder.begin_own(2.5)
    assert read_signs(record) == Signs(taken=2, since=2.5, last_message="dict", is_own=True)
    recorder.begin(3.5, 1, "departed", 0, 2, object)
    assert read_signs(record) == Signs(taken=3, since=3.5, last_message="dict")


def test_nobody_is_blamed_for_a_message_of_the_actors_own_or_one_absolved(record: int) -> None:
    recorder = FlightRecorder(record)
    slot = recorder.seat("a", "1", 11)
    recorder.begin(1.0, slot, "tell", 1, 1, dict)
    assert in_hand(record) == InHand("a", "1", "tell", 1)
    recorder.absolve()
    assert in_hand(record) is None
    assert read_signs(record).since == 1.0  # the handler works on
    recorder.begin(2.0, slot, "tell", 2, 2, dict)
    recorder.begin_own(3.0)
    assert in_hand(record) is None


def test_a_sign_of_life_is_seen_in_the_record(record: int) -> None:
    recorder = FlightRecorder(record)
    recorder.beats("always")
    recorder.beat(7.25)
    recorder.begin(1.0, 1, "tell", 1, 1, dict)
    assert read_signs(record) == recorder.signs()
    assert (recorder.signs().beat, recorder.signs().beats) == (7.25, "always")


def test_more_types_of_messages_than_places_have_no_name(record: int) -> None:
    recorder = FlightRecorder(record)
    types = [type(f"Message{n}{'x' * 60}", (), {}) for n in range(NAMES + 1)]
    for type_ in types:
        recorder.begin(1.0, 0, "tell", 1, 1, type_)
    assert read_signs(record).last_message == ""
    recorder.begin(1.0, 0, "tell", 1, 1, types[NAMES - 1])
    assert read_signs(record).last_message.startswith(f"Message{NAMES - 1}x")


def test_stacks_are_written_behind_the_record(record: int) -> None:
    FlightRecorder(record).beat(1.0)
    assert read_stacks(record) == ""
    os.lseek(record, 0, os.SEEK_END)
    os.write(record, b"Current thread\n")
    assert read_stacks(record) == "Current thread\n"
    assert read_signs(record).beat == 1.0
