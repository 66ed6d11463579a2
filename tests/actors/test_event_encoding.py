"""Events as ``emit`` encodes them: what the log and the writer will read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from holdfast.actors.event_encoding import EventEncoder
from holdfast.storage.records import RawEvent
from tests.clock import ManualClock


class Name(str):
    """Text with a class of its own."""


FIELDS = ("type", "session", "source", "subject", "correlation", "cause", "key")


def read(field: str, text: str) -> RawEvent:
    encoder = EventEncoder(source="test", clock=ManualClock())
    given: dict[str, Any] = dict.fromkeys(FIELDS) | {"type": "t", field: text}
    raw = encoder.encode(data=None, time_us=None, **given)
    event: RawEvent = msgspec.msgpack.decode(raw, type=RawEvent)
    return event


@pytest.mark.parametrize("field", FIELDS)
def test_a_subclass_of_text_is_the_text_it_is(field: str) -> None:
    """Whether or not an equal text came before it."""
    assert read(field, Name("tool:call")) == read(field, "tool:call")
