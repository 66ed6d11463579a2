"""The outbox: what an acknowledgement lets go of."""

from __future__ import annotations

from typing import Any

from holdfast.actors.delivery import Delivery
from tests.actors.conversing import Wire, link, receiver


def test_a_tell_acknowledged_before_the_result_of_the_command_before_it_is_let_go() -> None:
    """A receiver answers a command later than the tell behind it, or in the same output."""
    sender, results = link(), list[Any]()
    sender.command("first", results.append)
    sender.tell("second")
    wire = Wire(sender, receiver())
    commands: list[Delivery] = []
    for _ in range(4):
        for delivery in wire.move(1 << 20):
            if delivery.kind == "command":
                commands.append(delivery)
            else:
                delivery.done()
    assert sender.queued == 2
    commands[0].set("result")
    wire.move(1 << 20)
    assert results == ["result"]
    assert sender.queued == 0
    assert sender.idle
