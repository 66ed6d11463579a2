"""The breaks: each takes one promise out of the code, and names the tests that have to notice."""

from __future__ import annotations

from typing import Final

from tests.mutations.doors import DOORS
from tests.mutations.mutation import Mutation

__all__ = ["MUTATIONS"]

_KILLS: Final = (
    "tests/testing/test_kills_at_points.py::"
    "test_a_kill_at_a_point_loses_nothing_acknowledged_and_stores_nothing_twice"
)

MUTATIONS: Final = (
    Mutation(
        "skip-the-high-water-mark",
        "the writer stores a frame that comes again once more",
        "storage/delivering.py",
        "skipped = min(state.number - origin.first + 1, len(events))",
        "skipped = 0",
        (
            "tests/storage/test_sqlite_marks.py::test_a_frame_sent_again_is_stored_once",
            f"{_KILLS}[behind COMMIT]",
        ),
    ),
    Mutation(
        "acknowledge-before-commit",
        "a transaction is committed by the next one, after its answers were given",
        "storage/sqlite.py",
        """            execute("BEGIN IMMEDIATE")
            self._check_epoch()
            result = work()
            self._text.flush(self._events.last_seq)
            self._marks.flush()
            execute("COMMIT")
""",
        """            if self._connection.in_transaction:
                execute("COMMIT")
            execute("BEGIN IMMEDIATE")
            self._check_epoch()
            result = work()
            self._text.flush(self._events.last_seq)
            self._marks.flush()
""",
        ("tests/actors/test_delivery.py::test_an_event_is_committed_when_flush_returns",),
    ),
    Mutation(
        "mark-apart-from-its-data",
        "the marks are written in a transaction of their own, after that of the data",
        "storage/sqlite.py",
        """            self._marks.flush()
            execute("COMMIT")
""",
        """            execute("COMMIT")
            execute("BEGIN IMMEDIATE")
            self._marks.flush()
            execute("COMMIT")
""",
        (f"{_KILLS}[before COMMIT]",),
    ),
    Mutation(
        "forget-the-epoch-fence",
        "a writer that was replaced goes on committing",
        "storage/sqlite.py",
        "if stored != self._epoch:",
        "if stored < self._epoch:",
        (
            "tests/storage/test_sqlite_files.py"
            "::test_without_the_lock_the_epoch_alone_refuses_a_zombie",
            "tests/testing/test_zombies.py"
            "::test_a_writer_whose_file_another_one_has_opened_commits_nothing_more",
        ),
    ),
    Mutation(
        "forget-the-lock",
        "two writers open one file",
        "storage/file_lock.py",
        "fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)",
        "fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)",
        ("tests/storage/test_sqlite_files.py::test_a_second_writer_is_refused_with_path_and_pid",),
    ),
    Mutation(
        "forget-a-drop",
        "a tombstone moves the mark and leaves no row",
        "storage/delivering.py",
        "self._losses.note(now, origin, last - lost + 1, lost, command.reason)",
        "_ = now",
        ("tests/storage/test_sqlite_losses.py::test_a_tombstone_moves_the_mark_and_leaves_a_row",),
    ),
    Mutation(
        "forget-the-answer",
        "a repeated command finds no answer of the first time",
        "storage/once.py",
        "self._marks.keep(origin, outcome)",
        "pass",
        (
            "tests/storage/test_sqlite_marks.py"
            "::test_a_repeated_command_gets_its_first_answer_also_after_a_restart",
            f"{_KILLS}[commands]",
        ),
    ),
    Mutation(
        "acknowledge-disk-without-fsync",
        "the barrier commits as everything else does",
        "storage/sqlite.py",
        'self._connection.pragma("synchronous", "FULL")',
        'self._connection.pragma("synchronous", "NORMAL")',
        ("tests/storage/test_sqlite_faults.py::test_committed_is_not_synced_until_the_barrier",),
    ),
    Mutation(
        "acknowledge-disk-before-the-wait",
        "the barrier beside the connection is not waited for",
        "storage/sqlite.py",
        "        return self._log_sync\n",
        "        return None\n",
        ("tests/testing/test_slow_disks.py::test_a_commit_does_not_wait_while_the_disk_syncs",),
    ),
    Mutation(
        "copy-the-log-before-it-is-on-the-disk",
        "pages get into the database before the log that would mend them is synced",
        "storage/log_pass.py",
        '            self._connection.pragma("wal_autocheckpoint", 0)\n',
        '            self._connection.pragma("synchronous", 0)\n',
        (
            "tests/testing/test_power_loss.py::"
            "test_a_log_that_is_copied_beside_the_connection_is_on_the_disk_before_its_pages_are",
        ),
    ),
    Mutation(
        "cascade-off",
        "foreign keys are not enforced",
        "storage/sqlite_connection.py",
        """    connection.pragma("foreign_keys", 1)
    if connection.pragma("foreign_keys") != 1:""",
        """    connection.pragma("foreign_keys", 0)
    if connection.pragma("foreign_keys") != 0:""",
        (
            "tests/storage/test_state_as_ksi.py"
            "::test_deleting_an_entity_takes_its_relationships_and_queues_along",
        ),
    ),
    Mutation(
        "do-not-resend-the-outbox",
        "what was sent on a connection that broke is taken for delivered",
        "actors/outbox.py",
        "again = [entry for entry in self.sent if not entry.is_finished]",
        "again: list[Entry] = []",
        (f"{_KILLS}[log]",),
    ),
    Mutation(
        "refill-the-oldest",
        "a restarted log reads the first events of the database",
        "storage/sqlite_event_reader.py",
        'sql = f"SELECT {EVENT} FROM events ORDER BY seq DESC LIMIT ?"',
        'sql = f"SELECT {EVENT} FROM events ORDER BY seq LIMIT ?"',
        ("tests/actors/test_delivery.py::test_the_ring_holds_the_newest_events_after_a_restart",),
    ),
    Mutation(
        "tell-an-end-twice",
        "the end of a session is two events, of which one has no key",
        "actors/session_book.py",
        "self.unwritten.add(session.id, Pending(None, events=[told]))",
        """names = {"session": told.session, "data": told.data}
        again = told.__class__(told.time_us, told.type, told.source, **names)
        self.unwritten.add(session.id, Pending(None, events=[told, again]))""",
        ("tests/actors/test_session_rules.py::test_five_thousand_ends_at_once_are_each_told_once",),
    ),
    Mutation(
        "return-what-is-over",
        "a session in the database is found though its time is over",
        "actors/session_book.py",
        "        if session.expires_us > self._now_us():\n            if self.is_settled:",
        "        if session.expires_us:\n            if self.is_settled:",
        ("tests/actors/test_session_rules.py",),
    ),
    Mutation(
        "skip-the-uid-check",
        "whoever reaches a socket is served",
        "actors/peers.py",
        "return peer_uid(sock) == os.geteuid()",
        "return peer_uid(sock) >= 0",
        ("tests/actors/test_broken_peers.py::test_a_peer_of_another_user_is_cut_off",),
    ),
    Mutation(
        "overlap-incarnations",
        "a child that is late to become ready is replaced while it lives",
        "supervisors/supervision.py",
        'child.kill("start_timeout")',
        "self._ended(child, 9)",
        (
            "tests/supervisors/test_restarting.py"
            "::test_a_child_that_does_not_become_ready_in_time_is_killed",
        ),
    ),
    Mutation(
        "leave-the-leftovers",
        "the next life of a child starts beside what the last one left",
        "supervisors/supervision.py",
        """            if not self._processes.kill_leftovers(
                child.spec.id, child.starts, child.pid, is_supervisor=child.spec.is_supervisor
            ):
                self._ended(child, child.exit_status)""",
        "            self._ended(child, child.exit_status)",
        ("tests/supervisors/test_grandchildren.py",),
    ),
    Mutation(
        "restart-once-too-often",
        "a supervisor gives up one restart later than it says",
        "supervisors/intensity.py",
        "return len(self._restarts) <= self._max_restarts",
        "return len(self._restarts) <= self._max_restarts + 1",
        (
            "tests/supervisors/test_intensity.py"
            "::test_more_than_max_restarts_within_max_seconds_are_one_too_many",
        ),
    ),
    Mutation(
        "restarts-by-the-wall-clock",
        "a clock that is set makes a supervisor forget its restarts",
        "supervisors/intensity.py",
        """        now = self._clock.monotonic()
        while self._restarts""",
        """        now = self._clock.time_us() / 1e6
        while self._restarts""",
        ("tests/supervisors/test_intensity.py::test_steps_of_the_wall_clock_change_nothing",),
    ),
    Mutation(
        "half-a-migration",
        "a step of a migration is numbered before it is taken",
        "storage/sqlite_schema.py",
        """        connection.execute(MIGRATIONS[step])
        _number_step(connection, step)
""",
        """        _number_step(connection, step)
        connection.execute("COMMIT")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(MIGRATIONS[step])
""",
        ("tests/storage/test_sqlite_files.py::test_a_step_of_a_migration_is_all_or_nothing",),
    ),
    Mutation(
        "manifest-before-its-parts",
        "a checkpoint is a row although parts that it names are missing",
        "storage/checkpoint_keeping.py",
        "        if missing:\n            return PartsMissing(missing)",
        "        if len(missing) < 0:\n            return PartsMissing(missing)",
        (
            "tests/storage/test_sqlite_checkpoints.py"
            "::test_parts_that_neither_came_nor_are_there_are_asked_for",
        ),
    ),
    Mutation(
        "believe-a-copy",
        "whoever sends the bytes of another connection is taken for its sender",
        "actors/intake.py",
        "if frame.connection != self._number:",
        "if frame.connection < 0:",
        ("tests/actors/test_copies.py",),
    ),
    Mutation(
        "log-by-an-inherited-number",
        "the children of a zygote that came later log to a number of their supervisor's",
        "supervisors/zygote.py",
        "        log_to(None)\n",
        "",
        (
            "tests/supervisors/test_new_zygote.py::"
            "test_what_the_child_of_another_zygote_logs_is_in_none_of_its_files",
        ),
    ),
    Mutation(
        "begin-anew-where-all-is-lost",
        "a database that was on the disk, and is empty now, is made anew",
        "storage/sqlite.py",
        "if epoch == 1 and self._lock.is_made:",
        "if epoch < 1:",
        ("tests/storage/test_lost_logs.py",),
    ),
    Mutation(
        "number-lives-anew",
        "a child that is added again has the number of a life that was killed",
        "supervisors/roster.py",
        "child.starts = child.before = self._starts",
        "child.starts = child.before = 0",
        (
            "tests/actors/test_added_agents.py::"
            "test_an_agent_that_is_added_again_after_a_kill_loses_no_events",
        ),
    ),
    *DOORS,
)
