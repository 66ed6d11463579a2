"""Searches as FTS5 reads them, for PostgreSQL's index of words.

Its grammar: expressions joined by OR, AND, NOT, each of which binds tighter than the one before;
phrases side by side, which bind tightest; ``"quoted"`` and bare strings, joined to phrases by
``+``, with ``*`` behind and ``^`` before them; ``NEAR(...)``; columns before ``:``.  A string may
have no word in it: beside others it does not count, and alone it finds nothing.

A tsquery says the same of words, phrases, and what joins them, in a text whose words are listed
with all their places.  For anything else there is a looser one, that finds all that is to be
found and more.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Final, TypeVar

import msgspec

__all__ = ["Condition", "kept_word", "translated"]

LONGEST: Final = 125  # characters of a word, 500 bytes: the index takes 2,046, its pages 2,700
_TOKEN: Final = re.compile(
    r'[ \t\n\r]*(?:"((?:[^"]|"")*)"|([0-9A-Za-z_\x1a\x80-\U0010ffff]+)|([(){}:,+*\-^]))'
)
_JOINING: Final = ("OR", "AND", "NOT")
_PHRASE: Final = 200  # words of a phrase that the server looks for as one; it is nested as deep

_T = TypeVar("_T")


def kept_word(word: str) -> str:
    """As it is in the index: what is left of a longer one ends with a space, as no word does."""
    return word if len(word) <= LONGEST else word[:LONGEST] + " "


class Condition(msgspec.Struct, frozen=True):
    """``loose`` holds wherever the search does; with ``is_exact`` ``exact`` holds there only."""

    loose: str
    exact: str
    is_exact: bool


_Found = Condition | None  # None: nothing is found


class _Token(msgspec.Struct, frozen=True):
    text: str
    kind: str  # "string", or the sign or joining word itself


def translated(text: str, words_of: Callable[[str], Sequence[str]]) -> _Found:
    """A search that FTS5 accepts."""
    return _Parser(_tokens(text.partition("\0")[0]), words_of).expression(0)


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    for match in _TOKEN.finditer(text):
        quoted, bare, sign = match.groups()
        if quoted is not None:
            found.append(_Token(quoted.replace('""', '"'), "string"))
        elif bare is not None:
            found.append(_Token(bare, bare if bare in _JOINING else "string"))
        else:
            found.append(_Token(sign, sign))
    return found


class _Parser:
    """Goes through the tokens once."""

    def __init__(self, tokens: list[_Token], words_of: Callable[[str], Sequence[str]]) -> None:
        end = _Token("", "end")
        self._tokens = [*tokens, end, end]
        self._at = 0
        self._words_of = words_of

    def expression(self, level: int) -> _Found:
        """What binds at least as tight as ``_JOINING[level]``."""
        if level == len(_JOINING):
            return self._side_by_side()
        found = [self.expression(level + 1)]
        while self._skip(_JOINING[level]):
            found.append(self.expression(level + 1))
        join = _JOINED[level]
        return reduce(_not, found) if join is _not else _halved(join, found)

    def _side_by_side(self) -> _Found:
        if self._skip("("):
            return self._rest_of_group()
        found = [self._in_columns()]
        while self._kind not in ("end", ")", *_JOINING):
            found.append(self._in_columns())
        return _halved(_beside, found)

    def _rest_of_group(self) -> _Found:
        found = self.expression(0)
        self._skip(")")
        return found

    def _in_columns(self) -> _Found:
        """There is one column; whether a condition on it says so only a recheck tells."""
        start = self._at
        self._skip("-")
        if self._skip("{"):
            while not self._skip("}"):
                self._at += 1
        elif self._tokens[self._at + 1].kind == ":":
            self._at += 1
        if not self._skip(":"):
            return self._near()
        found = self._rest_of_group() if self._skip("(") else self._near()
        return _loosely(found) if self._at > start else found

    def _near(self) -> _Found:
        if self._skip("^"):
            return _loosely(self._phrase())
        if not (self._token.text == "NEAR" and self._tokens[self._at + 1].kind == "("):
            return self._phrase()
        self._at += 2
        found: list[_Found] = [None]
        while self._kind not in (")", ",", "end"):
            found.append(self._phrase())
        while not self._skip(")"):
            self._at += 1
        return _loosely(_halved(_beside, found))

    def _phrase(self) -> _Found:
        words: list[tuple[str, bool]] = []  # and whether longer ones do too
        while True:
            some = self._words_of(self._token.text)
            self._at += 1
            is_prefix = self._skip("*")
            words += [(word, is_prefix and n == len(some)) for n, word in enumerate(some, 1)]
            if not self._skip("+"):
                break
        if not words:
            return None
        terms = [_term(word, is_prefix) for word, is_prefix in words]
        loose = _halved("({} & {})".format, list(dict.fromkeys(terms)))
        is_exact = len(words) <= _PHRASE and all(len(word) <= LONGEST for word, _ in words)
        if not is_exact or any(is_prefix for _, is_prefix in words[:-1]):
            return Condition(loose, loose, False)
        return Condition(loose, terms[0] if len(terms) == 1 else f"({' <-> '.join(terms)})", True)

    @property
    def _token(self) -> _Token:
        return self._tokens[self._at]

    @property
    def _kind(self) -> str:
        return self._token.kind

    def _skip(self, kind: str) -> bool:
        """Whether that is next; then it is behind us."""
        if self._kind == kind:
            self._at += 1
            return True
        return False


def _term(word: str, is_prefix: bool) -> str:
    """Words are letters and digits: there is nothing to escape."""
    return f"'{kept_word(word)}'{':*' if is_prefix and len(word) <= LONGEST else ''}"


def _halved(join: Callable[[_T, _T], _T], found: Sequence[_T]) -> _T:
    """All of them, joined as two halves are: the server goes down into whatever is nested, as deep
    as its max_stack_depth lets it."""
    if len(found) == 1:
        return found[0]
    middle = len(found) // 2
    return join(_halved(join, found[:middle]), _halved(join, found[middle:]))


def _loosely(found: _Found) -> _Found:
    return found and Condition(found.loose, found.exact, False)


def _both(one: Condition, other: Condition) -> Condition:
    return Condition(
        f"({one.loose} & {other.loose})",
        f"({one.exact} & {other.exact})",
        one.is_exact and other.is_exact,
    )


def _beside(one: _Found, other: _Found) -> _Found:
    return one or other if one is None or other is None else _both(one, other)


def _and(one: _Found, other: _Found) -> _Found:
    return None if one is None or other is None else _both(one, other)


def _or(one: _Found, other: _Found) -> _Found:
    if one is None or other is None:
        return one or other
    return Condition(
        f"({one.loose} | {other.loose})",
        f"({one.exact} | {other.exact})",
        one.is_exact and other.is_exact,
    )


def _not(one: _Found, other: _Found) -> _Found:
    if one is None or other is None:
        return one
    exact = f"({one.exact} & !{other.exact})"
    return Condition(one.loose, exact, one.is_exact and other.is_exact)


_JOINED: Final = (_or, _and, _not)
