"""Link and intake against each other, without a socket: any split, any break, any restart."""

from __future__ import annotations

import os
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pykka import ActorDeadError

from holdfast.actors.delivery import Delivery
from holdfast.actors.intake import Intake
from holdfast.actors.link import Link
from holdfast.actors.recorder import FlightRecorder, LastLife, create
from holdfast.actors.wire import VERSION, Hello, encode_frame
from holdfast.errors import (
    ActorDied,
    Conflict,
    FrameError,
    ProtocolError,
    RemoteError,
    VersionError,
)
from tests.actors.conversing import Journal, Wire, greeted, link, receiver


@given(seed=st.integers(min_value=0, max_value=2**32))
@settings(max_examples=80, deadline=None)
def test_tells_arrive_in_order_and_once_whatever_connections_break(seed: int) -> None:
    """The receiver lives on, so there are no repeats either."""
    chance = random.Random(seed)
    shared, sender = receiver(), link()
    wire = Wire(sender, shared)
    handle = Journal()
    waiting: list[Delivery] = []
    told = 0
    for _ in range(chance.randrange(20, 120)):
        action = chance.random()
        if action < 0.35:
            sender.tell(told)
            told += 1
        elif action < 0.8:
            waiting += wire.move(chance.choice((1, 7, 40, 1_000)))
        elif action < 0.95 and waiting:
            handle(waiting.pop(0))
        else:
            wire.cut()
            wire = Wire(sender, shared)
    for delivery in waiting:
        handle(delivery)
    wire.settle(handle)
    assert handle.messages == list(range(told))
    assert sender.idle
    assert sender.queued == sender.queued_bytes == 0


@given(seed=st.integers(min_value=0, max_value=2**32))
@settings(max_examples=80, deadline=None)
def test_a_repeat_after_the_receivers_death_says_so(seed: int) -> None:
    chance = random.Random(seed)
    sender, life = link(), 1
    shared = receiver()
    wire = Wire(sender, shared)
    handle = Journal()
    told = 0
    for _ in range(chance.randrange(20, 80)):
        action = chance.random()
        if action < 0.4:
            sender.tell(told)
            told += 1
        elif action < 0.9:
            for delivery in wire.move(chance.choice((7, 40, 1_000))):
                if chance.random() < 0.3:
                    handle.repeats.append((delivery.message, delivery.redelivered))
                    break  # it dies in this handler
                handle(delivery)
            else:
                continue
            wire.cut()
            life += 1
            shared = receiver(incarnation=f"1.{life}")
            wire = Wire(sender, shared)
    wire.settle(handle)
    seen: set[Any] = set()
    highest = -1
    for number, redelivered in handle.repeats:
        assert redelivered or number not in seen, "a repeat that is not marked"
        assert number <= highest + 1, "a gap"
        seen.add(number)
        highest = max(highest, number)
    assert seen == set(range(told))


def test_no_more_is_sent_than_the_mailbox_has_room_for() -> None:
    shared, sender = receiver(mailbox_limit=40), link()
    for n in range(1_000):
        sender.tell(n)
    wire = Wire(sender, shared)
    arrived = [delivery for _ in range(50) for delivery in wire.move(1 << 20)]
    assert len(arrived) == shared.window == 10
    for delivery in arrived:
        delivery.done()
    assert wire.move(1 << 20) == []
    assert len(wire.move(1 << 20)) == 10


def test_every_sender_may_send_one_message_though_the_mailbox_is_full() -> None:
    shared = receiver(mailbox_limit=4)
    wires = []
    for n in range(10):
        sender = Link(to="critic", sender=f"s{n}", incarnation="1")
        sender.tell(n)
        wires.append(Wire(sender, shared))
    arrived = [delivery.message for wire in wires for _ in range(4) for delivery in wire.move(999)]
    assert arrived == list(range(10))


def test_a_sender_that_ignores_its_credit_is_refused() -> None:
    shared = receiver(mailbox_limit=1)
    intake = greeted(shared, "flood")
    intake.receive(encode_frame([5, 1, None])[4:])
    with pytest.raises(FrameError, match="without credit"):
        intake.receive(encode_frame([5, 2, None])[4:])


def test_an_ask_that_was_sent_fails_as_started_when_the_actor_dies() -> None:
    shared, sender = receiver(), link()
    wire = Wire(sender, shared)
    outcomes: list[Any] = []
    sender.ask("sent", outcomes.append, idempotent=False)
    wire.move(1 << 20)
    wire.move(1 << 20)
    sender.ask("not sent", outcomes.append, idempotent=False)
    wire.cut()
    sender.give_up_limbo()
    (died,) = outcomes
    assert isinstance(died, ActorDied)
    assert died.started
    again = Wire(sender, receiver())
    again.settle(lambda delivery: delivery.set("answer"))
    assert outcomes[1:] == ["answer"]


