"""What a sender can say of the messages it sent to one actor: counts, taken at one moment.

A plain value; the counts live in the link and are lost with the sender's process.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from holdfast.actors.link import Link
from holdfast.actors.messages.supervisor import Traffic
from holdfast.actors.receiver import Receiver

__all__ = ["Counters", "counters_of", "traffic_of"]


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """Messages of this sender to one actor, since the sender began.

    ``accepted`` were queued, ``pending`` (``pending_bytes``) of them are not acknowledged.
    ``duplicates`` had a key that was stored before.  ``dropped`` will not be handled: rows of
    ``dropped``, or dead letters of an actor that is gone.  ``rejected`` found no room and were not
    accepted.  ``late_replies`` came after their timeout and were let go.
    """

    accepted: int
    pending: int
    pending_bytes: int
    duplicates: int
    dropped: int
    rejected: int
    late_replies: int


def counters_of(link: Link) -> Counters:
    """The counts of one link."""
    return Counters(
        accepted=link.accepted,
        pending=link.queued,
        pending_bytes=link.queued_bytes,
        duplicates=link.duplicates,
        dropped=link.dropped,
        rejected=link.rejected,
        late_replies=link.late_replies,
    )


def traffic_of(receiver: Receiver, sent: Iterable[Counters]) -> Traffic:
    """What a process tells its supervisor: who sends to it, and the sums of what it ``sent``."""
    counters = list(sent)
    return Traffic(
        senders=len(receiver.intakes),
        late_answers=receiver.late_answers,
        copies=receiver.copies,
        pending=sum(each.pending for each in counters),
        late_replies=sum(each.late_replies for each in counters),
        rejected=sum(each.rejected for each in counters),
        dropped=sum(each.dropped for each in counters),
    )
