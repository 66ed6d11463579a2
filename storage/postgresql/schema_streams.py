"""Tables: streams of events with versions.

``streams`` has the version of each stream, that is how many events were ever appended to it;
``stream_events`` says which event is which version, for those that are still there.
"""

from __future__ import annotations

from typing import Final

__all__ = ["TABLES"]

TABLES: Final = """
CREATE TABLE streams (
    daemon      text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL CHECK (name <> ''),
    version     bigint NOT NULL CHECK (version > 0),
    PRIMARY KEY (daemon, name)
);
CREATE TABLE stream_events (
    daemon      text COLLATE "C" NOT NULL,
    seq         bigint NOT NULL,
    stream      text COLLATE "C" NOT NULL,
    version     bigint NOT NULL CHECK (version > 0),
    PRIMARY KEY (daemon, seq),
    UNIQUE (daemon, stream, version),
    FOREIGN KEY (daemon, seq) REFERENCES events (daemon, seq) ON DELETE CASCADE,
    FOREIGN KEY (daemon, stream) REFERENCES streams (daemon, name)
);
"""
