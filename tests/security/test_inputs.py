"""Scenario D17: input that no program means; refused by name, nothing stored, nobody ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast.errors import ConfigError, HoldfastError, InvalidInputError
from holdfast.supervisors.config import load_settings, parse_settings
from tests.daemon import TIMEOUT, Daemon

MEBIBYTE = 1024 * 1024
LONG = "x" * (10 * MEBIBYTE)
STATE = ("writer", "query", "log", "sessions", "checkpoints", "files", "tracker")


def deep(levels: int = 100_000) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


VALUES: dict[str, Callable[[], Any]] = {
    "deep": deep,
    "nan": lambda: float("nan"),
    "infinite": lambda: float("-inf"),
    "surrogate": lambda: "\ud800",
    "object": object,
    "huge integer": lambda: 10**5_000,
    "key that is no text": lambda: {1: 2},
}
NAMES = {"long": LONG, "surrogate": "a\ud800", "empty": "", "nul": "a\0b"}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("inputs")) as daemon:
        yield daemon


@pytest.fixture(scope="module", autouse=True)
def nobody_ends_or_grows(daemon: Daemon) -> Iterator[None]:
    """After all of it: the same processes, which have not grown by what they were sent."""
    daemon.hub.events.emit("before")
    daemon.hub.flush(timeout=TIMEOUT)
    before = {name: daemon.pid(name) for name in STATE}
    memory = {name: resident(pid) for name, pid in before.items()}
    yield
    assert {name: daemon.pid(name) for name in STATE} == before
    grown = {name: resident(pid) - memory[name] for name, pid in before.items()}
    assert max(grown.values()) < 96 * MEBIBYTE, grown


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def stores(hub: holdfast.Hub, value: Any) -> dict[str, Callable[[], object]]:
    """Everything that takes a value of its caller's."""
    return {
        "event": lambda: hub.events.emit("bad:value", value),
        "session": lambda: hub.sessions.put("bad", value, timeout=TIMEOUT),
        "item": lambda: hub.sessions.append("bad", value, timeout=TIMEOUT),
        "cache": lambda: hub.cache.put("bad", value, timeout=TIMEOUT),
        "entity": lambda: hub.state.create("bad", {"a": value}, id="bad", timeout=TIMEOUT),
        "checkpoint": lambda: hub.checkpoints.put("bad", value, timeout=TIMEOUT),
        "record": lambda: hub.files.append("bad", {"a": value}, timeout=TIMEOUT),
        "result": lambda: hub.files.put_result("bad", value, timeout=TIMEOUT),
        "request": lambda: hub.tracker.begin("bad", "kind", value, timeout=TIMEOUT),
    }


@pytest.mark.parametrize("value", VALUES)
def test_a_value_that_is_none_is_refused_by_name_wherever_it_goes(
    daemon: Daemon, value: str
) -> None:
    for where, store in stores(daemon.hub, VALUES[value]()).items():
        with pytest.raises(InvalidInputError) as error:
            store()
        assert 0 < len(str(error.value)) < 1_000, where
    assert nothing_is_stored(daemon)


def test_ten_megabytes_are_refused_where_they_do_not_fit(daemon: Daemon) -> None:
    for where, store in stores(daemon.hub, LONG).items():
        if where == "checkpoint":
            continue  # it takes 256 MiB, in parts
        with pytest.raises(HoldfastError) as error:
            store()
        assert len(str(error.value)) < 1_000, where
    assert nothing_is_stored(daemon)


def test_a_million_properties_are_refused_and_none_of_them_is_stored(daemon: Daemon) -> None:
    many = {f"p{number}": number for number in range(1_000_000)}
    with pytest.raises(HoldfastError) as error:
        daemon.hub.state.create("bad", many, id="bad", timeout=TIMEOUT)
    assert len(str(error.value)) < 1_000
    assert nothing_is_stored(daemon)


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_none_is_refused_wherever_it_goes(daemon: Daemon, name: str) -> None:
    hub, text = daemon.hub, NAMES[name]
    calls: dict[str, Callable[[], object]] = {
        "type": lambda: hub.events.emit(text),
        "session": lambda: hub.sessions.put(text, {}, timeout=TIMEOUT),
        "key": lambda: hub.cache.put(text, 1, timeout=TIMEOUT),
        "entity type": lambda: hub.state.create(text, {}, timeout=TIMEOUT),
        "property": lambda: hub.state.create("t", {text: 1}, timeout=TIMEOUT),
        "thread": lambda: hub.checkpoints.put(text, 1, timeout=TIMEOUT),
        "file": lambda: hub.files.append(text, {}, timeout=TIMEOUT),
        "result": lambda: hub.files.put_result(text, 1, timeout=TIMEOUT),
        "request": lambda: hub.tracker.begin(text, "kind", timeout=TIMEOUT),
        "limiter": lambda: hub.tracker.acquire(text, timeout=TIMEOUT),
        "actor": lambda: hub.ref(text).ask(1, timeout=TIMEOUT),
    }
    for where, call in calls.items():
        with pytest.raises(HoldfastError) as error:
            call()
        assert len(str(error.value)) < 1_000, where


def nothing_is_stored(daemon: Daemon) -> bool:
    hub = daemon.hub
    hub.flush(timeout=TIMEOUT)
    return (
        hub.events.count(types="bad:value") == 0
        and hub.sessions.get("bad") is None
        and hub.state.get("bad") is None
        and hub.files.get_result("bad") is None
    )


@pytest.mark.parametrize(
    "text",
    [
        "a = " + "[" * 100_000,
        "[" * 100_000,
        "a." * 1_000 + "b = 1",
        f'[daemon]\nname = "{LONG[:500_000]}"',
        "[daemon]\n" + "".join(f"k{number} = 1\n" for number in range(10_000)),
        "[actors.log]\ncapacity = " + "9" * 4_000,
        "[actors.log]\ncapacity = " + "9" * 5_000,
        "[actors.log]\ncapacity = nan",
        '[daemon]\nname = "a\\u0000b"',
        "\0",
    ],
    ids=["deep", "deep table", "deep key", "long", "many", "integer", "more", "nan", "nul", "0"],
)
def test_a_config_that_is_none_is_refused_in_a_line(text: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_settings(text, file="my.toml")
    assert len(str(error.value)) < 1_000


def test_a_config_that_is_too_long_is_not_read(tmp_path: Path) -> None:
    file = tmp_path / "long.toml"
    file.write_text("#" * 10 * MEBIBYTE)
    with pytest.raises(ConfigError, match="over 1048576 bytes"):
        load_settings(file)


def test_a_file_of_events_that_are_none_is_refused_line_by_line(
    daemon: Daemon, tmp_path: Path
) -> None:
    file = tmp_path / "events.jsonl"
    lines = [
        '{"type": "good:one"}',
        "[" * 100_000,
        '{"type": "a", "data": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"type": "a", "data": NaN}',
        '{"type": "' + "x" * MEBIBYTE + '"}',
        '{"type": "a", "unknown": 1, "seq": 1e400}',
        '{"type": 1}',
        "\0",
    ]
    file.write_text("\n".join(lines) + "\n")
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", "events", "import", str(file), "--json",
         "--run-dir", str(daemon.run_dir)],
        capture_output=True, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert daemon.hub.events.count(types="good:one") == 1, done
