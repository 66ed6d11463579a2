"""The examples meet the same daemon as the command line."""

from __future__ import annotations

from tests.holdfast.conftest import daemon, run

__all__ = ["daemon", "run"]
