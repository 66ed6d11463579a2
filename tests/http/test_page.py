"""docs/HTTP.md: its commands run as they stand, and its tables name what there is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import msgspec
import pytest

from holdfast.http.requests import REQUESTS
from holdfast.supervisors.config import parse_settings
from holdfast.supervisors.edge_settings import HttpSettings
from tests.commandline import command_line
from tests.daemon import TIMEOUT
from tests.examples.test_pages import blocks
from tests.holdfast.conftest import ROOT
from tests.http.door import Door

PAGE = "HTTP.md"


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_commands_of_the_page_run_and_answer_as_it_shows(door: Door) -> None:
    (script,) = blocks(PAGE, "sh")
    (follow,) = blocks(PAGE, "sh stream")
    script = script.replace(":9465", f":{door.port}")
    done = subprocess.run(
        ["bash", "-ec", script],
        cwd=door.daemon.folder,
        stdout=subprocess.PIPE,
        text=True,
        timeout=TIMEOUT,
        check=True,
    )
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert answers[0] == {"ok": True}
    assert [answer.get("version") for answer in answers[1:3]] == [1, 2]
    (shown,) = map(json.loads, blocks(PAGE, "json"))
    assert answers[3] == shown
    assert [each["id"] for each in answers[4]["entities"]] == ["ana"]
    assert answers[6]["events"][0]["data"] == "hi"
    assert answers[8]["ttl"] == 60.0
    assert answers[9]["data"]["queue_size"] == 1
    assert answers[11]["status"] == "healthy"
    setting = [line for line in script.splitlines() if re.match(r"\w+=", line)]
    live, later = follow.replace(":9465", f":{door.port}").splitlines()
    found = first_line("data: ", "\n".join([*setting, live]), door)
    assert json.loads(found)["type"] == "demo:greeting"
    assert first_line("retry: ", "\n".join([*setting, later]), door)


def first_line(begin: str, script: str, door: Door) -> str:
    """What follows ``begin`` in a stream, which nobody else would end."""
    command = ["timeout", str(TIMEOUT), "bash", "-ec", script]
    with subprocess.Popen(
        command, cwd=door.daemon.folder, stdout=subprocess.PIPE, text=True
    ) as follower:
        assert follower.stdout is not None
        found = next((line for line in follower.stdout if line.startswith(begin)), "")
        follower.terminate()
    return found.removeprefix(begin)


def test_the_page_names_every_path_and_every_key() -> None:
    page = (ROOT / "docs" / PAGE).read_text(encoding="utf-8")
    for request in REQUESTS:
        assert f"`{request.PATH}`" in page, request.PATH
        for header in request.HEADERS.values():
            assert header in page, header
    for field in msgspec.structs.fields(HttpSettings):
        assert f"`{field.name}`" in page or field.name == "enabled", field.name
    (config,) = blocks(PAGE, "toml")
    assert "http" in parse_settings(config, file="x").agents


def test_status_says_where_it_is_and_which_file_has_the_token(door: Door) -> None:
    requests = door.figure("requests")  # the tests before this one may have been in another process
    done = command_line(door.daemon.folder, "status")
    path = f"{door.daemon.run_dir}/http.token"
    assert f"HTTP at {door.url}, the token is in {path}" in done.stdout
    shown = json.loads(command_line(door.daemon.folder, "status", "--json").stdout)["http"]
    assert shown["url"] == door.url
    assert shown["requests"] >= requests > 0
