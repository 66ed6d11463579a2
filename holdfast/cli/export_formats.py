"""What ``events export`` writes: our JSON lines, or CloudEvents, one a line or as an array."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final, Literal

from holdfast.cli.event_lines import as_json, without_line_ends

if TYPE_CHECKING:
    from holdfast.actors.hub import Event

__all__ = ["FORMATS", "Format", "formatted"]

Format = Literal["jsonl", "cloudevents", "cloudevents-batch"]
FORMATS: Final[tuple[Format, ...]] = ("jsonl", "cloudevents", "cloudevents-batch")


def formatted(events: Iterator[Event], format: Format) -> Iterator[str]:
    """The lines of the file."""
    match format:
        case "jsonl":
            yield from map(as_json, events)
        case "cloudevents":
            yield from map(_as_cloudevent, events)
        case "cloudevents-batch":
            yield "["
            line = None
            for event in events:
                if line is not None:
                    yield line + ","
                line = _as_cloudevent(event)
            if line is not None:
                yield line
            yield "]"


def _as_cloudevent(event: Event) -> str:
    from holdfast.cloudevents import to_cloudevent

    return without_line_ends(json.dumps(to_cloudevent(event), ensure_ascii=False))