def test_what_the_last_life_never_took_in_hand_is_asked_of_the_next() -> None:
    """Scenario 28: the flight recorder tells them apart."""
    record = create("critic")
    recorder = FlightRecorder(record)
    sender = link()
    wire = Wire(sender, receiver(recorder=recorder))
    outcomes: list[Any] = []
    for question in ("in hand", "waiting", "waiting too"):
        sender.ask(question, outcomes.append, idempotent=False)
    wire.move(1 << 20)
    in_hand, *_ = wire.move(1 << 20)
    recorder.begin(1.0, in_hand.intake.slot, "ask", in_hand.number, in_hand.position, str)
    last = LastLife(record, incarnation="1.1")  # as it was when the actor died
    wire.cut()
    assert outcomes == []
    wire = Wire(sender, receiver(incarnation="1.2", last_life=last))
    wire.settle(lambda delivery: delivery.set(f"answer to {delivery.message}"))
    died, *answers = outcomes
    assert isinstance(died, ActorDied)
    assert died.started
    assert answers == ["answer to waiting", "answer to waiting too"]
    recorder.close()
    os.close(record)


def test_what_an_actor_that_stops_has_not_received_is_asked_of_the_next() -> None:
    """Its farewell says how much has come; it may still be handled what had."""
    sender = link()
    wire = Wire(sender, receiver())
    outcomes: list[Any] = []
    sender.ask("in hand", outcomes.append, idempotent=False)
    wire.move(1 << 20)
    wire.move(1 << 20)
    sender.ask("on its way", outcomes.append, idempotent=False)
    sender.outgoing()  # as far as the socket of the one that stops
    wire.intake.farewell()
    wire.bring(1 << 20)
    wire.cut()
    sender.give_up_limbo()
    Wire(sender, receiver(incarnation="1.2")).settle(lambda delivery: delivery.set("answer"))
    died, answer = outcomes
    assert isinstance(died, ActorDied)
    assert died.started
    assert answer == "answer"


def test_what_an_actor_that_stops_has_not_handled_is_asked_of_the_next() -> None:
    sender = link()
    wire = Wire(sender, receiver())
    outcomes: list[Any] = []
    sender.ask("waiting", outcomes.append, idempotent=False)
    wire.move(1 << 20)
    (waiting,) = wire.move(1 << 20)
    waiting.set_exception((None, ActorDeadError("critic stopped"), None))
    wire.bring(1 << 20)
    assert outcomes == []
    wire.cut()
    Wire(sender, receiver(incarnation="1.2")).settle(lambda delivery: delivery.set("answer"))
    assert outcomes == ["answer"]


def test_the_record_of_another_life_proves_nothing() -> None:
    record = create("critic")
    sender = link()
    wire = Wire(sender, receiver(recorder=FlightRecorder(record)))
    outcomes: list[Any] = []
    sender.ask("what", outcomes.append, idempotent=False)
    wire.move(1 << 20)
    wire.move(1 << 20)
    last = LastLife(record, incarnation="1.2")
    wire.cut()
    Wire(sender, receiver(incarnation="1.3", last_life=last)).settle(lambda delivery: None)
    (died,) = outcomes
    assert isinstance(died, ActorDied)
    assert died.started
    os.close(record)


def test_an_idempotent_ask_is_asked_again() -> None:
    sender = link()
    wire = Wire(sender, receiver())
    outcomes: list[Any] = []
    sender.ask("who", outcomes.append, idempotent=True)
    wire.move(1 << 20)
    wire.move(1 << 20)
    wire.cut()
    assert outcomes == []
    Wire(sender, receiver()).settle(lambda delivery: delivery.set("me"))
    assert outcomes == ["me"]


def test_a_late_reply_is_dropped_and_counted() -> None:
    """Scenario 31: the next ask gets its own answer."""
    sender = link()
    wire = Wire(sender, receiver())
    outcomes: list[Any] = []
    late = sender.ask("slow", outcomes.append, idempotent=True)
    wire.move(1 << 20)
    (delivery,) = wire.move(1 << 20)
    assert sender.abandon(late)
    sender.ask("next", outcomes.append, idempotent=True)
    delivery.set("late")
    wire.settle(lambda delivery: delivery.set("of the next"))
    assert outcomes == ["of the next"]
    assert sender.late_replies == 1


