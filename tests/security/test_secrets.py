"""Secrets in a config are references, and what they stand for is shown by nobody."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from holdfast.errors import ConfigError
from holdfast.supervisors.config import parse_settings
from holdfast.supervisors.secrets import MOST, resolved
from tests.daemon import CONFIG, TIMEOUT, Daemon

PROJECT = Path(__file__).resolve().parents[2]
FROM_ENV, FROM_FILE, LITERAL = "sk-env-77d1e2", "sk-file-9a0b3c", "sk-text-5f6e7d"
AGENT = '[agents.a]\nclass = "json:JSONDecoder"\n'


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("secrets")
    (folder / "token").write_text(FROM_FILE + "\n")
    table = f"""
[agents.keeper]
class = "tests.security.keepers:Keeper"
python_path = ["{PROJECT}"]
options = {{ token = "file:token", nested = {{ keys = ["env:HOLDFAST_TEST_KEY"] }} }}
env = {{ API_KEY = "env:HOLDFAST_TEST_KEY", TOKEN = "file:token", PLAIN = "{LITERAL}" }}
"""
    os.environ["HOLDFAST_TEST_KEY"] = FROM_ENV
    try:
        daemon = Daemon(folder, CONFIG + table)
    finally:
        del os.environ["HOLDFAST_TEST_KEY"]
    with daemon:
        pid = daemon.pid("keeper")
        daemon.ref("keeper").tell("die")
        daemon.wait_for_another("keeper", pid)
        yield daemon


def has_secret(text: str | bytes) -> bool:
    data = text if isinstance(text, bytes) else text.encode()
    return any(secret.encode() in data for secret in (FROM_ENV, FROM_FILE, LITERAL))


def command(daemon: Daemon, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "holdfast", *arguments, "--run-dir", str(daemon.run_dir)],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    return done.stdout + done.stderr


def test_an_agent_gets_what_its_references_stand_for(daemon: Daemon) -> None:
    digests = daemon.ref("keeper").ask("digests", timeout=TIMEOUT)
    env, file, text = (sha256(each.encode()).hexdigest() for each in (FROM_ENV, FROM_FILE, LITERAL))
    assert digests == {
        "token": file, "nested": env, "API_KEY": env, "TOKEN": file, "PLAIN": text
    }  # fmt: skip


def test_no_output_of_the_daemon_shows_a_secret(daemon: Daemon) -> None:
    """Its agent has died of an exception with a secret in its frames."""
    shown = {
        "status": command(daemon, "status", "--json"),
        "doctor": command(daemon, "doctor", "--json"),
        "events": command(daemon, "events", "query", "--json"),
        "log": command(daemon, "logs"),
    }
    assert "keeper" in shown["status"]
    assert "supervisor:" in shown["events"]
    assert "ZeroDivisionError" in daemon.log.read_text()
    assert not [name for name, text in shown.items() if has_secret(text)]
    files = [path for path in daemon.folder.rglob("*") if path.is_file()]
    leaked = {path.name for path in files if has_secret(path.read_bytes())}
    assert leaked == {"token", "test.toml"}  # where they were written by their owner


def test_the_kernel_shows_none_in_the_arguments_nor_a_file_of_it_in_an_environment(
    daemon: Daemon,
) -> None:
    for name in ("root", "agents", "keeper", "writer"):
        folder = Path(f"/proc/{daemon.pid(name)}")
        assert not has_secret((folder / "cmdline").read_bytes())
        assert FROM_FILE.encode() not in (folder / "environ").read_bytes()
        assert LITERAL.encode() not in (folder / "environ").read_bytes()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('env = { K = "env:HOLDFAST_NOT_SET" }', 'K = "env:HOLDFAST_NOT_SET": expected a variable'),
        ('env = { K = "env:sk-123" }', 'K = "env:...": expected the name of a variable'),
        (
            'env = { K = "file:no/such" }',
            'K = "file:no/such": expected a file that can be read: No',
        ),
        ('env = { K = "file:" }', 'K = "file:": expected a file that can be read: No such'),
        ('options = { k = ["env:HOLDFAST_NOT_SET"] }', 'options.k[0] = "env:HOLDFAST_NOT_SET"'),
        ('options = { "k-k" = "sk-123" }', 'options.k-k = "...": expected the name of'),
        ('env = { K = 1, L = "sk-123" }', 'env = {"K": 1, "L": "..."}: expected a table of texts'),
        ('api_key = "sk-123"', 'api_key = "...": unknown key'),
        ('optoins = { k = "sk-123" }', 'optoins = {"k": "..."}: unknown key; did you mean'),
    ],
)
def test_what_is_wrong_with_one_is_named_before_anything_starts(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_settings(AGENT + text, file="my.toml")
    assert said in str(error.value)
    assert "sk-123" not in str(error.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff", "UTF-8, but not at byte 0"),
        (b"a\0", "without NUL"),
        (b"a" * (MOST + 1), "at most"),
    ],
)
def test_a_file_that_holds_no_secret_is_refused(tmp_path: Path, data: bytes, said: str) -> None:
    file = tmp_path / "secret"
    file.write_bytes(data)
    with pytest.raises(ConfigError, match=said):
        resolved(f"file:{file}", "here")


def test_a_pipe_in_the_place_of_a_file_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert resolved(f"file:{tmp_path / 'pipe'}", "here") == ""


def test_other_texts_and_urls_stay_what_they_are() -> None:
    value = {"a": ["file:///etc/hosts", "environment", 1, None, "files"], "b": "x env:HOME"}
    assert resolved(value, "here") == value


def test_the_example_of_the_page_is_read_as_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (PROJECT / "docs" / "SECURITY.md").read_text(encoding="utf-8")
    (config,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_agents.py").touch()
    monkeypatch.setenv("OPENAI_API_KEY", FROM_ENV)
    with pytest.raises(ConfigError, match=r"options\.token = \"file:secrets/token\": expected a"):
        parse_settings(config, file="my.toml")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "token").write_text(FROM_FILE)
    planner = parse_settings(config, file="my.toml").agents["planner"]
    assert not has_secret(repr(planner))  # what travels is the reference
