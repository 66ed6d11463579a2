"""Collectors that mean no good, and what a request to them costs."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress

import pytest

from holdfast.otel.collector import Away, Collector
from tests.daemon import TIMEOUT


@pytest.mark.parametrize("is_to_close", [False, True])
def test_a_collector_that_answers_byte_by_byte_holds_nobody_up(is_to_close: bool) -> None:
    """Each byte is within a socket's own timeout; the answer never ends."""
    is_over = threading.Event()
    closing = b"Connection: close\r\n" if is_to_close else b""

    def trickle(listener: socket.socket) -> None:
        client = listener.accept()[0]
        with client, suppress(OSError):
            client.recv(65_536)
            client.sendall(b"HTTP/1.1 200 OK\r\n" + closing + b"Content-Length: 9999\r\n\r\n")
            for _ in range(200):
                if is_over.wait(0.05):
                    return
                client.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=trickle, args=(listener,), daemon=True).start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        collector = Collector(url, headers={}, certificate="", compress=False, timeout=0.5)
        began = time.monotonic()
        answer = collector.post("/v1/logs", b"")
        is_over.set()
    assert time.monotonic() - began < TIMEOUT / 2
    assert answer == Away("TimeoutError: not answered within 0.5 s")
