"""Conversations as Markdown and JSON."""

from __future__ import annotations

import json

import pytest

from holdfast.errors import InvalidInputError
from holdfast.storage.conversations import Record, exported

RECORDS = [
    Record(1, 0, {"role": "user", "content": "What is 2 + 2?"}),
    Record(2, 1_000_000, {"role": "assistant", "content": "```py\n2 + 2\n```\n", "model": "m"}),
    Record(3, 2_000_000, {"tool": "run", "output": "a ```` fence"}),
]


def test_markdown_shows_who_said_what_and_everything_else_in_a_fence() -> None:
    text = "".join(exported("s\n# 1", RECORDS, "markdown"))
    assert text == (
        "# s # 1\n"
        "\n## user (1970-01-01 00:00:00 UTC)\n\nWhat is 2 + 2?\n"
        "\n## assistant (1970-01-01 00:00:01 UTC)\n\n```py\n2 + 2\n```\n"
        '\n```json\n{\n  "model": "m"\n}\n```\n'
        "\n## 3 (1970-01-01 00:00:02 UTC)\n\n"
        '`````json\n{\n  "tool": "run",\n  "output": "a ```` fence"\n}\n`````\n'
    )


def test_json_holds_every_record_as_it_was() -> None:
    document = json.loads("".join(exported('s"', RECORDS, "json")))
    assert document["session"] == 's"'
    assert [Record(**one) for one in document["records"]] == RECORDS
    assert json.loads("".join(exported("s", [], "json"))) == {"session": "s", "records": []}


def test_another_format_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="expected markdown or json"):
        exported("s", RECORDS, "pdf")  # type: ignore[arg-type]  # bad on purpose
