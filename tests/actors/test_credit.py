"""Credit: whoever has something to send gets to send it in the end."""

from __future__ import annotations

import pytest

from holdfast.actors.link import Link
from tests.actors.conversing import Journal, Wire, receiver


@pytest.mark.parametrize("idle", [0, 3, 4, 20])
def test_a_frame_that_overdraws_a_mailbox_of_granted_room_is_not_the_last(idle: int) -> None:
    """Idle senders hold all the room; who comes later may send one message, in a frame of many."""
    shared = receiver(mailbox_limit=40, count_of=len)
    for n in range(idle):
        Wire(Link(to="critic", sender=f"idle{n}", incarnation="1"), shared).move(1 << 20)
    sender = Link(to="critic", sender="late", incarnation="1", pack=list)
    for n in range(2_000):
        sender.offer(n, 8)
    handle = Journal()
    Wire(sender, shared).settle(handle)
    assert [n for frame in handle.messages for n in frame] == list(range(2_000))
    assert sender.idle
