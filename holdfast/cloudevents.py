"""Events as CloudEvents 1.0, in their JSON format, and back.  Nothing is kept here.

An event of ours comes back as it was.  What CloudEvents has no attribute for travels in extension
attributes: ``session``, ``correlation``, ``cause``, ``root``, ``depth``, ``key``, ``daemon``,
``seq``, and where the standard's own cannot hold it ``sourcetext`` (a source that is no URI
reference) and ``timeus`` (a time before the year 1 or after 9999).  Numbers that may be larger
than 32 bits are text, as the standard wants it.

An event with the attribute ``daemon`` is one of ours.  Of those of other producers ``id`` is the
key; ``session``, ``correlation`` or ``correlationid``, ``cause`` or ``causationid`` are read where
they are text; other extensions have no place in ours, and are named to the caller.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import msgspec

from holdfast.actors.readable_events import Event
from holdfast.errors import InvalidInputError
from holdfast.jsonlines import iso_microseconds
from holdfast.storage import jsontext

__all__ = ["Told", "from_cloudevent", "placed_below", "to_cloudevent"]

_BINARY: Final = "application/octet-stream"
_NAME: Final = re.compile(r"[a-z0-9]+", re.ASCII)
_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
# RFC 3986, as far as a text can be told by looking: the characters, and no colon in what would
# be the first segment of a path.
_URI: Final = re.compile(
    r"([A-Za-z][A-Za-z0-9+.-]*:|(?![^/?#]*:))"
    r"(//(\[[0-9A-Fa-f:.]+\]|[\w.~!$&'()*+,;=:@%-])*(?=[/?#]|$)|(?!//))"
    r"[\w.~!$&'()*+,;=:@/%-]*(\?[\w.~!$&'()*+,;=:@/?%-]*)?(#[\w.~!$&'()*+,;=:@/?%-]*)?",
    re.ASCII,
)
_BAD_PERCENT: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_US: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_LAST_US: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
_MAX_INTEGER: Final = 2**63 - 1  # what the database's integer columns hold

# Extension attributes of ours; of others only some of them mean the same.
_TEXTS: Final = ("session", "correlation", "cause", "root", "key", "daemon", "sourcetext")
_NUMBERS: Final = ("depth", "seq", "timeus")
_SHARED: Final = {
    "session": ("session",),
    "correlation": ("correlation", "correlationid"),
    "cause": ("cause", "causationid"),
}
_DATA: Final = ("data", "data_base64")
_STANDARD: Final = frozenset(
    {"specversion", "id", "source", "type", "subject", "time", "datacontenttype", *_DATA}
)


class Told(msgspec.Struct, frozen=True):
    """A CloudEvent as an event of ours.

    Of another producer's, ``seq`` is 0 and ``daemon`` empty.  ``id`` is what the standard, with
    the source, identifies it by.  ``has_time`` is False when it named none; ``time_us`` is 0 then.
    ``ignored`` are the attributes that ours has no place for.
    """

    event: Event
    id: str
    has_time: bool
    ignored: tuple[str, ...] = ()

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments with which ``emit`` stores it, once however often.

        Number and daemon are given anew.  An event without a key has its id for one, so that what
        named it as its cause still does.
        """
        event = self.event
        return {
            "type": event.type,
            "data": event.data,
            "session": event.session,
            "source": event.source,
            "subject": event.subject,
            "correlation": event.correlation,
            "cause": placed_below(event.cause, event.root, event.depth),
            "key": self.id if event.key is None else event.key,
            "time_us": event.time_us if self.has_time else None,
        }


def placed_below(cause: str | None, root: str | None, depth: int) -> Event | str | None:
    """What ``emit`` takes as the cause of an event that stands there already."""
    if cause is None or root is None:
        return cause
    nothing = (None, None, None)
    return Event(0, "", 0, "-", "-", *nothing, None, root, depth - 1, cause, None)


def to_cloudevent(event: Event) -> dict[str, Any]:
    """A dict that ``json.dumps`` writes, in the order in which people read it.

    Raises InvalidInputError for an event that is not committed and has no key: it has no id.
    """
    source, is_own = _as_uri(event.source)
    made: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": source,
        "type": event.type,
        "subject": event.subject,
        "time": _as_text(event.time_us),
        "daemon": event.daemon or None,
        "seq": str(event.seq) if event.seq else None,
        "session": event.session,
        "correlation": event.correlation,
        "cause": event.cause,
        "root": event.root,
        "depth": _as_integer(event.depth) if event.depth else None,
        "key": event.key,
        "sourcetext": None if is_own else event.source,
        "timeus": None if _FIRST_US <= event.time_us <= _LAST_US else str(event.time_us),
    }
    made = {name: value for name, value in made.items() if value is not None}
    if isinstance(event.data, bytes):
        made["datacontenttype"] = _BINARY
        made["data_base64"] = base64.b64encode(event.data).decode()
    elif event.data is not None:
        made["datacontenttype"] = "application/json"
        made["data"] = json.loads(jsontext.encode(event.data))
    return made


