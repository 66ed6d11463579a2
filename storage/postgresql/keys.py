"""What properties are compared by, as columns: kind, key_number, key_text, rest.

PostgreSQL has no column of any type.  A number is a ``numeric``, which holds integers of any size
and floats to the last bit and orders them by what they are worth, so that it needs no rest.  Texts
and the JSON of lists and objects have their key as it is, 0 as their number, and as rest "" or what
``holdfast.storage.state_values`` says.  Within a kind all three together are the order of SQLite.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from holdfast.errors import InvalidInputError
from holdfast.storage.state_values import BOOLEAN, LEAST_INT, NULL, NUMBER, OTHER, TEXT, Comparable
from holdfast.storage.state_values import comparable as comparable_of

__all__ = ["Key", "check_indexed", "key_of", "place_of"]

# kind, key_number, key_text, rest.
Key = tuple[int, Decimal, str, str]

# Bytes of the texts and the number in an entry of an index, which has 2,704 with what is around.
MAX_INDEXED: Final = 2_600
# Characters that have certainly fewer bytes.
_SHORT: Final = 600
_ZERO: Final = Decimal(0)


def key_of(comparable: Comparable) -> Key:
    """The columns.  Raises InvalidInputError for what no value is compared by."""
    kind, key, rest = comparable
    if kind == NUMBER and isinstance(key, int | float):
        return kind, _exact(key, rest), "", ""
    if kind in (TEXT, OTHER) and isinstance(key, str):
        return kind, _ZERO, key, "" if rest == 0 else str(rest)
    if kind in (NULL, BOOLEAN) and isinstance(key, int):
        return kind, Decimal(key), "", ""
    raise InvalidInputError("cursor: is of another question")


def place_of(key: Key) -> list[Any]:
    """What such a value is compared by in SQLite: so a cursor is good for either."""
    kind, number, text, rest = key
    if kind == NUMBER:
        whole = number == number.to_integral_value()
        return list(comparable_of(int(number) if whole else float(number)))
    if kind in (NULL, BOOLEAN):
        return [kind, int(number), 0]
    return [kind, text, rest or 0]


def check_indexed(what: str, *texts: str, number: Decimal = _ZERO) -> None:
    """Raise InvalidInputError for more than an entry of an index can hold."""
    if sum(map(len, texts)) <= _SHORT and -10 < number.adjusted() < 100:
        return
    digits = number.as_tuple().digits
    size = sum(len(text.encode()) for text in texts) + len(digits) // 2 + 4
    if size > MAX_INDEXED:
        raise InvalidInputError(
            f"{what}: {size:,} bytes of names and value together; PostgreSQL has room for "
            f"{MAX_INDEXED:,} in an index: use shorter names"
        )


def _exact(key: int | float, rest: int | str) -> Decimal:
    """The number itself."""
    if not rest:
        return Decimal(key)
    try:
        beyond = int(str(rest)[4:], 16)
        return Decimal((LEAST_INT if key == float("-inf") else int(key)) + beyond)
    except (ValueError, OverflowError):
        raise InvalidInputError("cursor: is of another question") from None
