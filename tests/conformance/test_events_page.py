"""docs/events.md tells every event with every field, and its example lines are what calicod writes."""

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from calicod.daemon.settings import parse_settings
from calicod.eventlog.table import KINDS
from calicod.model.decision import PolicyReference
from calicod.model.event import Event, Hits, Party, decode, encode
from calicod.model.verdict import Reason

PAGE = (Path(__file__).parents[2] / "docs" / "events.md").read_text()
BLOCK = re.compile(r"^```json\n(.*?)^```", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
EXAMPLES = [line for block in BLOCK.findall(PAGE) for line in block.splitlines()]
PROSE = BLOCK.sub("", PAGE)
WORDS = set(CODE.findall(PROSE)) | {word for row in CODE.findall(PROSE) for word in re.split(r"[ ,]+", row)}
KINDS_OF_EVENT = {str(kind.__struct_config__.tag): kind for kind in get_args(Event)}


@pytest.mark.parametrize("name", KINDS_OF_EVENT)
def test_every_event_is_described_and_has_an_example(name):
    assert re.search(rf"^### .*\b{name}\b|^\| `{name}` \|", PAGE, re.MULTILINE)
    assert any(line.startswith(f'{{"event":"{name}",') for line in EXAMPLES)


@pytest.mark.parametrize("line", EXAMPLES, ids=range(len(EXAMPLES)))
def test_an_example_is_the_very_line_that_calicod_writes(line):
    assert encode(decode(line.encode())).decode() == line + "\n"


@pytest.mark.parametrize(
    "kind", [*KINDS_OF_EVENT.values(), Party, Hits, PolicyReference], ids=lambda kind: kind.__name__
)
def test_every_field_is_described(kind):
    assert [field.name for field in msgspec.structs.fields(kind) if field.name not in WORDS] == []


def test_every_reason_is_described():
    assert [reason.value for reason in Reason if reason.value not in WORDS] == []


def test_what_stands_for_a_sink_works_and_every_key_is_described():
    (example,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)

    assert parse_settings(example, "calicod.yaml").events == tuple(kind.settings() for kind in KINDS.values())
    assert {key for kind in KINDS.values() for key in kind.fields} | set(KINDS) <= WORDS
