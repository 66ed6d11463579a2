"""``holdfast deadletters`` with a real daemon."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from holdfast.actors.messages.writer import KeepDeadLetter, Kept
from holdfast.storage.records import DeadLetter
from tests.daemon import CONFIG, TIMEOUT, Daemon
from tests.holdfast.conftest import ROOT, Run, spawn

PUPPET = f"""
[agents.puppet]
class = "tests.actors.agents:Puppet"
python_path = ["{ROOT}"]
"""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(tmp_path, CONFIG + PUPPET + MORTAL) as daemon:
        yield daemon


MORTAL = f"""
[agents.mortal]
class = "tests.actors.agents:Puppet"
python_path = ["{ROOT}"]
restart = "temporary"
"""


def keep(daemon: Daemon, message: object, number: int = 1, actor: str = "puppet") -> int:
    """Put a letter where the supervisor of a killed actor would put it."""
    body = msgspec.msgpack.encode(message)
    who = (actor, "planner", "1.1", actor, number, "tell")
    letter = DeadLetter(0, *who, "poison: killed by signal 9", 2, 1_700_000_000_000_000, body)
    return msgspec.convert(daemon.hub.ask("writer", KeepDeadLetter(letter)), Kept).id


def listed(run: Run, *arguments: str) -> list[dict[str, Any]]:
    done = run("deadletters", "list", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_without_letters_the_list_is_empty(daemon: Daemon, run: Run) -> None:
    assert listed(run) == []


def test_list_tells_of_every_letter_the_newest_first(daemon: Daemon, run: Run) -> None:
    keep(daemon, ["exit", 3], 1)
    keep(daemon, ["echo", b"x"], 2)
    newest, oldest = listed(run)
    assert oldest == {
        "id": 1,
        "time_us": 1_700_000_000_000_000,
        "actor": "puppet",
        "sender": "planner",
        "incarnation": "1.1",
        "stream": "puppet",
        "number": 1,
        "kind": "tell",
        "reason": "poison: killed by signal 9",
        "deaths": 2,
        "bytes": 7,
        "message": ["exit", 3],
    }
    assert newest["message"] == ["echo", {"$bytes": "eA=="}]
    assert [letter["id"] for letter in listed(run, "--limit", "1")] == [2]
    text = run("deadletters", "list").stdout
    assert len(text.splitlines()) == 2
    assert 'puppet       tell    from planner: poison: killed by signal 9: ["exit", 3]' in text


def test_show_prints_one_letter_and_with_json_its_body(daemon: Daemon, run: Run) -> None:
    id = str(keep(daemon, ["exit", 3]))
    (letter,) = listed(run)
    done = run("deadletters", "show", id, "--json")
    shown = json.loads(done.stdout)
    assert msgspec.msgpack.decode(base64.b64decode(shown.pop("body"))) == ["exit", 3]
    assert shown == letter
    text = run("deadletters", "show", id).stdout
    assert "2023-11-14T22:13:20" in text
    assert '["exit", 3]' in text


def test_retry_delivers_the_message_and_discards_the_letter(daemon: Daemon, run: Run) -> None:
    id = str(keep(daemon, ["remember", {"n": 2**40, "b": b"x"}]))
    done = run("deadletters", "retry", id, "--json")
    assert json.loads(done.stdout) == {"id": 1, "actor": "puppet", "retried": True}
    recalled = daemon.hub.ref("puppet").ask(["recall", None], timeout=TIMEOUT)
    assert recalled == [[{"n": 2**40, "b": b"x"}, False]]
    assert listed(run) == []


def test_a_retried_letter_outlives_the_death_of_its_actor_and_of_the_writer(
    daemon: Daemon, run: Run
) -> None:
    id = str(keep(daemon, ["remember", 1]))
    for victim in ("puppet", "writer", "query"):
        daemon.kill(victim)
    assert run("deadletters", "retry", id).returncode == 0
    assert daemon.hub.ref("puppet").ask(["recall", None], timeout=TIMEOUT) == [[1, False]]
    assert listed(run) == []


def test_what_cannot_be_sent_again_is_kept(daemon: Daemon, run: Run) -> None:
    id = str(keep(daemon, ["emit", []], actor="log"))
    done = run("deadletters", "retry", id)
    assert done.returncode == 1
    assert "emit them again" in done.stderr
    assert len(listed(run)) == 1


def test_retry_says_that_the_actor_is_gone_and_keeps_the_letter(daemon: Daemon, run: Run) -> None:
    """Scenario 29."""
    daemon.kill("mortal")
    daemon.hub.ref("mortal").tell(["remember", 1])
    daemon.hub.flush(timeout=TIMEOUT)
    (letter,) = listed(run)
    done = run("deadletters", "retry", str(letter["id"]))
    assert (done.returncode, done.stdout) == (1, "")
    assert "'mortal' is gone: it ended (signal 9) and is not restarted" in done.stderr
    assert listed(run) == [letter]


def test_send_says_what_became_of_what_kills_its_receiver_and_steers_no_terminal(
    daemon: Daemon, run: Run
) -> None:
    done = run("send", "puppet", '["kill", null]')
    assert (done.returncode, done.stdout) == (1, "")
    (letter,) = listed(run)
    assert f"'puppet' did not handle it: {letter['reason']}" in done.stderr
    assert f"`holdfast deadletters show {letter['id']}`" in done.stderr
    text = json.dumps(["raise", "\x1b[2J\x9b31m\nsecond\tline"])
    raised = run("send", "puppet", text, "--ask")
    assert raised.returncode == 1
    assert raised.stderr.endswith("ValueError: \\x1b[2J\\x9b31m\nsecond\tline\n")


def test_status_shows_who_is_gone_and_how_many_letters_there_are(daemon: Daemon, run: Run) -> None:
    """Scenario 29."""
    daemon.kill("mortal")
    daemon.hub.ref("mortal").tell(["remember", 1])
    daemon.hub.flush(timeout=TIMEOUT)
    agents = json.loads(run("status", "--json").stdout)["root"]["children"][1]
    assert agents["gone"] == [{"id": "mortal", "how": "signal 9", "letters": 1, "waiting": 0}]
    assert [child["id"] for child in agents["children"]] == ["puppet"]
    text = run("status").stdout
    assert text.splitlines()[-1] == "mortal is gone: signal 9; dead letters 1"


def test_retry_says_that_the_actor_ended_with_the_letter_in_hand(
    daemon: Daemon, run: Run, tmp_path: Path
) -> None:
    """Scenario 29: there is one letter after as before."""
    hung = tmp_path / "hung"
    id = keep(daemon, ["hang_once", str(hung)], actor="mortal")
    retry = spawn(tmp_path, "deadletters", "retry", str(id))
    daemon.until(hung.exists)
    daemon.kill("mortal")
    _, stderr = retry.communicate(timeout=TIMEOUT)
    assert retry.returncode == 1
    assert "'mortal' has ended meanwhile and is not restarted" in stderr
    (letter,) = listed(run)
    assert letter["id"] != id
    assert (letter["message"], letter["deaths"]) == (["hang_once", str(hung)], 1)
    assert letter["reason"] == "gone: signal 9"


def test_a_letter_whose_message_was_too_large_to_keep_is_not_sent_again(
    daemon: Daemon, run: Run
) -> None:
    daemon.kill("mortal")
    daemon.hub.ref("mortal").tell(b"x" * (8 * 1024 * 1024 - 69))
    daemon.hub.flush(timeout=TIMEOUT)
    (letter,) = listed(run)
    assert (letter["bytes"], letter["message"]) == (0, None)
    done = run("deadletters", "retry", str(letter["id"]))
    assert done.returncode == 1
    assert "was kept without its message" in done.stderr


def test_discard_deletes_for_good(daemon: Daemon, run: Run) -> None:
    ids = [keep(daemon, ["echo", n], n) for n in (1, 2)]
    done = run("deadletters", "discard", str(ids[0]), "--json")
    assert json.loads(done.stdout) == {"id": 1, "actor": "puppet", "discarded": True}
    assert [letter["id"] for letter in listed(run)] == [2]


@pytest.mark.parametrize("verb", ["show", "retry", "discard"])
def test_a_letter_that_is_not_there_exits_with_1(daemon: Daemon, run: Run, verb: str) -> None:
    done = run("deadletters", verb, "7", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "no dead letter 7" in done.stderr
