"""What the checker found."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, Literal

__all__ = ["MOST", "Level", "Rule", "Verdict", "Violation"]

Level = Literal["committed", "disk"]
Rule = Literal[
    "acknowledged",  # what was acknowledged is stored
    "sent",  # what is stored was sent, and was not refused
    "twice",  # nothing is stored twice
    "order",  # the order stored is the order sent
    "versions",  # versions, and the numbers of events, have no holes
    "updates",  # no update is lost: each came to the version that it expected
    "reads",  # nobody reads what is not stored, or older than what it was told
    "orphans",  # nothing points at what is not there
    "integrity",  # PRAGMA integrity_check
    "foreign_keys",  # PRAGMA foreign_key_check
    "ledger",  # emitted = committed + queued + dropped
    "middle",  # power loss takes the end of what was sent, and nothing before it
]

MOST: Final = 20  # violations of one rule that are told of; the rest is counted


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken promise."""

    rule: Rule
    text: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.text}"


@dataclass(slots=True)
class Verdict:
    """All of them, and what was looked at.

    ``counts`` has for each kind of message how many were sent, and what became of them:
    ``("event", "sent")``, ``("event", "stored")``.
    """

    violations: list[Violation] = field(default_factory=list)
    found: Counter[str] = field(default_factory=Counter)  # violations by rule, all of them
    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def is_good(self) -> bool:
        """Nothing was violated."""
        return not self.found

    def add(self, rule: Rule, text: str) -> None:
        """Note a violation; of many of one rule the first ones are kept."""
        self.found[rule] += 1
        if self.found[rule] <= MOST:
            self.violations.append(Violation(rule, text))
