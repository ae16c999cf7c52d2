from pathlib import Path

import pytest

from calicod.eventlog.console import ConsoleSettings, ConsoleSink
from calicod.eventlog.file import FileSettings, FileSink
from calicod.eventlog.table import KINDS, sink, title


@pytest.mark.parametrize(
    ("settings", "kind", "name"),
    [
        (FileSettings(Path("/var/log/e.jsonl")), FileSink, "file /var/log/e.jsonl"),
        (ConsoleSettings(), ConsoleSink, "console"),
    ],
)
def test_settings_make_their_sink_and_name_it(settings, kind, name):
    assert isinstance(sink(settings), kind)
    assert title(settings) == name


def test_every_kind_has_a_default_for_each_of_its_keys():
    for kind in KINDS.values():
        made = kind.settings()
        assert {field.attribute for field in kind.fields.values()} == set(made.__struct_fields__)
        assert sink(made) is not None
