"""Every kind of sink: the word that `type` says, the keys of its own, and what makes one.

Law: a new sink is one file and one line here.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import msgspec

from calicod.eventlog.console import FORMATS, ConsoleSettings, ConsoleSink
from calicod.eventlog.file import FileSettings, FileSink
from calicod.eventlog.sink import Sink
from calicod.resources.document import Node
from calicod.resources.report import Report
from calicod.resources.scalars import between, choice, shown, text
from calicod.resources.table import Field, Fields

VALUE = "C002"
MAX_BYTES, MAX_FILES = 1 << 50, 1000

SinkSettings = FileSettings | ConsoleSettings


class Kind(msgspec.Struct, frozen=True):
    """How the keys are read, and into what."""

    settings: Callable[..., SinkSettings]
    fields: Fields


def path(node: Node, report: Report) -> Path | None:
    """The name of a file."""
    value = text(node, report)
    if value is None or (value and value.isprintable()):
        return None if value is None else Path(value)
    report.error(VALUE, node, f"expected a path, found {shown(node)}")
    return None


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "file": Kind(
            FileSettings,
            {
                "path": Field("path", path),
                "max_bytes": Field("max_bytes", between(0, MAX_BYTES, VALUE, "size")),
                "keep": Field("keep", between(0, MAX_FILES, VALUE, "number of files")),
            },
        ),
        "console": Kind(ConsoleSettings, {"format": Field("format", choice(FORMATS, VALUE))}),
    }
)


def sink(settings: SinkSettings) -> Sink:
    """A sink as it was configured."""
    match settings:
        case FileSettings():
            return FileSink(settings)
        case ConsoleSettings():
            return ConsoleSink(settings)


def title(settings: SinkSettings) -> str:
    """What the sink is called where its losses are told."""
    return f"file {settings.path}" if isinstance(settings, FileSettings) else "console"
