"""Specs of agents under test, wherever their classes stand, and what they are told."""

from __future__ import annotations

import os
import signal
import socket
from typing import Any

import msgspec

from holdfast.actors.wire import Tell, encode_frame
from holdfast.supervisors.settings import AgentSettings
from holdfast.supervisors.spec import ChildSpec
from tests.peers import greet
from tests.supervisors.trees import PROJECT, TIMEOUT, SmallTree


def agent(
    name: str, target: str, *, limits: dict[str, Any] | None = None, **options: Any
) -> ChildSpec:
    """A child that runs ``module:Class`` of this folder; ``options`` go to its constructor."""
    run = AgentSettings(
        target=f"tests.supervisors.{target}",
        python_path=(str(PROJECT),),
        options=options,
        **(limits or {}),
    )
    return ChildSpec(id=name, run=run, where=f"[agents.{name}] in test.toml")


def starts(name: str, *ways: str) -> ChildSpec:
    """A child that starts programs in these ways."""
    return agent(name, "agents_with_programs:Starts", ways=list(ways))


def tell(tree: SmallTree, message: object, to: str) -> None:
    """Tell an actor something, once: nobody sends it again."""
    body = msgspec.Raw(msgspec.msgpack.encode(message))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(TIMEOUT)
        sock.connect(str(tree.run_dir / f"{to}.sock"))
        greet(sock, to, "test")
        sock.sendall(encode_frame(Tell(1, 1, False, body)))
        while sock.recv(65536):  # until it is dead
            pass


def kill(tree: SmallTree, victim: str, number: int = signal.SIGKILL) -> None:
    """Signal a process; an agent by its pid, for a program that is not loaded yet has its name."""
    for supervisor in [name for name in ("root", "below") if name in tree.pids()]:
        status = tree.which(supervisor).get(victim)
        if status is not None and status.pid is not None:
            os.kill(status.pid, number)
            return
    tree.kill(victim, number)
