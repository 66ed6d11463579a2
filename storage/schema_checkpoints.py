"""Tables: parts, parents and owners of checkpoints."""

from __future__ import annotations

from typing import Final

__all__ = ["MIGRATION"]

MIGRATION: Final = ""
