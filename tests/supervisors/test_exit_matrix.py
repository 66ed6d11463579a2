"""Who is restarted after which end: OTP's table, a cell at a time."""

from __future__ import annotations

import signal
from typing import Final

import pytest

from holdfast.actors.messages.supervisor import ChildCount, CountChildren, LastExit
from holdfast.supervisors.settings import Restart
from tests.supervisors.conftest import Grow
from tests.supervisors.trees import child

# What the child is told to do, or the signal that it gets; its last exit; whether that is normal.
ENDS: Final[dict[str, tuple[str | int, str, int | None, int | None, bool]]] = {
    "exit-0": ("exit 0", "exit", 0, None, True),
    "shutdown": ("exit 5", "shutdown", 5, None, True),
    "exit-1": ("exit 1", "exit", 1, None, False),
    "uncaught": ("raise no", "exit", 1, None, False),
    "sigterm": (signal.SIGTERM, "exit", 143, None, False),
    "sigkill": (signal.SIGKILL, "signal", None, 9, False),
    "sigsegv": (signal.SIGSEGV, "signal", None, 11, False),
    "abort": ("abort", "signal", None, 6, False),
}
# Restart type, after an abnormal end, after a normal one.
RESTARTED: Final[dict[Restart, tuple[bool, bool]]] = {
    "permanent": (True, True),
    "transient": (True, False),
    "temporary": (False, False),
}


@pytest.mark.parametrize("end", ENDS)
def test_what_is_restarted_follows_otps_table(grow: Grow, end: str) -> None:
    # Scenario 2: a column of three cells at a time
    how, kind, code, number, is_normal = ENDS[end]
    children = [child(restart, "Obeys", restart=restart) for restart in RESTARTED]
    tree = grow(*children, child("bystander"), max_restarts=3).ready()
    bystander = tree.which()["bystander"].pid
    for restart in RESTARTED:
        if isinstance(how, str):
            tree.command(restart, how)
        else:
            tree.kill(restart, how)
        tree.expect(f"^{restart} is dead: ")
        is_restarted = RESTARTED[restart][is_normal]
        if is_restarted:
            tree.expect(f"^{restart} is ready: .* start 2, ")
        which = tree.which()
        if restart == "temporary":
            assert restart not in which  # its spec goes with it
            continue
        status = which[restart]
        exit_ = status.last_exit
        assert exit_ == LastExit(kind, code, number, exit_.at if exit_ else 0)
        assert (status.state, status.restarts, status.incarnation) == (
            ("running", 1, 2) if is_restarted else ("exited", 0, 1)
        )
    active = 2 if is_normal else 3
    assert tree.ask(CountChildren()) == ChildCount(3, active, 0, 3)
    assert tree.which()["bystander"].pid == bystander
    assert tree.end() == 0
    said = f"temporary is dead: pid \\d+, .*{number if code is None else code}$"
    assert (tree.count(said), tree.count("^temporary is ready")) == (1, 1)
