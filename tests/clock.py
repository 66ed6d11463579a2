"""Time that only the test moves."""

from __future__ import annotations

from holdfast.testing import ManualClock

__all__ = ["ManualClock"]
