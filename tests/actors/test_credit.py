"""Credit: whoever has something to send gets to send it in the end."""

from __future__ import annotations

import msgspec
import pytest

from holdfast.actors.link import Link
from tests.actors.conversing import Journal, Wire, pack, receiver


@pytest.mark.parametrize("idle", [0, 3, 4, 20])
def test_a_frame_that_overdraws_a_mailbox_of_granted_room_is_not_the_last(idle: int) -> None:
    """Idle senders hold all the room; who comes later may send one message, in a frame of many."""
    shared = receiver(mailbox_limit=40, count_of=len)
    for n in range(idle):
        Wire(Link(to="critic", sender=f"idle{n}", incarnation="1"), shared).move(1 << 20)
    sender = Link(to="critic", sender="late", incarnation="1", pack=pack)
    for n in range(2_000):
        sender.offer(msgspec.msgpack.encode(n))
    handle = Journal()
    Wire(sender, shared).settle(handle)
    assert [n for frame in handle.messages for n in frame] == list(range(2_000))
    assert sender.idle


@pytest.mark.parametrize(("idle", "share"), [(4, 100), (100, 63)])
def test_senders_that_are_idle_do_not_starve_one_that_came_later(idle: int, share: int) -> None:
    """Idle ones hold all the room that was granted; a 64th is everybody's, or what is fair."""
    shared = receiver(mailbox_limit=6_400)
    for n in range(idle):
        Wire(Link(to="critic", sender=f"idle{n}", incarnation="1"), shared).move(1 << 20)
    assert shared.granted >= 6_400
    sender = Link(to="critic", sender="late", incarnation="1")
    for n in range(1_000):
        sender.tell(n)
    wire = Wire(sender, shared)
    arrived = [delivery for _ in range(4) for delivery in wire.move(1 << 20)]
    assert len(arrived) == share
    for delivery in arrived:
        delivery.done()
    assert len([delivery for _ in range(4) for delivery in wire.move(1 << 20)]) == share
