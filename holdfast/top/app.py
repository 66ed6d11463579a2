"""The application: one thread reads the daemon, this one draws.

Kept in this process only: the newest shot, and the newest thousand events that were shown.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections import deque
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import ContentSwitcher, Footer, Input, Static

from holdfast.actors.messages.supervisor import ChildStatus, Report
from holdfast.cli.logreading import ActorLog
from holdfast.cli.output import printable, printable_lines
from holdfast.errors import HoldfastError
from holdfast.top import drawing
from holdfast.top.feed import Feed, Shot, View
from holdfast.top.lines import Lines
from holdfast.top.orders import Order, carry_out, question
from holdfast.top.rates import Row
from holdfast.top.screens import About, Sure
from holdfast.top.swaps import swap_line, swapped_line

__all__ = ["TopApp"]

KEPT: Final = 1_000  # events
LOG_LINES: Final = 20
TERMINATED: Final = 143
VIEWS: Final[tuple[View, ...]] = ("tree", "events", "sessions")


class TopApp(App[None]):
    """``interval``: seconds between two looks at the daemon."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit"),
        Binding("ctrl+c", "quit", "Quit", show=False, priority=True),
        Binding("r", "order('restart')", "Restart"),
        Binding("s", "order('stop')", "Stop"),
        Binding("R", "order('reload')", "Reload"),
        Binding("1", "view('tree')", "Tree"),
        Binding("2", "view('events')", "Events"),
        Binding("3", "view('sessions')", "Sessions"),
        Binding("slash", "filter", "Filter"),
        Binding("space", "pause", "Pause"),
    ]
    CSS = """
    #status { height: 1; text-style: bold; }
    #swap { display: none; height: auto; max-height: 3; color: $accent; }
    #swap.shown { display: block; }
    #said { height: auto; max-height: 3; color: $warning; }
    #filter { display: none; height: 1; border: none; padding: 0; }
    #filter.shown { display: block; }
    ContentSwitcher { height: 1fr; }
    Lines { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; }
    """

    def __init__(self, run_dir: Path, *, interval: float = 1.0) -> None:
        super().__init__()
        self.feed = Feed(run_dir)
        self.shot = Shot()
        self.view: View = "tree"
        self._interval = interval
        self._types = ""
        self._is_paused = False
        self._is_over = False
        self._wake = threading.Event()  # look now, not when the interval is over
        self._events: deque[tuple[str, str]] = deque(maxlen=KEPT)
        self._root = 0

    def compose(self) -> ComposeResult:
        """The daemon, its swap, one of three lists, what was said last, the keys."""
        yield Static("", id="status", markup=False)
        yield Static("", id="swap", markup=False)
        with ContentSwitcher(initial="tree"):
            yield Lines(id="tree")
            yield Lines(id="events", has_cursor=False, follows=True)
            yield Lines(id="sessions", has_cursor=False)
        yield Input(placeholder="type or glob of events, as tool:*", id="filter", compact=True)
        yield Static("", id="said", markup=False)
        yield Footer(compact=True)

    def on_mount(self) -> None:
        """Begin to look; SIGTERM ends it as q does, and gives the terminal back."""
        end = partial(self.exit, return_code=TERMINATED)
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end)
        self.query_one("#tree").focus()
        self._look()

    def on_unmount(self) -> None:
        """End the thread; the terminal waits for nobody."""
        self._is_over = True
        self._wake.set()

    @work(thread=True, exit_on_error=True)
    def _look(self) -> None:
        while not self._is_over:
            self._wake.clear()
            if not self._is_paused:
                shot = self.feed.read(self.view, self._types)
                about = self._about(shot)
                if not self._is_over:
                    self.call_from_thread(self._show, shot, about)
            self._wake.wait(self._interval)
        self.feed.close()

    # -- drawing ------------------------------------------------------------------------------

    def _show(self, shot: Shot, about: list[str] | None) -> None:
        if not self.query("#status"):  # the application ends
            return
        if shot.tree is None:  # what was there stays, and says that it is old
            self.query_one("#status", Static).update(f"no daemon: {printable(shot.problem)}")
            return
        if shot.tree.root.pid != self._root:
            self._root = shot.tree.root.pid or 0
            self._events.clear()
        self.shot = shot
        self.query_one("#status", Static).update(self._status(shot))
        width = self.size.width - 1
        self._draw_swap(shot, width)
        if self.view == "tree":
            self._draw_tree(width)
        elif self.view == "events":
            self._draw_events(shot, width)
        if shot.sessions is not None:
            lines = [(drawing.session_line(each, width), "") for each in shot.sessions]
            self.query_one("#sessions", Lines).show("sessions", lines)
        if about is not None and isinstance(self.screen, About):
            self.screen.show(about)

    def _status(self, shot: Shot) -> str:
        tree = shot.tree
        assert tree is not None
        amiss = sum(row.child.state != "running" for row in shot.rows)
        parts = [tree.name, f"up {drawing.span(tree.uptime)}", f"{len(shot.rows)} processes"]
        if amiss:
            parts.insert(1, f"{amiss} NOT RUNNING")
        if self._is_paused:
            parts.insert(0, "PAUSED")
        if shot.problem:
            parts.insert(0, printable(shot.problem))
        return "  ".join(parts)

    def _draw_swap(self, shot: Shot, width: int) -> None:
        """A line that is there while it has something to say."""
        text = ""
        if shot.swap is not None:
            text = swap_line(shot.swap, width)
        elif shot.swapped is not None:
            text = swapped_line(shot.swapped)
        line = self.query_one("#swap", Static)
        line.set_class(bool(text), "shown")
        line.update(text)

    def _draw_tree(self, width: int) -> None:
        rows = self.shot.rows
        names = max((len(row.branch + row.child.id) for row in rows), default=0)
        first, columns = drawing.fitting(width, names)
        lines = [(drawing.line(row, first, columns), drawing.style_of(row)) for row in rows]
        self.query_one("#tree", Lines).show(drawing.header(first, columns), lines)

    def _draw_events(self, shot: Shot, width: int) -> None:
        if shot.skipped > 0:
            self._events.append((f"... {shot.skipped:,} more", "dim"))
        self._events.extend((drawing.event_line(event, width), "") for event in shot.events)
        head = f"events {self._types}" if self._types else "events"
        self.query_one("#events", Lines).show(head, list(self._events))

    # -- one actor ----------------------------------------------------------------------------

    def _about(self, shot: Shot) -> list[str] | None:
        """In the reading thread: it waits for a supervisor, and reads a file."""
        screen = self.screen
        if not isinstance(screen, About) or shot.tree is None:
            return None
        row = next((row for row in shot.rows if row.child.id == screen.actor), None)
        if row is None:
            return [f"{screen.actor} is no child any more"]
        lines: list[str] = []
        if shot.tree.log_dir:
            lines = _log_of(screen.actor, Path(shot.tree.log_dir))
        return drawing.detail(row, self._reports(row), lines, width=self.size.width)

    def _reports(self, row: Row) -> list[Report]:
        hub = self.feed.hub
        if hub is None or not row.above:
            return []
        try:
            return hub.supervision.reports(row.above, timeout=1.0)
        except HoldfastError:
            return []

    def on_lines_chosen(self, message: Lines.Chosen) -> None:
        """Enter: all about the chosen one."""
        if self.view == "tree" and message.index < len(self.shot.rows):
            self.push_screen(About(self.shot.rows[message.index].child.id))
            self._wake.set()

    # -- keys ---------------------------------------------------------------------------------

    def action_view(self, view: View) -> None:
        """Another of the three lists."""
        self.view = view
        self.query_one(ContentSwitcher).current = view
        self.query_one(f"#{view}").focus()
        if view == "tree":
            self._draw_tree(self.size.width - 1)
        self._wake.set()

    def action_filter(self) -> None:
        """Ask for a glob of types; it is the log that looks for them."""
        self.action_view("events")
        box = self.query_one("#filter", Input)
        box.add_class("shown")
        box.focus()

    def on_input_submitted(self, message: Input.Submitted) -> None:
        """Show those from now on."""
        self._types = message.value.strip()
        self._events.clear()
        message.input.remove_class("shown")
        self.query_one("#events").focus()
        self._wake.set()

    def action_pause(self) -> None:
        """Stop looking, or go on."""
        self._is_paused = not self._is_paused
        self.query_one("#status", Static).update(self._status(self.shot) if self.shot.tree else "")
        self._wake.set()

    def action_order(self, order: Order) -> None:
        """Ask first, then do it."""
        child = None if order == "reload" else self._chosen()
        if order != "reload" and child is None:
            return
        if child is not None and order == "stop" and child.state in ("stopped", "exited", "fatal"):
            order = "start"
        if child is not None and child.id == "root":
            self._say("the root is nobody's child: holdfast stop ends the daemon")
            return

        def decided(is_sure: bool | None) -> None:
            if is_sure:
                self._carry_out(order, "" if child is None else child.id)

        self.push_screen(Sure(question(order, child)), decided)

    def _chosen(self) -> ChildStatus | None:
        rows = self.shot.rows
        if isinstance(self.screen, About):
            named = [row.child for row in rows if row.child.id == self.screen.actor]
            return named[0] if named else None
        index = self.query_one("#tree", Lines).cursor
        return rows[index].child if self.view == "tree" and index < len(rows) else None

    @work(thread=True)
    def _carry_out(self, order: Order, name: str) -> None:
        self._later(self._say, f"{order} {name} ...")
        said = carry_out(self.feed.hub, order, name)
        self._later(self._say, said)
        self._wake.set()

    def _later(self, call: Callable[..., Any], *arguments: object) -> None:
        if not self._is_over:
            self.call_from_thread(call, *arguments)

    def _say(self, text: str) -> None:
        # On the main screen, whatever lies above it; there is none when the application ends.
        for line in self.query("#said").results(Static):
            line.update(printable_lines(text))


def _log_of(actor: str, folder: Path) -> list[str]:
    log = ActorLog(folder, actor)
    try:
        return [drawing.log_line(line) for line in log.newest(LOG_LINES)]
    except OSError as error:
        return [f"{error.filename or folder}: cannot be read: {error.strerror}"]
    finally:
        log.close()
