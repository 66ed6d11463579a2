"""What the HTTP door has seen in this life, for its status and for metrics."""

from __future__ import annotations

import msgspec

__all__ = ["HttpFigures"]


class HttpFigures(msgspec.Struct):
    """Counts of one life; ``clients`` and ``streams`` are those of now.

    ``errors`` were answered with a status from 400, of them ``denied`` for a wrong token;
    ``refused`` connections were one too many; ``slow`` ones did not read; ``late`` ones did not
    say a whole request in time.
    """

    url: str = ""
    token_file: str = ""  # "" where it comes from elsewhere
    clients: int = 0
    streams: int = 0
    requests: int = 0
    errors: int = 0
    denied: int = 0
    refused: int = 0
    slow: int = 0
    late: int = 0
    pushed: int = 0  # events, over streams
