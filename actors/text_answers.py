"""What the query actor answers whoever searches for text.  No state of its own."""

from __future__ import annotations

from holdfast.actors.messages.query import Found, SearchText
from holdfast.actors.replies import bounded, fitting
from holdfast.errors import InvalidInputError
from holdfast.storage.ports import Reader

__all__ = ["answer_search"]


def answer_search(reader: Reader | None, search: SearchText) -> Found:
    """Raises InvalidInputError when there is no index, or not yet of all that is asked for.

    ``reader`` is None as long as there is no database; then there is nothing.
    """
    limit = bounded(search.limit)
    if reader is None:
        return Found([])
    first = reader.text_from()
    if first is None:
        raise InvalidInputError(
            "full text is off: set [storage] full_text = true in the config file and start the "
            "daemon again; what is stored already is indexed then"
        )
    if first > 1 and not search.partial and (search.filter.after or 0) + 1 < first:
        raise InvalidInputError(
            f"events before number {first} are not in the full-text index yet: wait, search behind "
            f"it (after={first - 1}), or take what is there (partial)"
        )
    events = reader.search(search.text, search.filter, limit, search.reverse)
    sent = fitting(events)
    more = len(sent) < len(events) or len(events) == limit
    return Found(sent, more, reader.position().epoch)
