"""The addresses of a tree."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path

from holdfast.supervisors.listeners import Listeners


def test_only_this_user_may_connect(tmp_path: Path) -> None:
    # Scenario D18: sockets
    old = os.umask(0)
    try:
        listeners = Listeners(tmp_path)
        listeners.open(["a", "b"])
    finally:
        os.umask(old)
    for name in ("a", "b"):
        info = (tmp_path / f"{name}.sock").stat()
        assert stat.S_ISSOCK(info.st_mode)
        assert stat.S_IMODE(info.st_mode) == 0o600
    listeners.close()
    assert list(tmp_path.iterdir()) == []


def test_a_connect_waits_while_nobody_accepts(tmp_path: Path) -> None:
    listeners = Listeners(tmp_path)
    listeners.open(["a"])
    clients = [socket.socket(socket.AF_UNIX) for _ in range(200)]
    for client in clients:
        client.setblocking(False)
        client.connect(str(tmp_path / "a.sock"))
        client.send(b"x")
    for client in clients:
        server, _ = listeners.sockets["a"].accept()
        assert server.recv(1) == b"x"
        server.close()
        client.close()
    listeners.close()


def test_a_path_longer_than_an_address_will_do(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    listeners = Listeners(deep)
    listeners.open(["a" * 48])
    assert [path.name for path in deep.iterdir()] == ["a" * 48 + ".sock"]
    listeners.close()


def test_the_files_of_a_killed_root_are_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(tmp_path / "a.sock"))
    listeners = Listeners(tmp_path)
    listeners.open(["a"])
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(tmp_path / "a.sock"))
    listeners.close()
