"""docs/POSTGRESQL.md: its config, its program and its question run as they stand."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.servers import PostgresqlServer
from tests.daemon import CONFIG, TIMEOUT, Daemon

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"```(\w+ \w+)\n(.*?)```", re.DOTALL)


def test_the_page_on_postgresql_runs(
    tmp_path: Path, postgresql_server: PostgresqlServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs" / "POSTGRESQL.md").read_text(encoding="utf-8")
    blocks = dict(BLOCK.findall(page))
    dsn = postgresql_server.new_database()
    monkeypatch.setenv("HOLDFAST_DSN", dsn)
    config = blocks["toml config"] + CONFIG.partition('name = "test"')[2]
    with Daemon(tmp_path, config):
        done = subprocess.run(
            [sys.executable, "-c", blocks["python example"]],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT,
            check=True,
        )
    assert done.stdout == "1 planner\n['tool:call']\n"
    rows = postgresql_server.execute(blocks["sql rows"], dsn.rpartition("dbname=")[2])
    assert ("fleet-1", "tool:call", 1) in rows
