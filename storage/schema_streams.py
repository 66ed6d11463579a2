"""Tables: payloads, streams and retention of events."""

from __future__ import annotations

from typing import Final

__all__ = ["MIGRATION"]

MIGRATION: Final = ""