def from_cloudevent(told: Mapping[str, Any]) -> Told:
    """The event that a CloudEvent tells of.

    Raises InvalidInputError, which names the attribute, for what is no CloudEvent 1.0.
    """
    given = {name: value for name, value in told.items() if value is not None}  # null: is not there
    _check(given)
    if "daemon" in given:
        return _own(given)
    texts, used = _of_another(given)
    time_us = _time(given)
    event = Event(
        0,
        "",
        time_us or 0,
        given["type"],
        given["source"],
        _text(given, "subject"),
        texts.get("session"),
        texts.get("correlation"),
        texts.get("cause"),
        None,
        0,
        given["id"],
        _data(given),
    )
    ignored = sorted(given.keys() - _STANDARD - used)
    return Told(event, given["id"], time_us is not None, tuple(ignored))


def _own(given: dict[str, Any]) -> Told:
    """What ``to_cloudevent`` wrote."""
    text = {name: _text(given, name) for name in _TEXTS}
    number = {name: _integer(given, name) for name in _NUMBERS}
    time_us = _time(given) if number["timeus"] is None else number["timeus"]
    data = _data(given)
    event = Event(
        seq=number["seq"] or 0,
        daemon=text["daemon"] or "",
        time_us=time_us or 0,
        type=given["type"],
        source=text["sourcetext"] or given["source"],
        subject=_text(given, "subject"),
        session=text["session"],
        correlation=text["correlation"],
        cause=text["cause"],
        root=text["root"],
        depth=number["depth"] or 0,
        key=text["key"],
        data=_restored(data) if isinstance(data, dict | list) else data,
    )
    ignored = sorted(given.keys() - _STANDARD - {*_TEXTS, *_NUMBERS})
    return Told(event, given["id"], time_us is not None, tuple(ignored))


def _of_another(given: dict[str, Any]) -> tuple[dict[str, str], set[str]]:
    """What session, correlation and cause are called by others; which attributes those are."""
    texts: dict[str, str] = {}
    used: set[str] = set()
    for field, names in _SHARED.items():
        for name in names:
            value = given.get(name)
            if field not in texts and isinstance(value, str) and value:
                texts[field] = value
                used.add(name)
    return texts, used


# -- out -------------------------------------------------------------------------------------------


def _as_uri(source: str) -> tuple[str, bool]:
    """The source as a URI reference; whether it was one."""
    if _URI.fullmatch(source) and not _BAD_PERCENT.search(source):
        return source, True
    return quote(source, safe="/", errors="surrogatepass"), False


def _as_text(time_us: int) -> str | None:
    """RFC 3339 with microseconds, where it can say it."""
    if not _FIRST_US <= time_us <= _LAST_US:
        return None
    time = _EPOCH + timedelta(microseconds=time_us)
    return time.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def _as_integer(value: int) -> int | str:
    """The standard's integers have 32 bits."""
    return value if value < 2**31 else str(value)


# -- in --------------------------------------------------------------------------------------------


def _check(given: dict[str, Any]) -> None:
    """What makes it a CloudEvent 1.0 at all."""
    version = given.get("specversion")
    if version != "1.0":
        raise InvalidInputError(f"specversion: {_shown(version)}; expected '1.0'")
    for name in ("id", "source", "type"):
        if not isinstance(given.get(name), str) or not given[name]:
            raise InvalidInputError(
                f"{name}: expected a text that is not empty, not {_shown(given.get(name))}"
            )
    for name, value in given.items():
        if name in _DATA:
            continue
        if not _NAME.fullmatch(name):
            raise InvalidInputError(f"{_shown(name)}: names of attributes are a-z and 0-9 only")
        if not isinstance(value, str | int):  # a truth value is an integer
            raise InvalidInputError(
                f"{name}: expected a text, a whole number or a truth value, not {_shown(value)}"
            )
    if "data" in given and "data_base64" in given:
        raise InvalidInputError("data and data_base64: one of them at most")


def _text(given: dict[str, Any], name: str) -> str | None:
    value = given.get(name)
    if value is None or (isinstance(value, str) and value):
        return value
    raise InvalidInputError(f"{name}: expected a text that is not empty, not {_shown(value)}")


def _integer(given: dict[str, Any], name: str) -> int | None:
    """A whole number, or one as text; ``timeus`` may be negative."""
    value = given.get(name)
    if value is None:
        return None
    is_number = type(value) is int or (
        isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value, re.ASCII)
    )
    if is_number and (0 if name != "timeus" else -_MAX_INTEGER) <= int(value) <= _MAX_INTEGER:
        return int(value)
    raise InvalidInputError(f"{name}: expected a whole number, not {_shown(value)}")


def _time(given: dict[str, Any]) -> int | None:
    """Microseconds; what is finer is cut off."""
    value = given.get("time")
    if value is None:
        return None
    if isinstance(value, str) and _TIME.fullmatch(value):
        try:
            return iso_microseconds(value.upper())
        except ValueError:
            pass
    expected = "expected RFC 3339, such as 2026-11-28T09:00:00Z"
    raise InvalidInputError(f"time: {expected}, not {_shown(value)}")


def _data(given: dict[str, Any]) -> object:
    if "data_base64" in given:
        try:
            return base64.b64decode(given["data_base64"], validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise InvalidInputError(f"data_base64: not base64: {error}") from None
    return given.get("data")


def _restored(data: object) -> object:
    """With bytes, which are ``{"$bytes": ...}`` in our JSON."""
    try:
        return jsontext.decode(json.dumps(data))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"data: no JSON that can be read: {error}") from None


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "..."
