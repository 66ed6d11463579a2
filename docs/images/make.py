"""Makes the pictures of ``holdfast top`` and of commands from real daemons: ``./run screenshots``.

SVG files beside this one, and PNG where cairosvg is installed.  What commands print is taken from a
terminal of their own, with the colours that it has there.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

import holdfast
from holdfast.testing import Daemon

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
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


WIDE = 110  # columns of a command's terminal
ROWS = 100_000  # events that are there besides, so that a swap takes long enough to be seen
REPLAY = "".join(
    f"""
[agents.replay-{shard + 1}]
class = "examples.replay:Replay"
python_path = ["{ROOT}"]
options.file = "{ROOT}/examples/agent_traces.jsonl"
options.shard = {shard}
options.shards = 3
options.pace = 0.01
"""
    for shard in range(3)
)
# A session of the traces, by the key of its first event.
TRACE = "marshmallow-code__marshmallow-1867-f234b3.1"


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


async def _shoot(
    run_dir: Path, name: str, size: tuple[int, int], keys: list[str], *, moves: bool = False
) -> None:
    from holdfast.top.app import TopApp

    app = TopApp(run_dir, interval=0.5)
    async with app.run_test(size=size) as pilot:
        if moves:
            await _until(pilot, lambda: app.shot.swap is not None and app.shot.swap.rows > ROWS / 5)
            await pilot.pause()
            _save(name, app.export_screenshot(title="holdfast top"))
            return
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
    here = str(ROOT)
    svg = svg.replace(here, f"/srv/holdfast{'/src' * len(here)}"[: len(here)])
    (HERE / f"{name}.svg").write_text(svg, encoding="utf-8")
    try:
        import cairosvg
    except ImportError:
        return
    png = str(HERE / f"{name}.png")
    mono = svg.replace("Fira Code", "DejaVu Sans Mono")  # fonts of the web are not fetched for it
    cairosvg.svg2png(bytestring=mono.encode(), write_to=png, scale=1.0)


def _printed(run_dir: Path, *arguments: str, columns: int = WIDE) -> str:
    """What a command prints on a terminal, colours and all."""
    reading, writing = os.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm-256color"}
    environment |= {"HOLDFAST_RUN_DIR": str(run_dir)}
    for unwanted in ("NO_COLOR", "FORCE_COLOR", "COLORTERM"):
        environment.pop(unwanted, None)
    words = [sys.executable, "-m", "holdfast", *arguments]
    with subprocess.Popen(words, cwd=ROOT, env=environment, stdout=writing) as process:
        os.close(writing)
        text = b""
        with suppress(OSError):  # how Linux says that nobody holds the other end any more
            while data := os.read(reading, 65_536):
                text += data
        os.close(reading)
    if process.returncode:
        raise SystemExit(f"holdfast {' '.join(arguments)}: exit code {process.returncode}")
    return text.decode().replace("\r\n", "\n")


def _draw(name: str, arguments: str, text: str, columns: int = WIDE) -> None:
    """The command as it is typed, and what it printed."""
    screen = Console(record=True, width=columns, file=StringIO(), force_terminal=True)
    screen.print(Text.assemble(("$ ", "dim"), (f"holdfast {arguments}", "bold")))
    screen.print(Text.from_ansi(text.rstrip("\n")))
    screen.print()  # or the frame cuts off what hangs below the last line
    # Whole pixels for each character, as cairo has it: or columns are not below each other.
    _save(name, screen.export_svg(title="holdfast", font_aspect_ratio=0.6))


def _shoot_commands(folder: Path) -> None:
    """From the demo's agents and traces."""
    with Daemon(folder, CONFIG.partition("[agents.planner]")[0] + REPLAY) as daemon:
        os.kill(daemon.pid("query"), signal.SIGKILL)
        daemon.wait_until_running("query")
        daemon.until(lambda: len(daemon.hub.events.query(types="session:ended")) > 10)
        for name, arguments in (
            ("status", "status"),
            ("events-tail", "events tail -n 16"),
            ("trace", f"trace {TRACE} --limit 19"),
        ):
            _draw(name, arguments, _printed(daemon.run_dir, *arguments.split()))
        _shoot_swap(daemon)


def _shoot_swap(daemon: Daemon) -> None:
    """While the data moves to another file, and then to a third."""
    for number in range(ROWS):
        data = {"n": number, "text": "x" * 200}
        daemon.hub.events.emit("sensor:reading", data, session="archive")
    daemon.hub.flush()
    with _moving(daemon, "moved.db") as is_over:
        text = ""
        while "rows/s" not in text and not is_over():
            text = _printed(daemon.run_dir, "swap", "status", columns=132)
        _draw("swap-status", "swap status", text, columns=132)
    with _moving(daemon, "again.db"):
        asyncio.run(_shoot(daemon.run_dir, "top-swap", (110, 18), [], moves=True))


@contextmanager
def _moving(daemon: Daemon, path: str) -> Iterator[Callable[[], bool]]:
    config = daemon.config_file.read_text().partition("\n[storage]")[0]
    daemon.config_file.write_text(f'{config}\n[storage]\npath = "{path}"\n')
    moving = threading.Thread(target=daemon.hub.supervision.reload)
    moving.start()
    yield lambda: not moving.is_alive()
    moving.join()


def main() -> None:
    """Every picture."""
    with tempfile.TemporaryDirectory() as folder:
        _shoot_commands(Path(folder))
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
    print("made", *(path.name for path in sorted(HERE.glob("*.svg"))), file=sys.stderr)


if __name__ == "__main__":
    main()
