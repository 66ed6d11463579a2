"""Threads of checkpoints: one writer each, on every backend."""

from __future__ import annotations

import pytest

from holdfast.errors import InvalidInputError
from holdfast.storage.checkpoint_records import (
    CheckpointStored,
    ClaimThread,
    ForkCheckpoint,
    StoreCheckpoint,
    ThreadClaimed,
    ThreadOwned,
)
from holdfast.storage.ports import Database
from holdfast.storage.records import Origin
from tests.storage.checkpoint_making import put
from tests.storage.making import apply_one


def sent(sender: str, first: int, incarnation: str = "1") -> Origin:
    return Origin(sender, incarnation, "writer", first, fresh=True)


def test_the_first_put_takes_a_thread_and_another_sender_is_refused(
    database: Database,
) -> None:
    """FACTS 48."""
    assert put(database, "t", 1, sent("one", 1)) == 1
    refused = put(database, "t", 2, sent("two", 1))
    assert isinstance(refused, ThreadOwned)
    assert (refused.owner.sender, refused.owner.fence) == ("one", 1)
    assert put(database, "t", 2, sent("two", 1)) == refused  # its first answer
    assert put(database, "t", 3, sent("one", 2)) == 2


def test_who_was_taken_over_is_refused_until_it_takes_over(database: Database) -> None:
    put(database, "t", 1, sent("old", 1))
    assert apply_one(database, ClaimThread(sent("new", 1), "t")) != ThreadClaimed(2)
    claim = ClaimThread(sent("new", 2), "t", takeover=True)
    assert apply_one(database, claim) == ThreadClaimed(2)
    assert isinstance(put(database, "t", 2, sent("old", 2)), ThreadOwned)
    database.forget("new", "1")  # it said goodbye
    assert isinstance(put(database, "t", 2, sent("old", 3)), ThreadOwned)
    assert put(database, "t", 2, sent("third", 1)) == 2
    back = ClaimThread(sent("old", 4), "t", takeover=True)
    assert apply_one(database, back) == ThreadClaimed(4)
    assert isinstance(put(database, "t", 3, sent("third", 2)), ThreadOwned)
    assert put(database, "t", 3, sent("old", 5)) == 3


def test_the_next_life_of_a_sender_takes_over_and_the_last_one_is_refused(
    database: Database,
) -> None:
    put(database, "planner", 1, sent("planner.hub", 1, "5.1.9"))
    assert put(database, "planner", 2, sent("planner.hub", 1, "5.1.10")) == 2
    late = put(database, "planner", 3, sent("planner.hub", 2, "5.1.9"))
    assert isinstance(late, ThreadOwned)
    assert late.owner.incarnation == "5.1.10"


def test_an_agent_has_the_thread_of_its_own_name(database: Database) -> None:
    put(database, "planner", 1, sent("client/1-ab", 1))
    assert put(database, "planner", 2, sent("planner.hub", 1, "5.1.1")) == 2
    assert isinstance(put(database, "planner", 3, sent("client/1-ab", 2)), ThreadOwned)


def test_an_owner_that_is_known_to_be_dead_is_followed(database: Database) -> None:
    put(database, "t", 1, sent("dead", 1))
    command = StoreCheckpoint(sent("next", 1), "t", 0, "2", evict=1)
    assert apply_one(database, command) == CheckpointStored(2)
    stale = StoreCheckpoint(sent("third", 1), "t", 0, "3", evict=1)  # of an owner before
    assert isinstance(apply_one(database, stale), ThreadOwned)


def test_the_daemons_thread_is_nobody_elses(database: Database) -> None:
    for command in (
        StoreCheckpoint(sent("client", 1), "$daemon", 0, "1"),
        ClaimThread(sent("client", 2), "$daemon"),
        ForkCheckpoint(sent("client", 3), "$daemon", 1, "x"),
    ):
        with pytest.raises(InvalidInputError, match="daemon's own"):
            apply_one(database, command)
