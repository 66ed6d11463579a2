"""docs/REDIS.md says what is so: its program is run, and its user may do what is needed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from holdfast.storage.redis_sessions import RedisSessions, probe
from holdfast.storage.session_ports import FrontChange
from holdfast.storage.session_records import Session
from tests.clock import ManualClock
from tests.conformance.redis_server import RedisServer
from tests.daemon import Daemon

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "REDIS.md").read_text(encoding="utf-8")


def test_the_program_of_the_page_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    with RedisServer() as server:
        monkeypatch.setenv("HOLDFAST_REDIS_URL", server.url)
        with Daemon(tmp_path, (ROOT / "configs" / "redis.toml").read_text()) as daemon:
            monkeypatch.chdir(daemon.folder)
            exec(compile(program, "REDIS.md", "exec"), {})


def test_the_user_of_the_page_may_do_all_that_is_needed() -> None:
    (line,) = re.findall(r"^ACL SETUSER .*$", PAGE, re.MULTILINE)
    with RedisServer() as server:
        server.client.execute_command(*line.split())
        url = server.url.replace("unix://", "unix://holdfast:PASSWORD@")
        probe(url)
        front = RedisSessions(
            f"{url}?db=1", daemon="d", incarnation="1.1", timeout=5.0, clock=ManualClock()
        )
        assert front.open()
        session = Session("a", "1", "1.1-1", 1, 2, 3, 1.0)
        front.write(FrontChange(put=[session], use=[session], drop=["b"], owed=["a"]), 1)
        assert front.read(["a"]) == {"a": session}
        assert front.left().ids == ["a"]
        front.write(FrontChange(paid=["a"]), 1)
        while front.tidy():
            pass
        front.look()
        assert front.state.problem == ""
        front.close()
