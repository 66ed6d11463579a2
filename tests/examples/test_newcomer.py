"""The README's five minutes, from a fresh clone, each command as it stands there, and timed."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.commandline import environment
from tests.holdfast.conftest import ROOT

BLOCK = re.compile(r"```(?:sh (\w+)|python)\n(.*?)```", re.DOTALL)
STEPS = ("install", "init", "start", "", "first", "kill", "top", "stop")  # "" is first.py
PATIENCE = 300.0  # seconds for a step, of which it has five minutes for all
READY = 60.0  # seconds


def path_of(readme: Path) -> dict[str, str]:
    """The blocks of that section by name, in order."""
    text = readme.read_text(encoding="utf-8")
    section = text.partition("## Five minutes\n")[2].partition("\n## ")[0]
    return dict(BLOCK.findall(section))


def test_the_path_is_in_the_readme_in_its_order() -> None:
    assert tuple(path_of(ROOT / "README.md")) == STEPS


class Terminal:
    """A shell that is typed into."""

    def __init__(self, folder: Path, path: str) -> None:
        self._shell = subprocess.Popen(
            ["bash"],
            cwd=folder,
            env=environment(PATH=path),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def type(self, script: str) -> str:
        """What it prints until the prompt is there again; a command that fails ends the shell."""
        assert self._shell.stdin is not None
        assert self._shell.stdout is not None
        self._shell.stdin.write(f"set -e\n{script}\nset +e\necho $((6 * 7)) DONE\n")
        self._shell.stdin.flush()
        printed = ""
        for line in self._shell.stdout:
            if line == "42 DONE\n":
                return printed
            printed += line
        raise AssertionError(printed)

    def close(self) -> None:
        self._shell.communicate("exit\n", timeout=PATIENCE)


def seen_in_top(script: str, folder: Path, path: str, text: str) -> None:
    """What ``top`` draws until ``text`` is among it; then q."""
    pid, screen = pty.fork()
    if pid == 0:
        os.chdir(folder)
        size = {"PATH": path, "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "30"}
        os.execve("/bin/bash", ["bash", "-euc", script], environment(**size))
    end = time.monotonic() + READY
    drawn = ""
    while text not in drawn:
        assert select.select([screen], [], [], end - time.monotonic())[0], drawn[-2000:]
        drawn += os.read(screen, 65_536).decode(errors="replace")
    os.write(screen, b"q")
    with suppress(OSError):  # how Linux says that it is closed
        while os.read(screen, 65_536):
            pass
    assert os.waitpid(pid, 0)[1] == 0
    os.close(screen)


class Newcomer:
    """Who reads the section in a clone; ``times`` says how long each step took."""

    def __init__(self, home: Path) -> None:
        self.clone = home / "holdfast"
        subprocess.run(["git", "clone", "--quiet", ROOT, self.clone], check=True)
        self.blocks = path_of(self.clone / "README.md")
        bin_ = home / "bin"  # the interpreter, and nothing else of this environment
        bin_.mkdir()
        (bin_ / "python3").symlink_to(os.path.realpath(sys.executable))
        self.path = f"{bin_}:/usr/local/bin:/usr/bin:/bin"
        self.folder = self.clone
        self.times: dict[str, float] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.times[name] = time.monotonic() - began

    def install(self) -> None:
        first = Terminal(self.clone, self.path)
        for name in ("install", "init"):
            with self.timed(name):
                first.type(self.blocks[name])
        self.folder = Path(first.type("pwd").strip())
        self.path = first.type('echo "$PATH"').strip()
        first.close()

    def try_it(self) -> None:
        """While the daemon runs in another terminal."""
        second = Terminal(self.folder, self.path)
        (self.folder / "first.py").write_text(self.blocks[""])
        with self.timed("first"):
            said = second.type(self.blocks["first"])
        assert said.splitlines()[1].endswith("tool:result {'files': 2}")
        with self.timed("kill"):
            said = second.type(self.blocks["kill"])
        assert said.count("tool:call") == said.count("tool:result") == 1
        (writer,) = (line for line in said.splitlines() if " writer " in line)
        assert " running " in writer
        assert "signal 9, " in writer
        with self.timed("top"):
            seen_in_top(self.blocks["top"], self.folder, self.path, "signal 9")
        with self.timed("stop"):
            second.type(self.blocks["stop"])
        second.close()


@pytest.mark.slow  # it installs, and five minutes are what it may take
def test_five_minutes_are_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    newcomer = Newcomer(tmp_path)
    newcomer.install()
    with subprocess.Popen(
        ["bash", "-euc", f"exec {newcomer.blocks['start']}"],
        cwd=newcomer.folder,
        env=environment(PATH=newcomer.path),
        stdout=subprocess.PIPE,
        text=True,
    ) as daemon:
        try:
            assert daemon.stdout is not None
            with newcomer.timed("start"):
                assert daemon.stdout.readline().startswith("ready ")
            newcomer.try_it()
            assert daemon.wait(READY) == 0
        finally:
            if daemon.poll() is None:
                daemon.send_signal(signal.SIGTERM)
    times = newcomer.times
    with capsys.disabled():
        shown = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in times.items())
        print(f"\na newcomer's path: {shown}; {sum(times.values()):.1f} s in all")
    assert sum(times.values()) < PATIENCE
