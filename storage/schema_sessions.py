"""Tables: what sessions hold besides their data."""

from __future__ import annotations

from typing import Final

__all__ = ["MIGRATION"]

MIGRATION: Final = ""