def test_a_tell_that_is_acknowledged_before_an_earlier_commands_result_is_not_owed() -> None:
    """The acknowledgement comes once; the tell leaves with the command in front of it."""
    sender = link()
    wire = Wire(sender, receiver())
    outcomes: list[Any] = []
    sender.command("put", outcomes.append)
    sender.tell("touch")
    wire.move(1 << 20)
    command, tell = wire.move(1 << 20)
    tell.done()
    wire.move(1 << 20)
    command.set("stored")
    wire.move(1 << 20)
    assert outcomes == ["stored"]
    assert sender.queued == 0
    assert sender.idle


@pytest.mark.parametrize(
    ("raised", "comes_back_as"),
    [
        (Conflict("session 's'", expected="1", current="2"), Conflict),
        (ValueError("no"), RemoteError),
        (KeyError("x"), RemoteError),
    ],
)
def test_an_exception_in_an_ask_comes_back_to_the_caller(
    raised: Exception, comes_back_as: type[Exception]
) -> None:
    sender = link()
    wire = Wire(sender, receiver())
    outcomes: list[Any] = []
    sender.ask("what", outcomes.append, idempotent=True)
    wire.settle(lambda delivery: delivery.set_exception((type(raised), raised, None)))
    assert isinstance(outcomes[0], comes_back_as)
    assert str(raised.args[0]) in str(outcomes[0]) or isinstance(raised, Conflict)


def test_a_reply_that_cannot_be_encoded_is_an_error_of_the_caller_alone() -> None:
    sender = link()
    wire = Wire(sender, receiver())
    outcomes: list[Any] = []
    sender.ask("what", outcomes.append, idempotent=True)
    wire.settle(lambda delivery: delivery.set(object()))
    assert isinstance(outcomes[0], RemoteError)


def test_a_peer_of_another_version_is_told_which() -> None:
    intake = Intake(receiver(), wake=lambda: None)
    with pytest.raises(VersionError, match="speaks version 3 of the protocol, not 99"):
        intake.receive(encode_frame(Hello(99, "critic", "s", "1", 1, False))[4:])


def test_a_connection_to_the_wrong_actor_is_refused() -> None:
    intake = Intake(receiver(), wake=lambda: None)
    with pytest.raises(ProtocolError, match="this is actor 'critic', not 'log'"):
        intake.receive(encode_frame(Hello(VERSION, "log", "s", "1", 1, False))[4:])


def test_a_refused_link_fails_what_waits_and_what_comes_after() -> None:
    sender = link()
    outcomes: list[Any] = []
    sender.ask("first", outcomes.append, idempotent=True)
    sender.connected()
    with pytest.raises(VersionError):
        sender.receive(encode_frame([2, "VersionError", "too old"])[4:])
    assert isinstance(outcomes[0], VersionError)
    with pytest.raises(VersionError, match="too old"):
        sender.tell("more")


def test_items_offered_one_by_one_travel_in_one_frame() -> None:
    sender = link()
    for n in range(100):
        sender.offer(msgspec.msgpack.encode(n))
    wire = Wire(sender, receiver(mailbox_limit=1_000, count_of=len))
    handle = Journal()
    wire.settle(handle)
    assert handle.messages == [list(range(100))]
    assert sender.queued == 0


def test_a_frame_whose_count_lies_is_refused() -> None:
    shared = receiver(count_of=len)
    intake = greeted(shared, "s")
    with pytest.raises(FrameError, match="promises 3 messages"):
        intake.receive(encode_frame([3, 1, 3, False, [1, 2]])[4:])


def test_what_an_earlier_life_has_answered_is_left_out_and_the_rest_goes_on() -> None:
    """Answers come in any order: the next life is sent the first command, and then the fourth."""
    sender, outcomes = link(), list[Any]()
    wire = Wire(sender, receiver())
    for n in range(4):
        sender.command(["put", n], outcomes.append)
    wire.move(1 << 20)
    for delivery in wire.move(1 << 20)[1:3]:
        delivery.set(delivery.message[1])
    wire.move(1 << 20)
    assert outcomes == [1, 2]
    wire.cut()
    seen: list[Any] = []

    def handle(delivery: Delivery) -> None:
        seen.append((delivery.message[1], delivery.redelivered))
        delivery.set(delivery.message[1])

    Wire(sender, receiver(incarnation="1.2")).settle(handle)
    assert seen == [(0, True), (3, True)]
    assert outcomes == [1, 2, 0, 3]
    assert sender.idle
