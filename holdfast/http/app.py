"""The door itself, an ASGI application: one request in, one answer or stream out.

Keeps nothing but figures and which streams there are.  Lost with its process: the connections, and
of a change that was not answered whether it was made; an Idempotency-Key, an id, or If-Match tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Final

import msgspec
from loguru import logger

from holdfast.clock import SystemClock
from holdfast.errors import AskTimeoutError, HoldfastError, InvalidInputError
from holdfast.http.figures import HttpFigures
from holdfast.http.guard import Guard, WrongTokenError
from holdfast.http.guesses import Guesses
from holdfast.http.handlers import answer
from holdfast.http.hub import DoorHub
from holdfast.http.ksi import answer_ksi
from holdfast.http.openapi import document
from holdfast.http.problems import JSON_PROBLEM, Answered, HttpError, problem_of
from holdfast.http.reading import KSI, Route, read_request, route_of
from holdfast.http.requests import Request, StreamEvents
from holdfast.http.streams import Streams
from holdfast.storage import jsontext

__all__ = ["Door", "Limits"]

DEEPER: Final = jsontext.MAX_DEPTH + 10  # levels of an answer; what is stored has up to MAX_DEPTH
MARGIN: Final = 0.5  # seconds beyond the deadline, which the calls keep by themselves
CHANGES: Final = ("POST", "PUT", "PATCH", "DELETE")
JSON: Final = "application/json"

Scope = MutableMapping[str, Any]
Told = tuple[int, Mapping[str, str], bytes]  # status, headers, body
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Limits(msgspec.Struct, frozen=True):
    """Bytes, and seconds for a request that names none."""

    max_body: int
    max_answer: int
    timeout: float


class Door:
    """Called by the server, for each request in a task of its own."""

    def __init__(
        self, *, hub: DoorHub, guard: Guard, limits: Limits, streams: Streams, figures: HttpFigures
    ) -> None:
        self._hub, self._guard, self._limits = hub, guard, limits
        self._streams, self._figures = streams, figures
        self._guesses = Guesses(figures, SystemClock())
        self._document = msgspec.json.encode(document()) + b"\n"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        self._figures.requests += 1
        headers = _headers_of(scope)
        shared: dict[str, str] = {}
        more: Mapping[str, str]
        try:
            try:
                shared = self._guard.check(scope, headers)
                if scope.get("preflight"):
                    raise Answered(204, {})
                status, more, body = await self._answer(scope, headers, receive, send, shared)
            except Answered as other:
                status, more, body = other.status, other.headers, b""
        except (Exception, asyncio.CancelledError) as raised:
            is_stopping = isinstance(raised, asyncio.CancelledError)
            error = AskTimeoutError("the HTTP door stops; ask again") if is_stopping else raised
            is_change = scope["method"] in CHANGES
            is_conditional = "if-match" in headers or "if-none-match" in headers
            if not isinstance(error, HoldfastError | TimeoutError):
                logger.opt(exception=error).error("a request could not be handled")
            self._figures.errors += 1
            if isinstance(error, WrongTokenError):
                await self._guesses.wait(scope["client"])
            status, more, problem = problem_of(
                error, is_change=is_change, is_conditional=is_conditional
            )
            more = {"content-type": JSON_PROBLEM, **more}
            body = msgspec.json.encode(problem) + b"\n"
        if status:
            await _send(send, status, {**shared, **more}, body)

    async def _answer(
        self,
        scope: Scope,
        headers: dict[str, str],
        receive: Receive,
        send: Send,
        shared: dict[str, str],
    ) -> Told:
        """Status, headers, body; status 0: it was a stream, and is over."""
        method, path = scope["method"], scope["path"]
        if path in ("/openapi.json", "/healthz"):
            return await self._fixed(method, path)
        route = route_of(method, scope["raw_path"])
        body = await self._body(headers, receive, method)
        if route.path == KSI:
            return await self._ksi(route, scope["query_string"], headers, body)
        request = read_request(route, scope["query_string"], headers, body)
        if isinstance(request, StreamEvents):
            await self._streams.serve(request, scope, receive, send, shared)
            return 0, {}, b""
        return await self._rest(request)

    async def _rest(self, request: Request) -> Told:
        timeout = self._limits.timeout if request.timeout is msgspec.UNSET else request.timeout
        async with _Deadline(timeout):
            figures = msgspec.to_builtins(self._figures)
            reply = await answer(
                request, self._hub, figures, timeout, max_answer=self._limits.max_answer
            )
        if reply.body is None:
            return request.STATUS, reply.headers, b""
        headers = {"content-type": JSON, **reply.headers}
        return request.STATUS, headers, self._encoded(reply.body)

    async def _ksi(
        self, route: Route, query: bytes, headers: dict[str, str], body: bytes | None
    ) -> Told:
        if query:
            raise InvalidInputError("expected no query: parameters of an event stand in the body")
        timeout = self._limits.timeout
        figures = msgspec.to_builtins(self._figures)
        async with _Deadline(timeout):
            told = await answer_ksi(
                route.given["event"],
                body,
                self._hub,
                figures,
                timeout,
                correlation_id=headers.get("x-correlation-id") or None,
            )
        return 200, {"content-type": JSON}, self._encoded(told)

    async def _fixed(self, method: str, path: str) -> Told:
        if method not in ("GET", "HEAD"):
            raise HttpError(405, f"{method} {path}: expected GET", allow="GET, HEAD")
        if path == "/openapi.json":
            return 200, {"content-type": JSON}, self._document
        return 200, {"content-type": JSON}, b'{"ok":true}\n'

    async def _body(self, headers: dict[str, str], receive: Receive, method: str) -> bytes | None:
        """All of it; None where there is none."""
        most = self._limits.max_body
        parts, size = [], 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise Answered(0, {})
            size += len(message.get("body", b""))
            if size > most:
                raise HttpError(413, f"the body is over {most} bytes, [http] max_body: send less")
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                break
        if not size:
            return None
        _check_kind(headers.get("content-type", ""))
        return b"".join(parts)

    def _encoded(self, body: dict[str, Any]) -> bytes:
        text = jsontext.encode_utf8(body, "answer", depth=DEEPER)
        if len(text) > self._limits.max_answer:
            raise HttpError(
                400,
                f"the answer has {len(text)} bytes, over {self._limits.max_answer}, "
                "[http] max_answer: ask for less, as with limit",
            )
        return text + b"\n"


def _headers_of(scope: Scope) -> dict[str, str]:
    """What is there more than once is one list, as HTTP has it; so no second token is looked at."""
    found: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _check_kind(content_type: str) -> None:
    kind, _, rest = content_type.partition(";")
    name, _, charset = rest.strip().partition("=")
    if kind.strip().lower() != JSON or (
        name.lower() == "charset" and charset.strip('"').lower() not in ("utf-8", "utf8")
    ):
        raise HttpError(
            415, f"Content-Type: {content_type[:80]!r}: expected application/json of UTF-8"
        )


class _Deadline:
    """The calls keep the deadline each by itself; this keeps it for all of them together."""

    def __init__(self, timeout: float) -> None:
        self._timeout = asyncio.timeout(timeout + MARGIN)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *given: Any) -> None:
        try:
            await self._timeout.__aexit__(*given)
        except TimeoutError as error:
            if self._timeout.expired():
                raise AskTimeoutError("the request was not answered in time") from error
            raise


async def _send(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    listed = [
        (name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()
    ]
    if status not in (204, 304):
        listed.append((b"content-length", str(len(body)).encode()))
    listed.append((b"cache-control", b"no-store"))
    listed.append((b"x-content-type-options", b"nosniff"))
    await send({"type": "http.response.start", "status": status, "headers": listed})
    await send({"type": "http.response.body", "body": body})
