"""What came of a run: a page of Markdown, for docs/evidence or for whoever ran it."""

from __future__ import annotations

import datetime
import os
import platform
from collections import Counter
from dataclasses import dataclass, field

from holdfast import __version__
from holdfast.testing.chaos.schedule import Schedule

__all__ = ["Report", "Round"]


@dataclass
class Round:
    """One daemon, one database; everything that was counted."""

    number: int
    violations: list[str] = field(default_factory=list)
    injected: Counter[tuple[str, str]] = field(default_factory=Counter)  # by kind and process
    messages: Counter[tuple[str, str]] = field(default_factory=Counter)  # by kind and fate
    found: Counter[str] = field(default_factory=Counter)  # violations of the oracle's rules
    away: dict[str, float] = field(default_factory=dict)  # longest seconds without an answer
    under_fire: float = 0.0  # seconds
    recovery: float = 0.0  # seconds from the last fault until every actor ran
    seconds: float = 0.0


@dataclass
class Report:
    """All rounds of a run."""

    schedule: Schedule
    began: float
    rounds: list[Round] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        """All rounds were run and no promise was broken."""
        is_whole = len(self.rounds) == len(self.schedule.rounds)
        return is_whole and not any(one.violations for one in self.rounds)

    @property
    def kills(self) -> int:
        """SIGKILLs, from outside and at failpoints."""
        return sum(
            count
            for (kind, _), count in self._sum("injected").items()
            if kind.upper().removeprefix("SIG") == "KILL"
        )

    def text(self) -> str:
        """The page."""
        return "\n".join([*self._head(), *self._tables(), *self._violations()]) + "\n"

    def _head(self) -> list[str]:
        schedule = self.schedule
        date = datetime.datetime.fromtimestamp(self.began, tz=datetime.UTC)
        under_fire = sum(one.under_fire for one in self.rounds)
        found: Counter[str] = sum((one.found for one in self.rounds), Counter())
        rate = self.kills / under_fire if under_fire else 0.0
        verdict = "no promise was broken" if self.is_good else "PROMISES WERE BROKEN"
        return [
            f"# Chaos: seed {schedule.seed}, profile {schedule.profile}",
            "",
            f"holdfast {__version__}, {date:%Y-%m-%d %H:%M} UTC, "
            f"{platform.python_implementation()} {platform.python_version()}, "
            f"{platform.system()} {platform.release()}, {os.cpu_count()} processors.",
            "",
            f"**{verdict}** in {len(self.rounds)} of {len(schedule.rounds)} rounds, "
            f"{self.seconds:.0f} s, of these {under_fire:.0f} s under faults.",
            "",
            "| | |",
            "|---|---|",
            f"| SIGKILLs | {self.kills} ({rate:.1f} a second under faults) |",
            f"| acknowledged and lost | {found['acknowledged']} |",
            f"| stored twice | {found['twice']} |",
            f"| out of order | {found['order']} |",
            f"| longest from the last fault until every actor ran | "
            f"{max((one.recovery for one in self.rounds), default=0.0):.2f} s |",
            "",
            f"Again: `python -m holdfast.testing.chaos --seed {schedule.seed} "
            f"--profile {schedule.profile} --minutes {self._minutes():g}`",
            "",
        ]

    def _minutes(self) -> float:
        steps = sum(step.pause for steps in self.schedule.rounds for step in steps)
        return max(0.5, round(steps / 30.0) / 2)

    def _tables(self) -> list[str]:
        injected, messages = self._sum("injected"), self._sum("messages")
        kinds: Counter[str] = Counter()
        for (kind, _), count in injected.items():
            kinds[kind] += count
        away: dict[str, float] = {}
        for one in self.rounds:
            for name, seconds in one.away.items():
                away[name] = max(seconds, away.get(name, 0.0))
        killed: Counter[str] = Counter()
        for (kind, name), count in injected.items():
            killed[name] += count if kind.upper().removeprefix("SIG") == "KILL" else 0
        return [
            "## Faults injected",
            "",
            "| fault | times |",
            "|---|---|",
            *(f"| {kind} | {count} |" for kind, count in kinds.most_common()),
            "",
            "## Longest without an answer, and kills, by actor",
            "",
            "| actor | seconds | SIGKILLs |",
            "|---|---|---|",
            *(f"| {name} | {seconds:.2f} | {killed[name]} |" for name, seconds in away.items()),
            "",
            "## Messages",
            "",
            "| kind | | |",
            "|---|---|---|",
            *(f"| {kind} | {fate} | {n} |" for (kind, fate), n in sorted(messages.items())),
            "",
        ]

    def _violations(self) -> list[str]:
        lines = [f"- round {one.number}: {text}" for one in self.rounds for text in one.violations]
        return ["## Violations", "", *lines] if lines else []

    def _sum(self, what: str) -> Counter[tuple[str, str]]:
        total: Counter[tuple[str, str]] = Counter()
        for one in self.rounds:
            total += getattr(one, what)
        return total
