"""Which events a query is about: one filter, for the ring in memory and for the database.

Both sides read a glob alike: ``*`` is any text, ``?`` one character, nothing else is special.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from holdfast.errors import InvalidInputError

if TYPE_CHECKING:
    from holdfast.storage.records import StoredEvent

__all__ = ["EventFilter", "Mentioned", "Predicate", "glob_matches", "is_glob"]

# What a filter looks at, the first fields of an event: time_us, type, source, subject, session,
# correlation.
Mentioned = tuple[int, str, str, str | None, str | None, str | None]

# Those and the number, None while there is none -> is it asked for?
Predicate = Callable[[Mentioned, int | None], bool]

# A glob costs its length times its stars per event: more is no query but an attack.
MAX_TYPES = 64
MAX_GLOB = 256


def is_glob(pattern: str) -> bool:
    """Whether it has a wildcard."""
    return "*" in pattern or "?" in pattern


def glob_matches(pattern: str, text: str) -> bool:
    """Whether the whole text matches; greedy with one way back, so never exponential."""
    p = t = 0
    star, resume = -1, 0
    while t < len(text):
        if p < len(pattern) and pattern[p] == "*":
            star, resume = p, t
            p += 1
        elif p < len(pattern) and pattern[p] in ("?", text[t]):
            p += 1
            t += 1
        elif star >= 0:
            resume += 1
            p, t = star + 1, resume
        else:
            return False
    return pattern[p:].strip("*") == ""


class EventFilter(msgspec.Struct, frozen=True, array_like=True):
    """Conditions that all have to hold; the default asks for every event.

    ``types`` are alternatives, each a type or a glob.  ``since_us`` is included, ``until_us`` is
    not; ``after`` and ``before`` are sequence numbers, both excluded.  An event that has no
    number yet is after every number and before none.
    """

    types: tuple[str, ...] = ()
    session: str | None = None
    source: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    after: int | None = None
    before: int | None = None
    subject: str | None = None
    correlation: str | None = None

    def check(self) -> None:
        """Raise InvalidInputError for more than a query may ask."""
        if len(self.types) > MAX_TYPES:
            raise InvalidInputError(f"types: {len(self.types)} patterns; at most {MAX_TYPES}")
        for pattern in self.types:
            if len(pattern) > MAX_GLOB:
                raise InvalidInputError(
                    f"types: a pattern of {len(pattern)} characters; at most {MAX_GLOB}"
                )

    def matches(self, event: StoredEvent) -> bool:
        """Whether this one event is asked for; for many, ``compile`` once."""
        seq = event.seq or None  # 0: not committed
        mentioned = (
            event.time_us,
            event.type,
            event.source,
            event.subject,
            event.session,
            event.correlation,
        )
        return self.compile()(mentioned, seq)

    def compile(self) -> Predicate:
        """The filter as a function of what it looks at, remembering verdicts on types."""
        self.check()
        session, source = self.session, self.source
        subject, correlation = self.subject, self.correlation
        since_us, until_us = self.since_us, self.until_us
        after, before = self.after, self.before
        is_asked = self._compile_types()

        def predicate(mentioned: Mentioned, seq: int | None) -> bool:
            time_us, type, source_, subject_, session_, correlation_ = mentioned
            if is_asked is not None and not is_asked(type):
                return False
            if session is not None and session_ != session:
                return False
            if source is not None and source_ != source:
                return False
            if subject is not None and subject_ != subject:
                return False
            if correlation is not None and correlation_ != correlation:
                return False
            if since_us is not None and time_us < since_us:
                return False
            if until_us is not None and time_us >= until_us:
                return False
            if after is not None and seq is not None and seq <= after:
                return False
            return before is None or (seq is not None and seq < before)

        return predicate

    def _compile_types(self) -> Callable[[str], bool] | None:
        if not self.types:
            return None
        globs = [pattern for pattern in self.types if is_glob(pattern)]
        exact = frozenset(self.types).difference(globs)
        if not globs:
            return exact.__contains__
        # A ring holds ten thousand events of some dozen types.  Lives for one query.
        verdicts = dict.fromkeys(exact, True)

        def is_asked(type: str) -> bool:
            verdict = verdicts.get(type)
            if verdict is None:
                verdict = any(glob_matches(glob, type) for glob in globs)
                verdicts[type] = verdict
            return verdict

        return is_asked
