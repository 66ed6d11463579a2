"""The oracle: what clients were told, held against what is stored, outside of the daemon.

``Journal`` is for clients; ``check`` and ``python -m holdfast.testing.oracle`` are the checker,
which shares no code with the daemon.  docs/TESTING.md shows how.
"""

from __future__ import annotations

from holdfast.testing.oracle.checker import check
from holdfast.testing.oracle.journal import Journal
from holdfast.testing.oracle.lives import JournalError
from holdfast.testing.oracle.verdict import Verdict, Violation

__all__ = ["Journal", "JournalError", "Verdict", "Violation", "check"]
