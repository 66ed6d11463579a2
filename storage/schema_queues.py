"""Tables: queues of entities."""

from __future__ import annotations

from typing import Final

__all__ = ["MIGRATION"]

MIGRATION: Final = ""
