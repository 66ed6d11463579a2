"""Breaks of the doors for others: the gateway, HTTP, and what supervisors hold open for them."""

from __future__ import annotations

from typing import Final

from tests.mutations.mutation import Mutation

__all__ = ["DOORS"]

DOORS: Final = (
    Mutation(
        "begin-the-next-request-before-the-answer-is-read",
        "the gateway goes on with a client that does not read",
        "actors/doors.py",
        "while not self.is_busy and not self._unsent:",
        "while not self.is_busy:",
        (
            "tests/actors/test_gateway_clients.py::"
            "test_who_does_not_read_is_disconnected_after_the_grace_and_counted",
        ),
    ),
    Mutation(
        "carry-out-side-by-side",
        "the gateway begins a request of a client while another one is under way",
        "actors/doors.py",
        "                self.is_busy = True\n                self._doors.deliver",
        "                self._doors.deliver",
        (
            "tests/actors/test_gateway_clients.py::"
            "test_requests_of_a_connection_are_answered_in_their_order",
        ),
    ),
    Mutation(
        "let-anybody-ask",
        "the HTTP door answers without the token",
        "holdfast/http/guard.py",
        'if scope["path"] not in OPEN:',
        'if scope["path"] in OPEN:',
        ("tests/http/test_security.py::test_nothing_is_answered_without_the_token",),
    ),
    Mutation(
        "answer-to-any-name",
        "the HTTP door does not look at what it is called",
        "holdfast/http/guard.py",
        "if name in self._hosts or _is_address(name):",
        "if name is not None:",
        ("tests/http/test_security.py::test_a_name_that_is_not_its_own_is_refused",),
    ),
    Mutation(
        "wait-for-the-rest-for-ever",
        "a request that is never whole keeps its connection",
        "holdfast/http/protocol.py",
        "now - self._waits_since > bounds.patience",
        "now < self._waits_since",
        (
            "tests/http/test_security.py::"
            "test_a_request_that_is_never_whole_is_cut_off_and_another_is_served",
        ),
    ),
    Mutation(
        "hold-for-who-does-not-read",
        "a client that does not read is never cut off",
        "holdfast/http/protocol.py",
        "if now - self._read_at > bounds.grace:",
        "if now < self._read_at:",
        ("tests/http/test_streams.py::test_who_does_not_read_is_cut_off_and_nobody_waits_for_it",),
    ),
    Mutation(
        "count-streams-when-they-are-open",
        "streams that are asked for at once are more than there may be",
        "holdfast/http/streams.py",
        "if self._taken >= self._max_streams:",
        "if len(self._open) >= self._max_streams:",
        ("tests/http/test_streams.py::test_one_stream_too_many_is_told_to_come_again",),
    ),
    Mutation(
        "believe-the-other-thread",
        "the HTTP door gives signs of life while its loop hangs",
        "holdfast/http/actor.py",
        "return self._server.shows_life()",
        "return True",
        (
            "tests/http/test_kills.py::test_a_door_whose_loop_hangs_is_killed_with_its_stack_in_the_log",
        ),
    ),
    Mutation(
        "leave-a-question-behind",
        "the log goes on waiting for a stream that is over",
        "holdfast/http/streams.py",
        "            self._leave(stream)\n",
        "",
        ("tests/http/test_streams.py::test_silence_is_broken_by_a_sign_of_life",),
    ),
    Mutation(
        "change-whatever-is-there",
        "an update does not look at the version that was expected",
        "holdfast/http/handlers.py",
        "if value is None],\n            expected_version=_version_of(request.if_match),\n",
        "if value is None],\n",
        ("tests/http/test_resources.py::test_a_change_that_expects_another_version_is_refused",),
    ),
    Mutation(
        "close-the-port-of-the-dead",
        "a supervisor makes the port of a child anew at each start",
        "supervisors/ports.py",
        "if known is not None and known[0] == address:",
        "if known is not None and known[0] != address:",
        (
            "tests/http/test_edges.py::"
            "test_the_port_of_an_agent_outlives_it_and_goes_with_its_table",
        ),
    ),
    Mutation(
        "begin-a-stream-anew",
        "a stream does not go on behind the last id",
        "holdfast/http/streams.py",
        "position_of(request.last_event_id or request.after)",
        "position_of(request.after)",
        ("tests/http/test_streams.py::test_a_stream_begins_now_and_goes_on_behind_the_last_id",),
    ),
)
