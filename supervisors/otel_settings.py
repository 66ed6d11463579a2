"""The table ``[otel]``: to which collector events go, as what, and how many at a time."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from holdfast.supervisors.value_kinds import Count, Flag, Period, Seconds, Text

__all__ = ["OtelSettings"]


class OtelSettings(msgspec.Struct, frozen=True, kw_only=True):
    """``[otel]``; ``headers`` and ``certificate`` (a file of authorities) are for the collector.

    ``types`` are globs; ``start`` counts for the first start only.  ``data_bytes`` of an event's
    data are exported, 0 for none.  Batches of ``batch_events`` records, ``batch_bytes`` of them,
    one every ``interval`` seconds while they are not full.  ``timeout`` is for one of them,
    ``backoff_max`` seconds between two tries of one.  While the collector is away ``max_behind``
    events wait for it, 0 for any number.
    """

    enabled: Flag = False
    endpoint: Annotated[
        str,
        Meta(
            pattern=r"\A((env|file):[^\0]+|https?://[^\s@/?#]+(/[^\s@?#]*)?)\Z",
            description='"http://HOST:PORT" or "https://...", without a user or a query, or '
            '"env:NAME" or "file:PATH" for where that stands',
        ),
    ] = "http://127.0.0.1:4318"
    headers: Annotated[
        dict[str, str], Meta(description='a table of texts, as { authorization = "env:NAME" }')
    ] = {}
    certificate: Annotated[str, Meta(description='a path of a file of certificates, or ""')] = ""
    compression: Literal["gzip", "none"] = "gzip"
    service_name: Text = "holdfast"
    logs: Flag = True
    spans: Flag = True
    types: Annotated[
        tuple[Text, ...], Meta(min_length=1, description="a list of globs, at least one")
    ] = ("*",)
    start: Literal["now", "first"] = "now"
    data_bytes: Annotated[int, Meta(ge=0, le=1_048_576, description="a number, 0 to 1048576")] = 0
    batch_events: Annotated[int, Meta(ge=10, le=1_000, description="a number, 10 to 1000")] = 500
    batch_bytes: Annotated[
        int, Meta(ge=65_536, le=64 * 1024 * 1024, description="a number, 65536 to 67108864")
    ] = 4 * 1024 * 1024
    interval: Seconds = 1.0
    timeout: Period = 10.0
    backoff_max: Period = 60.0
    max_behind: Count = 1_000_000
