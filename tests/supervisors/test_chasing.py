"""When everybody is held, the writer slowed down, or a swap given up, by the figures alone."""

from __future__ import annotations

from holdfast.storage.migrating.ports import Progress
from holdfast.supervisors.chasing import Chase


class Race:
    """A writer that would make so many rows a second, and a copier that moves so many."""

    def __init__(self, *, behind: int, makes: float, moves: float) -> None:
        self.chase = Chase(hold_timeout=10.0, now=0.0)
        self.behind, self.makes, self.moves = float(behind), makes, moves
        self.now = self.followed = 0.0
        self.slowest = 1.0

    def run(self, seconds: float) -> str:
        """The first word but "slow"."""
        end = self.now + seconds
        while self.now < end:
            self.now += 0.05
            made, moved = self.makes * self.chase.share * 0.05, self.moves * 0.05
            moved = min(moved, self.behind + made)
            self.behind, self.followed = self.behind + made - moved, self.followed + moved
            verdict = self.chase.sees(self._progress(), self.now)
            self.slowest = min(self.slowest, self.chase.share)
            if verdict not in ("", "slow"):
                return verdict
        return ""

    def _progress(self) -> Progress:
        return Progress(phase="following", behind=round(self.behind), followed=round(self.followed))


def test_a_gap_that_shrinks_slows_nobody_down() -> None:
    race = Race(behind=200_000, makes=2_000, moves=20_000)
    assert race.run(20.0) == "hold"
    assert race.slowest == 1.0
    assert race.behind <= 1_000


def test_a_small_gap_that_does_not_shrink_is_moved_in_the_hold() -> None:
    """It takes half a second; the pause may last ten."""
    race = Race(behind=10_000, makes=20_000, moves=20_000)
    assert race.run(5.0) == "hold"
    assert race.slowest == 1.0
    assert race.behind / race.moves <= 1.0


def test_a_writer_that_is_faster_than_the_copier_is_slowed_down_until_it_is_near() -> None:
    race = Race(behind=100_000, makes=60_000, moves=20_000)
    assert race.run(60.0) == "hold"
    assert 0.02 < race.slowest < 1 / 3
    assert race.behind / race.moves <= 1.0


def test_a_copier_that_never_catches_up_is_given_up_and_the_rates_are_named() -> None:
    race = Race(behind=100_000, makes=1_000_000, moves=500)
    assert race.run(120.0) == "late"
    words = race.chase.words(round(race.behind))
    assert "for 2% of its time, changes 20,000 rows/s, the copier moves 500 rows/s" in words


def test_a_copier_that_stands_still_is_given_up_and_slows_nobody_down() -> None:
    race = Race(behind=5_000, makes=10, moves=0)
    assert race.run(120.0) == "late"
    assert race.slowest == 1.0
