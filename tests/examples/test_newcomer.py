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
from collections.abc import Callable
from contextlib import suppress
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


@pytest.mark.slow  # it installs, and five minutes are what it may take
def test_five_minutes_are_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clone = tmp_path / "holdfast"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    blocks = path_of(clone / "README.md")
    assert tuple(blocks) == STEPS
    bin_ = tmp_path / "bin"  # the interpreter, and nothing else of this environment
    bin_.mkdir()
    (bin_ / "python3").symlink_to(os.path.realpath(sys.executable))
    path = f"{bin_}:/usr/local/bin:/usr/bin:/bin"
    times: dict[str, float] = {}

    def timed(name: str, do: Callable[[], str | None]) -> str:
        began = time.monotonic()
        said = do()
        times[name or "first.py"] = time.monotonic() - began
        return said or ""

    first = Terminal(clone, path)
    timed("install", lambda: first.type(blocks["install"]))
    timed("init", lambda: first.type(blocks["init"]))
    folder = Path(first.type("pwd").strip())
    path = first.type('echo "$PATH"').strip()
    first.close()
    began = time.monotonic()
    with subprocess.Popen(
        ["bash", "-euc", f"exec {blocks['start']}"],
        cwd=folder,
        env=environment(PATH=path),
        stdout=subprocess.PIPE,
        text=True,
    ) as daemon:
        try:
            assert daemon.stdout is not None
            assert daemon.stdout.readline().startswith("ready ")
            times["start"] = time.monotonic() - began
            second = Terminal(folder, path)
            (folder / "first.py").write_text(blocks[""])
            said = timed("first", lambda: second.type(blocks["first"]))
            assert said.splitlines()[1].endswith("tool:result {'files': 2}")
            said = timed("kill", lambda: second.type(blocks["kill"]))
            assert said.count("tool:call") == said.count("tool:result") == 1
            (writer,) = (line for line in said.splitlines() if " writer " in line)
            assert " running " in writer
            assert "signal 9, " in writer
            timed("top", lambda: seen_in_top(blocks["top"], folder, path, "signal 9"))
            timed("stop", lambda: second.type(blocks["stop"]))
            second.close()
            assert daemon.wait(READY) == 0
        finally:
            if daemon.poll() is None:
                daemon.send_signal(signal.SIGTERM)
    with capsys.disabled():
        shown = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in times.items())
        print(f"\na newcomer's path: {shown}; {sum(times.values()):.1f} s in all")
    assert sum(times.values()) < PATIENCE
