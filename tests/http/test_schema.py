"""Requests that schemathesis makes of the document, right ones and wrong ones.

What no JSON schema says (a cursor has to be one that was given) may be refused, so whether right
requests are accepted is not asked here.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

schemathesis: Any = pytest.importorskip("schemathesis")

from hypothesis import HealthCheck, Phase, given, settings  # noqa: E402
from hypothesis.errors import Unsatisfiable  # noqa: E402

from holdfast.http.openapi import document  # noqa: E402
from tests.http.door import Door  # noqa: E402

STREAM = "/events/stream"  # it has no end


def hold(door: Door, *, examples: int, mode: str, names: set[str] | None = None) -> int:
    """Ask so often for each operation; how many there were."""
    from schemathesis import checks
    from schemathesis.specs.openapi import checks as of_openapi

    promised = [
        checks.not_a_server_error,
        of_openapi.status_code_conformance,
        of_openapi.content_type_conformance,
        of_openapi.response_schema_conformance,
    ]
    schema = schemathesis.openapi.from_dict(document())
    asked = 0
    for result in schema.exclude(path=STREAM).get_all_operations():
        operation = result.ok()
        if names is not None and operation.label not in names:
            continue
        asked += 1

        def ask(case: Any) -> None:
            answer = case.call(base_url=door.url, headers=door.headers)
            assert answer.status_code != 500, answer.text
            rejected = [of_openapi.negative_data_rejection] if is_as_meant(case, answer) else []
            case.validate_response(answer, checks=promised + rejected)

        strategy = operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode))
        bounded = settings(
            max_examples=examples,
            derandomize=names is not None,
            deadline=None,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        with suppress(Unsatisfiable):  # nothing can be wrong where nothing is given
            bounded(given(case=strategy)(ask))()
    return asked


def is_as_meant(case: Any, answer: Any) -> bool:
    """A parameter without a value is not sent, and who leaves the token out gets the test's."""
    sent = parse_qs(urlsplit(answer.request.url).query, keep_blank_values=True)
    return set(case.query or ()) <= set(sent) and "Authorization" in (case.headers or ())


SOME = {
    "POST /state/entities",
    "GET /events",
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_some_requests_of_the_document_are_answered_as_it_says(door: Door, mode: str) -> None:
    pid = door.daemon.pid("http")
    assert hold(door, examples=3, mode=mode, names=SOME) == len(SOME)
    assert door.daemon.pid("http") == pid


@pytest.mark.slow  # thousands of requests
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_requests_of_every_operation_are_answered_as_the_document_says(
    door: Door, mode: str
) -> None:
    pid = door.daemon.pid("http")
    assert hold(door, examples=8, mode=mode) > 40
    assert door.daemon.pid("http") == pid
