"""docs/GATEWAY.md: its examples run as they stand, and its tables name what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from holdfast.actors.messages.gateway import EVENTS, INSTEAD
from holdfast.supervisors.config import parse_settings
from tests.actors.gateway_client import GATEWAY, Client
from tests.commandline import environment
from tests.daemon import TIMEOUT, Daemon
from tests.examples.test_pages import blocks
from tests.holdfast.conftest import ROOT

PAGE = "GATEWAY.md"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    with Daemon(tmp_path_factory.mktemp("gateway"), GATEWAY) as daemon:
        yield daemon


def test_the_program_of_the_page_runs(daemon: Daemon) -> None:
    (program,) = blocks(PAGE, "python")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=daemon.folder,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "{'items': [{'text': 'hi'}], 'remaining': 0}",
        "demo:greeting {'text': 'hello'} is behind True",
    ]


def test_the_lines_of_the_shell_are_answered_as_the_page_shows(daemon: Daemon) -> None:
    (shell,) = blocks(PAGE, "sh")
    requests = re.findall(r"^say '(.*)'$", shell, re.MULTILINE)
    assert len(requests) == 3
    with Client(daemon) as client:
        client.sock.sendall("".join(f"{line}\n" for line in requests).encode())
        answers = [client.hear() for _ in requests]
    (shown,) = map(json.loads, blocks(PAGE, "json"))
    assert list(answers[1]) == list(shown)
    assert list(answers[1]["data"]) == list(shown["data"])
    assert answers[2]["data"]["parameters"] == "namespace, key, data, ttl_seconds?"


@pytest.mark.skipif(shutil.which("nc") is None, reason="needs nc: install netcat-openbsd")
def test_the_shell_of_the_page_runs(daemon: Daemon) -> None:
    (shell,) = blocks(PAGE, "sh")
    done = subprocess.run(
        ["sh", "-ec", shell.replace('"ana"', '"berta"')],
        cwd=daemon.folder,
        stdout=subprocess.PIPE,
        timeout=TIMEOUT,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer.get("error") for answer in answers] == [None, None, None]


def test_the_page_names_every_event_and_every_key() -> None:
    page = (ROOT / "docs" / PAGE).read_text(encoding="utf-8")
    for event in (*EVENTS, *(each for each in INSTEAD if ":" in each)):
        assert event.rpartition(":")[2] in page, event
    (config,) = blocks(PAGE, "toml")
    assert "gateway" in parse_settings(config, file="x").actors
    for key in ("max_clients", "max_line", "max_answer", "timeout", "grace"):
        assert f"`{key}`" in page
