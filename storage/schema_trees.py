"""Tables: how events are found by subject, correlation and text."""

from __future__ import annotations

from typing import Final

__all__ = ["MIGRATION"]

MIGRATION: Final = ""
