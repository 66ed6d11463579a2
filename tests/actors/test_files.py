"""Response logs and results with a real daemon, from both clients."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import holdfast
from holdfast.errors import Conflict, DiskFullError, InvalidInputError
from tests.actors.test_full_disk import fill, small_disk
from tests.daemon import CONFIG, TIMEOUT, Daemon

SMALL = "[actors.files]\nmax_bytes = 1_048_576\nrotate_bytes = 8_192\nopen_files = 3\n"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, CONFIG + SMALL) as daemon:
        yield daemon


def data_dir(daemon: Daemon) -> Path:
    return daemon.database.parent


def folder(daemon: Daemon) -> Path:
    return data_dir(daemon) / "files"


def texts(daemon: Daemon, session: str) -> list[Any]:
    return [one.record["n"] for one in daemon.hub.files.read(session, limit=100_000)]


def test_what_is_appended_is_read_rotated_parts_included(daemon: Daemon) -> None:
    files = daemon.hub.files
    for n in range(200):
        assert files.append("s", {"n": n, "pad": "x" * 200}) == n + 1
    daemon.until(lambda: len(list(folder(daemon).glob("logs/*.zst"))) >= 4)
    assert texts(daemon, "s") == list(range(200))
    assert [one.seq for one in files.read("s", after=42, limit=3)] == [43, 44, 45]
    assert files.read("nobody") == []
    (listed,) = files.list()
    assert (listed.session, listed.parts > 0) == ("s", True)
    stats = files.stats()
    assert stats.bytes == listed.bytes
    assert (stats.sessions, stats.deleted_parts) == (1, 0)


def test_both_clients_say_the_same(daemon: Daemon) -> None:
    async def use() -> None:
        async with holdfast.aio.connect(daemon.run_dir) as hub:
            files = hub.files
            assert await files.append("a", {"n": 1}, durability="disk") == 1
            assert await files.read("a") == daemon.hub.files.read("a")
            assert await files.export("a", "json") == daemon.hub.files.export("a", "json")
            assert await files.put_result("r", [1]) == 1
            assert await files.get_result("r") == daemon.hub.files.get_result("r")
            assert await files.list() == daemon.hub.files.list()
            assert await files.list_results() == daemon.hub.files.list_results()
            assert await files.stats() == daemon.hub.files.stats()
            assert await files.delete("a") is True
            assert await files.delete_result("r") is True
            assert await files.get_result("r") is None
            with pytest.raises(InvalidInputError, match="no record of it"):
                await files.export("a")

    asyncio.run(use())
    assert daemon.hub.files.delete("a") is False


def test_many_that_ask_for_the_disk_at_once_are_all_answered(daemon: Daemon) -> None:
    async def append() -> list[int]:
        async with holdfast.aio.connect(daemon.run_dir) as hub:
            calls = [hub.files.append(f"s{n % 5}", {"n": n}, durability="disk") for n in range(100)]
            return await asyncio.gather(*calls)

    assert asyncio.run(append()) == [n // 5 + 1 for n in range(100)]


def test_a_conversation_is_exported_in_both_formats(daemon: Daemon) -> None:
    files = daemon.hub.files
    turns = [{"role": "user", "content": f"question {n}"} for n in range(700)]
    for turn in turns:
        files.append("talk", turn)
    text = files.export("talk")
    assert text.startswith("# talk\n\n## user (")
    assert text.count("## user") == 700
    document = json.loads(files.export("talk", "json"))
    assert [one["record"] for one in document["records"]] == turns


BAD: dict[str, Callable[[holdfast.Hub], object]] = {
    "session = ''": lambda hub: hub.files.append("", {}),
    "session = 'a\\x00b'": lambda hub: hub.files.append("a\0b", {}),
    "session = 'xxx": lambda hub: hub.files.append("x" * 2_000, {}),
    "session = '\\ud800'": lambda hub: hub.files.append("\ud800", {}),
    "record = ": lambda hub: hub.files.append("a", [1]),  # type: ignore[arg-type]  # bad on purpose
    "data.a: NaN": lambda hub: hub.files.append("a", {"a": float("nan")}),
    "record of ": lambda hub: hub.files.append("a", {"a": "x" * 2_000_000}),
    "durability = 'memory'": lambda hub: hub.files.append("a", {}, durability="memory"),  # type: ignore[arg-type]  # bad on purpose
    "limit = 0": lambda hub: hub.files.read("a", limit=0),
    "after = -1": lambda hub: hub.files.read("a", after=-1),
    "format = 'pdf'": lambda hub: hub.files.export("good", "pdf"),  # type: ignore[arg-type]  # bad on purpose
    "name = ''": lambda hub: hub.files.put_result("", 1),
    "value of ": lambda hub: hub.files.put_result("a", "x" * 5_000_000),
}


def test_bad_input_is_refused_by_name_and_stores_nothing(daemon: Daemon) -> None:
    """Scenario D17."""
    pid = daemon.pid("files")
    daemon.hub.files.append("good", {"n": 1})
    for message, call in BAD.items():
        with pytest.raises(InvalidInputError) as refused:
            call(daemon.hub)
        assert message in str(refused.value)
    assert [one.session for one in daemon.hub.files.list()] == ["good"]
    assert daemon.hub.files.list_results() == []
    assert daemon.pid("files") == pid


def test_no_path_comes_from_a_name(daemon: Daemon, tmp_path: Path) -> None:
    """Scenario D18."""
    names = ["../../x", "/etc/passwd", "..", "a/b", "A", "a", "ä" * 1_000, ".", "~root"]
    before = {path for path in tmp_path.rglob("*") if folder(daemon) not in path.parents}
    for name in names:
        daemon.hub.files.append(name, {"n": name})
        daemon.hub.files.put_result(name, name)
    outside = {path for path in tmp_path.rglob("*") if folder(daemon) not in path.parents}
    assert outside - before <= {folder(daemon)}
    assert sorted(one.session for one in daemon.hub.files.list()) == sorted(names)
    assert sorted(one.name for one in daemon.hub.files.list_results()) == sorted(names)
    for name in names:
        assert texts(daemon, name) == [name]
        result = daemon.hub.files.get_result(name)
        assert result is not None
        assert result.value == name
    modes = {path.stat().st_mode & 0o077 for path in folder(daemon).rglob("*")}
    assert modes == {0}, "nobody else may read them"


def test_what_was_deleted_for_room_is_counted_and_told(daemon: Daemon) -> None:
    files = daemon.hub.files
    for n in range(100):  # what does not compress
        files.append(f"s{n % 4}", {"n": n, "pad": os.urandom(15_000).hex()})
    stats = files.stats()
    assert stats.bytes <= 1_048_576
    assert stats.deleted_parts > 0
    newest = [texts(daemon, f"s{n}")[-1] for n in range(4)]
    assert newest == [96, 97, 98, 99]
    daemon.hub.flush(timeout=TIMEOUT)

    def told() -> int:
        events = daemon.hub.events.query(types="files:deleted_for_room")
        return sum(event.data["parts"] for event in events)

    daemon.until(lambda: told() == stats.deleted_parts)


def test_results_are_replaced_with_their_versions(daemon: Daemon) -> None:
    files = daemon.hub.files
    assert files.put_result("run 1", {"accuracy": 0.5}, expected_version=0) == 1
    assert files.put_result("run 1", {"accuracy": 0.9}) == 2
    with pytest.raises(Conflict) as refused:
        files.put_result("run 1", {}, expected_version=1)
    assert refused.value.current == 2
    daemon.kill("files")
    result = files.get_result("run 1", timeout=TIMEOUT)
    assert result is not None
    assert (result.version, result.value) == (2, {"accuracy": 0.9})
    assert files.get_result("run 2") is None


def test_a_full_disk_is_told_and_forgotten_without_a_restart(tmp_path: Path) -> None:
    """Scenario D3."""
    with small_disk(tmp_path / "var" / "lib") as resize, Daemon(tmp_path, CONFIG) as daemon:
        files = daemon.hub.files
        files.append("s", {"n": 1})
        files.put_result("r", 1)
        pid = daemon.pid("files")
        fill(data_dir(daemon))
        record = {"n": 0, "pad": "x" * 1_000}
        with pytest.raises(DiskFullError):
            [files.append("s", record) for _ in range(100)]
        with pytest.raises(DiskFullError):
            files.append("new", {"n": 0, "pad": "x" * 10_000})
        with pytest.raises(DiskFullError):
            files.put_result("r", "x" * 10_000)
        before = len(texts(daemon, "s"))
        resize("64m")
        assert files.append("s", {"n": 2}) == before + 1
        assert files.append("new", {"n": 3}) == 1
        result = files.get_result("r")
        assert result is not None
        assert result.value == 1
        assert daemon.pid("files") == pid
