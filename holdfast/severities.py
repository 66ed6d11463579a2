"""How bad an event is, by the words in its type: nothing else of an event says it.

One rule for the colours of ``events tail`` and for the severity of exported records.
"""

from __future__ import annotations

import re
from typing import Final, Literal

__all__ = ["Severity", "severity_of"]

Severity = Literal["info", "warning", "error"]

_WORDS: Final = re.compile(r"[a-z]+")
_ERRORS: Final = frozenset(
    ("crashed", "died", "error", "errors", "failed", "failure", "fatal", "killed", "lost", "panic")
)
_WARNINGS: Final = frozenset(
    ("cancelled", "denied", "dropped", "refused", "rejected", "timeout", "warn", "warning")
)


def severity_of(type_: str) -> Severity:
    """Of ``tool:call:failed`` "error", of ``login:denied`` "warning", else "info"."""
    words = set(_WORDS.findall(type_.lower()))
    if words & _ERRORS:
        return "error"
    return "warning" if words & _WARNINGS else "info"
