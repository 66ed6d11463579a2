"""A process of its own that stores events with keys, and says of each when it is committed.

``python -m tests.actors.keyed_sender RUN_DIR NAME COUNT``: one line for each acknowledgement, the
number of the event and the sequence number it was told.  It asks, so that a death leaves it
without an answer: then it asks again, with the same key.
"""

from __future__ import annotations

import itertools
import sys
import time

import msgspec

import holdfast
from holdfast.actors.messages.writer import Relay
from holdfast.errors import ActorDied
from holdfast.storage.records import Appended, Event, Origin


def main(run_dir: str, name: str, count: int) -> None:
    """Each event is there before the next is sent."""
    with holdfast.connect(run_dir, source=name) as hub:
        writer = hub.ref("writer")
        for n in range(count):
            event = Event(time.time_ns() // 1000, "keyed", name, key=str(n), data=str(n))
            events = msgspec.Raw(msgspec.msgpack.encode([event]))
            for attempt in itertools.count():
                # A sender that nobody has heard of: no mark keeps a repeat out.
                origin = Origin(name, f"{n}.{attempt}", "log", 1)
                try:
                    answer = writer.ask(Relay(origin, events), timeout=30.0)
                    break
                except ActorDied:
                    pass  # whether it was started or not: again, with the key
            stored = msgspec.convert(answer, Appended)
            seq = stored.repeated[0][1] if stored.repeated else stored.first_seq
            print(n, seq, len(stored.repeated), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
