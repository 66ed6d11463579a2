"""Makes the pictures of ``holdfast top`` from a real daemon: ``./run screenshots``.

SVG files beside this one, and PNG where cairosvg is installed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import holdfast
from holdfast.testing import Daemon

HERE = Path(__file__).resolve().parent
SECONDS = 30.0  # until a picture has what it is to show
CONFIG = """
[daemon]
name = "demo"
[supervisors.agents]
max_restarts = 50
[agents.planner]
class = "make:Busy"
options = { period = 0.01, kind = "plan" }
[agents.coder]
class = "make:Busy"
options = { period = 0.005, kind = "tool" }
[agents.critic]
class = "make:Busy"
options = { period = 0.05, kind = "review" }
"""


class Busy(holdfast.Agent):
    """Emits an event again and again, and now and then looks at a session."""

    def __init__(self, *, period: float, kind: str) -> None:
        super().__init__()
        self._period, self._kind, self._step = period, kind, 0

    def on_start(self) -> None:
        """Begin."""
        self.after(self._period, "go on")

    def on_receive(self, message: Any) -> None:
        """One step; "fail" is what it cannot do."""
        if message == "fail":
            raise RuntimeError(f"{self.name}: step {self._step} has no plan")
        self._step += 1
        self.hub.events.emit(f"{self._kind}:step", {"step": self._step}, session=self.name)
        if self._step % 20 == 0:
            self.hub.sessions.put(self.name, {"step": self._step}, owner=self.name)
        self.after(self._period, "go on")


async def _until(pilot: Any, condition: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        if time.monotonic() > end:
            raise SystemExit("a picture does not come: is the machine very busy?")
        await pilot.pause(0.1)


async def _shoot(run_dir: Path, name: str, size: tuple[int, int], keys: list[str]) -> None:
    from holdfast.top.app import TopApp

    app = TopApp(run_dir, interval=0.5)
    async with app.run_test(size=size) as pilot:
        await _until(pilot, lambda: any(row.rate > 1 for row in app.shot.rows))
        names = [row.child.id for row in app.shot.rows]
        for key in keys:
            await pilot.press(*(["down"] * names.index(key[1:]) if key[0] == "@" else [key]))
        for _ in range(3):  # looks, so that what the keys asked for has come
            shot = app.shot
            await _until(pilot, lambda shot=shot: app.shot is not shot)
        _save(name, app.export_screenshot(title="holdfast top"))


def _save(name: str, svg: str) -> None:
    # Nobody else has this machine's paths; as long as they were, or the lines would not fit.
    here = str(HERE.parent.parent)
    svg = svg.replace(here, f"/srv/holdfast{'/src' * len(here)}"[: len(here)])
    (HERE / f"{name}.svg").write_text(svg, encoding="utf-8")
    try:
        import cairosvg
    except ImportError:
        return
    png = str(HERE / f"{name}.png")
    mono = svg.replace("Fira Code", "DejaVu Sans Mono")  # fonts of the web are not fetched for it
    cairosvg.svg2png(bytestring=mono.encode(), write_to=png, scale=1.0)


def main() -> None:
    """Every picture."""
    with tempfile.TemporaryDirectory() as folder:
        config = CONFIG.replace('"make:Busy"', f'"make:Busy"\npython_path = ["{HERE}"]')
        with Daemon(Path(folder), config) as daemon:
            daemon.ref("critic").tell("fail")
            daemon.next_event("supervisor:child_terminated", subject="critic")
            daemon.wait_until_running("critic")
            os.kill(daemon.pid("query"), signal.SIGKILL)
            run_dir = daemon.run_dir
            asyncio.run(_shoot(run_dir, "top", (110, 24), []))
            asyncio.run(_shoot(run_dir, "top-actor", (110, 44), ["@critic", "enter"]))
            asyncio.run(_shoot(run_dir, "top-events", (110, 24), ["2"]))
            asyncio.run(_shoot(run_dir, "top-question", (110, 24), ["@writer", "r"]))
            asyncio.run(_shoot(run_dir, "top-narrow", (40, 24), []))
    print("made", *(path.name for path in sorted(HERE.glob("top*.*"))), file=sys.stderr)


if __name__ == "__main__":
    main()
