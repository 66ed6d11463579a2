"""One sender of the fan-in: a program with a hub, or a bare socket.

``python -m benchmarks.senders FD hub RUN_DIR`` or ``... FD bare PATH``, driven by ``fan_in``.
"""

from __future__ import annotations

import socket
import sys

import holdfast
from benchmarks.bare import LENGTH, frames_of
from benchmarks.driven import serve, taken_over
from benchmarks.material import MESSAGE

__all__ = ["main"]


def main() -> None:
    """Send as much as is asked for; answered when all is acknowledged."""
    with taken_over() as control:
        if sys.argv[2] == "hub":
            with holdfast.connect(sys.argv[3]) as hub:
                serve(control, {"tell": lambda count: tell(hub, count)})
        else:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(sys.argv[3])
                serve(control, {"tell": lambda count: tell_bare(sock, count)})


def tell(hub: holdfast.Hub, count: int) -> None:
    """As any program does."""
    echo = hub.ref("echo")
    for _ in range(count):
        echo.tell(MESSAGE)
    hub.flush()


def tell_bare(sock: socket.socket, count: int) -> None:
    """In frames, the last of which is answered."""
    for frame in frames_of(MESSAGE, count):
        sock.sendall(frame)
    assert len(sock.recv(LENGTH.size, socket.MSG_WAITALL)) == LENGTH.size, "the sink is gone"


if __name__ == "__main__":
    main()
