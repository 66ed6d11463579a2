"""Chaos runs: half a minute of a fixed seed breaks no promise, and a broken daemon is seen."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

from holdfast.testing.chaos import schedule as schedules
from holdfast.testing.chaos.__main__ import main
from holdfast.testing.chaos.runner import run
from holdfast.testing.chaos.schedule import PROFILES, Schedule, Step, draw, load
from tests.daemon import ForkedDaemon
from tests.testing import broken

ROOT = Path(__file__).resolve().parents[2]
# Those that have found something stay here.
SEEDS = [int(seed) for seed in os.environ.get("HOLDFAST_SEED", "20").split(",")]

ANY = random.SystemRandom().randrange(2**32)


@pytest.mark.parametrize(
    ("seed", "minutes", "profile", "kills"),
    [
        *(pytest.param(seed, 0.5, "all", 10, id=f"seed{seed}") for seed in SEEDS),
        # What copied connections did (docs/evidence/DEFECTS.md).
        pytest.param(14, 0.2, "all", 0, id="copies14", marks=pytest.mark.slow),
        pytest.param(15, 0.2, "all", 0, id="copies15", marks=pytest.mark.slow),
        pytest.param(ANY, 3.0, "kill", 200, id="kill", marks=pytest.mark.slow),
        pytest.param(ANY, 1.0, "power", 0, id="power", marks=pytest.mark.slow),
        pytest.param(ANY, 30.0, "all", 1_000, id="all", marks=pytest.mark.slow),
    ],
)
def test_no_promise_is_broken_whatever_is_killed_stopped_or_failing(
    tmp_path: Path, seed: int, minutes: float, profile: schedules.Profile, kills: int
) -> None:
    """Scenario 40; D1, D2, D3, D5, D6, D11 with all their processes."""
    print(f"seed {seed}")
    report = run(draw(seed, minutes=minutes, profile=profile), tmp_path, command=ForkedDaemon)
    print(report.text())
    assert report.is_good
    assert report.kills >= kills
    assert sum(one.messages["event", "stored"] for one in report.rounds) > 100


class Broken(ForkedDaemon):
    """Breaks a promise, which one is in the environment."""

    def spawn(self) -> None:
        self._module = "tests.testing.broken"
        super().spawn()


KILLS = [Step(pause=0.2, do="kill", to="writer")] * 8
# Each of the writer's lives commits something, the last of it without an answer.  Whether events
# are in that is chance: it is tried often, from the first commit of a life on.
UNANSWERED = [
    Step(pause=0.2, do="point", to="writer", detail="writer.after_commit", amount=1 + n % 4)
    for n in range(24)
]


@pytest.mark.parametrize(
    ("way", "steps", "rule"),
    [
        pytest.param("early", KILLS, "acknowledged", marks=pytest.mark.slow),
        ("marks", UNANSWERED, "twice"),
    ],
)
def test_a_daemon_that_breaks_a_promise_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, steps: list[Step], rule: str
) -> None:
    monkeypatch.setenv(broken.WAY, way)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    schedule = Schedule(seed=1, profile="kill", rounds=[steps])
    # A client that cannot have everything acknowledged does not try for long.
    report = run(schedule, tmp_path, command=Broken, patience=3.0)
    assert not report.is_good
    assert report.rounds[0].found[rule], report.text()
    assert "PROMISES WERE BROKEN" in report.text()
    assert (tmp_path / "round-0" / "journals").exists(), "what is left is to be looked at"


@pytest.mark.parametrize("profile", PROFILES)
def test_a_seed_is_a_schedule(profile: schedules.Profile) -> None:
    one = draw(7, minutes=2.0, profile=profile)
    assert one == draw(7, minutes=2.0, profile=profile)
    assert one != draw(8, minutes=2.0, profile=profile)
    assert one.rounds[:2] == draw(7, minutes=1.0, profile=profile).rounds
    assert len(one.rounds) == 4
    for steps in one.rounds:
        assert schedules.ROUND - 1 < sum(step.pause for step in steps) <= schedules.ROUND


def test_all_kinds_of_faults_are_drawn() -> None:
    drawn = {
        step.do
        for profile in PROFILES
        for steps in draw(1, minutes=5.0, profile=profile).rounds
        for step in steps
    }
    assert drawn == set(get_args(schedules.Do))


def test_a_schedule_is_saved_and_read_again(tmp_path: Path) -> None:
    saved = draw(7, minutes=1.0, profile="all")
    saved.save(tmp_path / "it.json")
    assert load(tmp_path / "it.json") == saved


def chaos(*args: str | Path) -> int:
    return main([str(arg) for arg in args])


def test_a_short_run_reports_and_cleans_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a folder below the present one, as nobody names another."""
    monkeypatch.chdir(tmp_path)
    saved = Schedule(seed=5, profile="kill", rounds=[[Step(pause=0.5, do="kill", to="writer")]])
    saved.save(tmp_path / "it.json")
    report = tmp_path / "report.md"
    code = chaos("--schedule", tmp_path / "it.json", "--report", report, "--clients", "1")
    printed = capsys.readouterr()
    assert code == 0, printed.out
    assert report.read_text() in printed.out
    assert "# Chaos: seed 5, profile kill" in printed.out
    assert "| SIGKILLs | 1 (" in printed.out
    assert "round 1 of 1: step 0 of 1\n" in printed.err
    left = tmp_path / "var" / "chaos" / "kill-5"
    assert [path.name for path in left.iterdir()] == ["schedule.json"]
    assert load(left / "schedule.json") == saved


def test_the_schedule_can_be_printed_without_running_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert chaos("--seed", "7", "--minutes", "1", "--print") == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 + sum(map(len, draw(7, minutes=1.0, profile="all").rounds))


def test_what_is_no_schedule_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.json").write_text('{"seed": 1, "rounds": []}')
    assert chaos("--schedule", tmp_path / "bad.json") == 3
    assert "expected a schedule that chaos has saved" in capsys.readouterr().err
    with pytest.raises(SystemExit) as bad_usage:
        chaos("--minutes", "-1")
    assert bad_usage.value.code == 2


@pytest.mark.slow
def test_an_interrupted_run_leaves_nothing_and_is_no_good_one(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "holdfast.testing.chaos", "--seed", "1", "--folder", tmp_path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert "step 0" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=60.0)
    assert process.returncode == 1
    assert "in 0 of 2 rounds" in text
