"""What the exporter says of itself; counts are of one life of its process."""

from __future__ import annotations

import msgspec

__all__ = ["Figures"]


class Figures(msgspec.Struct):
    """``behind`` numbers of events are committed and not exported; not all are asked for.

    Lost are: ``pruned`` before they were read, ``given_up`` since too many waited, ``refused`` by
    the collector one by one; ``rejected`` are records that it took and did not keep.
    """

    logs: int = 0
    spans: int = 0
    requests: int = 0
    failures: int = 0  # requests that were not answered, or by "later"
    rejected: int = 0
    pruned: int = 0
    given_up: int = 0
    refused: int = 0
    behind: int = 0
    away: bool = False
