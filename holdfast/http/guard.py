"""Who may ask, and in which form: looked at before anything is read or done."""

from __future__ import annotations

import ipaddress
from collections.abc import MutableMapping, Sequence
from typing import Any, Final

from holdfast.http.problems import HttpError
from holdfast.http.tokens import Token

__all__ = ["Guard", "WrongTokenError"]

OPEN: Final = ("/healthz",)  # for who only wants to know whether it lives
METHODS: Final = "GET, HEAD, POST, PUT, PATCH, DELETE"
HEADERS: Final = (
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-None-Match, Last-Event-ID, "
    "X-Correlation-Id"
)
EXPOSED: Final = "ETag, Location, Retry-After"

Headers = dict[str, str]


class WrongTokenError(HttpError):
    """Somebody guesses, or has an old one."""


class Guard:
    """``hosts`` beside localhost and addresses, ``origins`` of pages that may ask."""

    def __init__(self, *, token: Token, hosts: Sequence[str], origins: Sequence[str]) -> None:
        self._token = token
        self._hosts = {host.lower().rstrip(".") for host in hosts} | {"localhost"}
        self._origins = set(origins)

    def check(self, scope: MutableMapping[str, Any], headers: Headers) -> Headers:
        """What the answer has to say to a browser.  Raises HttpError."""
        if "content-length" in headers and "transfer-encoding" in headers:
            # A proxy in front may go by the other one, and so see other requests than are here.
            text = "Content-Length and Transfer-Encoding: expected one of them"
            raise HttpError(400, text, connection="close")
        self._check_host(headers.get("host"))
        shared = self._check_origin(headers.get("origin"))
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers and shared:
            scope["preflight"] = True
            return {
                **shared,
                "access-control-allow-methods": METHODS,
                "access-control-allow-headers": HEADERS,
                "access-control-max-age": "600",
            }
        if scope["path"] not in OPEN:
            self._check_token(headers.get("authorization", ""))
        return shared

    def _check_token(self, given: str) -> None:
        if self._token.is_in(given):
            return
        kind = WrongTokenError if given else HttpError
        raise kind(
            401,
            "expected the header Authorization: Bearer TOKEN; holdfast status says which file "
            "has the token",
            www_authenticate='Bearer realm="holdfast"',
        )

    def _check_host(self, host: str | None) -> None:
        """A page whose name has been bent to this address still sends that name: it is refused."""
        name = _name_of(host or "")
        if name in self._hosts or _is_address(name):
            return
        raise HttpError(
            421,
            f"Host: {(host or '')[:80]!r}: expected localhost, an address, or one of [http] hosts",
        )

    def _check_origin(self, origin: str | None) -> Headers:
        if origin is None:
            return {}
        if origin not in self._origins:
            raise HttpError(403, f"Origin: {origin[:80]!r}: expected one of [http] origins")
        return {
            "access-control-allow-origin": origin,
            "access-control-expose-headers": EXPOSED,
            "vary": "Origin",
        }


def _name_of(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower().rstrip(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
