"""What a child shows of itself to its supervisor: signs of life, its stack; figures, when asked.

The first two are in its flight record, which outlives it.  Lost when the supervisor dies: the
record.
"""

from __future__ import annotations

import faulthandler
import os
import signal
from collections.abc import MutableMapping, Sequence
from typing import Final

from holdfast.actors.mailbox import Mailbox
from holdfast.actors.messages.lifeline import StatusReply
from holdfast.actors.messages.supervisor import ChildStatus, GoneActor
from holdfast.actors.recorder import FlightRecorder
from holdfast.supervisors.evidence import RECORDER

__all__ = ["STACK_SIGNAL", "open_record", "status_of"]

# Has a child write down its stacks.  A real-time signal, the last one: agents may have uses of
# their own for SIGUSR1 and SIGUSR2, and Ctrl-\ sends SIGQUIT to all processes of a terminal.
STACK_SIGNAL: Final = signal.SIGRTMAX


def open_record(descriptors: MutableMapping[str, int]) -> FlightRecorder:
    """Map this life's record, taken out of ``descriptors``, and let stacks be written behind it.

    The descriptor stays open for them.  faulthandler writes them inside the signal's handler,
    which needs neither the interpreter nor a lock: a thread that is stuck with both has a stack.
    """
    record = descriptors.pop(RECORDER)
    os.set_inheritable(record, False)
    os.lseek(record, 0, os.SEEK_END)
    faulthandler.register(STACK_SIGNAL, file=record, all_threads=True)
    return FlightRecorder(record)


def status_of(
    mailbox: Mailbox,
    ident: int,
    children: Sequence[ChildStatus] = (),
    gone: Sequence[GoneActor] = (),
) -> StatusReply:
    """The answer to GetStatus ``ident`` of the process with this mailbox."""
    now, handling = mailbox.monotonic(), mailbox.handling
    handling.sample(now, mailbox.handled)  # of the root, which has no pulse
    return StatusReply(
        ident,
        mailbox.length,
        mailbox.handled,
        list(children),
        list(gone),
        mailbox.traffic,
        rate=handling.rate(now, mailbox.handled),
        handling=handling.filled,
        handling_seconds=handling.seconds,
    )
