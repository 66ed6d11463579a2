"""What words there are in an event's data, and which data a search finds: FTS5 says, nobody else.

On every backend the same: SQLite's index is a table of FTS5, and where the index is another one
a table in memory takes texts apart, refuses what is no search, and decides where the index cannot.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, cast

import apsw

from holdfast.errors import InvalidInputError

__all__ = ["ADD", "CREATE", "MAX_TEXT", "Words", "check_text", "refused"]

_TOKENIZER: Final = ("unicode61", "remove_diacritics", "2")
CREATE: Final = f"""
CREATE VIRTUAL TABLE events_text USING fts5 (
    text, content = '', contentless_delete = 1, tokenize = '{" ".join(_TOKENIZER)}'
);
"""
# What is no word is left out: names of fields, truth values, bytes.
_ATOMS: Final = """
SELECT {} FROM json_tree({}) WHERE type IN ('text', 'integer', 'real') AND key IS NOT '$bytes'
"""
_TEXT: Final = _ATOMS.format("group_concat(atom, char(10))", "?2")
# Not INSERT ... SELECT: that has a savepoint of its own, so FTS5 would write a segment for every
# row, at three times the cost.
ADD: Final = f"INSERT INTO events_text (rowid, text) VALUES (?1, ({_TEXT}))"
# As bytes: a lone surrogate of JSON is none of Python's texts.
_BYTES: Final = _ATOMS.format("CAST(group_concat(atom, char(10)) AS BLOB)", "?1")
_MATCHING: Final = "SELECT rowid FROM events_text WHERE events_text MATCH ?"
_SHOWN: Final = 60  # characters of a search in an error
MAX_TEXT: Final = 65_536  # characters: sixteen pages of words, and far below any server's bounds


def refused(text: str, reason: object) -> InvalidInputError:
    """Of what is no search."""
    shown = repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
    return InvalidInputError(
        f"text = {shown}: {reason}; words are letters and digits, joined by "
        'AND, OR, NOT, or "in quotes" as they stand'
    )


def check_text(text: str) -> None:
    """What FTS5 would not refuse by itself.  Raises InvalidInputError."""
    if len(text) > MAX_TEXT:
        raise refused(text, f"{len(text)} characters, and at most {MAX_TEXT} are searched for")
    if text.startswith("*"):  # a question to FTS5 about itself
        raise refused(text, 'fts5: syntax error near "*"')


class Words:
    """A table of FTS5 in memory; nothing stays in it."""

    def __init__(self) -> None:
        self._connection = apsw.Connection(":memory:")
        self._connection.execute(CREATE)
        name, *options = _TOKENIZER
        self._tokenizer = self._connection.fts5_tokenizer(name, options)

    def of_data(self, data: str) -> list[str]:
        """The words of an event's data in order, as they are indexed.

        None of what SQLite cannot read as JSON: nested more than a thousand deep.
        """
        try:
            text = self._connection.execute(_BYTES, (data,)).get
        except apsw.SQLError:
            return []
        return [] if text is None else self._taken_apart(text, apsw.FTS5_TOKENIZE_DOCUMENT)

    def of_query(self, text: str) -> list[str]:
        """The words of a part of a search."""
        return self._taken_apart(text.encode(), apsw.FTS5_TOKENIZE_QUERY)

    def _taken_apart(self, text: bytes, reason: int) -> list[str]:
        found = self._tokenizer(text, reason, None, include_offsets=False, include_colocated=False)
        return cast("list[str]", found)

    def check(self, text: str) -> None:
        """Raises InvalidInputError."""
        check_text(text)
        try:
            self._connection.execute(_MATCHING, (text,)).fetchall()
        except apsw.SQLError as error:
            raise refused(text, error) from None
        except UnicodeEncodeError as error:
            raise InvalidInputError(f"a value that SQLite cannot look for: {error}") from error

    def matching(self, text: str, data: Iterable[tuple[int, str]]) -> set[int]:
        """The numbers of those data that a search finds; it was checked."""
        execute = self._connection.execute
        execute("BEGIN")
        try:
            for number, each in data:
                try:
                    execute(ADD, (number, each))
                except apsw.SQLError:
                    continue  # as ``of_data``
            return {int(number) for (number,) in execute(_MATCHING, (text,))}
        finally:
            execute("ROLLBACK")
