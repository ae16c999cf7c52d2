"""The configuration file: what is calicod's own (contract.md), snake_case, every key optional.

Law: an unknown key, a wrong type or a value that cannot work is an error with its line, never ignored. No setting is
read from anywhere else.
"""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

import msgspec

from calicod.daemon.log import FORMATS, LEVELS
from calicod.errors import CalicodError, Diagnostic, PolicyError
from calicod.eventlog.file import FileSettings
from calicod.eventlog.table import KINDS, SinkSettings
from calicod.model.marks import MarkLayout, layout
from calicod.resources.document import Document, Node, Unparsable, prepared, salvage, stream
from calicod.resources.document import Mapping as MappingNode
from calicod.resources.document import Sequence as SequenceNode
from calicod.resources.report import Report
from calicod.resources.scalars import Reader, between, boolean, choice, integer, is_null, scalar, shown, text
from calicod.resources.table import Field, Fields, find, items, list_of, read
from calicod.resources.wellformed import Budget, check

DEFAULT_PATH = Path("/etc/calicod/calicod.yaml")
VALUE = "C002"
QUEUES = 65536
MAX_WORKERS = 64
MASK_BITS = 32


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every key with its default. `marks`: what the two mask keys amount to. Queue lengths are packets.

    Paths are absolute: a relative one in the file counts from the file's folder.
    """

    node_name: str
    policy_paths: tuple[Path, ...] = (Path("/etc/calicod/policies.d"),)
    run_directory: Path = Path("/run/calicod")
    state_directory: Path = Path("/var/lib/calicod")
    events: tuple[SinkSettings, ...] = (FileSettings(),)
    log_level: str = "info"
    log_format: str = "auto"
    steering: str = "auto"
    workers: int = 1
    queue_base: int = 5200
    queue_length: int = 4096
    marks: MarkLayout = layout()
    failure_mode: str = "closed"
    deny_action: str = "drop"
    cut_with_reset: bool = False
    established: str = "rejudge"
    first_enforcement: str = "judge"

    @property
    def fail_open(self) -> bool:
        """What nobody judges passes."""
        return self.failure_mode == "open"

    @property
    def rejects(self) -> bool:
        """Who sends what is refused gets an answer."""
        return self.deny_action == "reject"

    @property
    def keeps(self) -> bool:
        """A change of policy leaves live flows alone."""
        return self.established == "keep"

    @property
    def adopts(self) -> bool:
        """What is there before the first rules lives on unjudged."""
        return self.first_enforcement == "adopt"


def load_settings(path: Path | None = None) -> Settings:
    """The settings of a file; the default file may be absent, one that was named may not.

    Raises PolicyError with every finding, CalicodError (exit code 1) when the file cannot be read.
    """
    chosen = path or DEFAULT_PATH
    try:
        content = chosen.read_text(encoding="utf-8")
    except FileNotFoundError:
        if path is None:
            return Settings(node_name=host_name())
        raise CalicodError("C001", f"{chosen}: there is no such file", hint="name it with --config") from None
    except (OSError, UnicodeDecodeError) as error:
        raise CalicodError("C001", f"{chosen}: cannot be read: {error}") from error
    return parse_settings(content, str(chosen))


def parse_settings(content: str, file: str) -> Settings:
    """The settings of a text. Raises PolicyError with every finding."""
    document = single_document(content, file)
    if document is None or is_null(document.root):
        return Settings(node_name=host_name())
    report = Report(document, document.root, file)
    values: dict[str, object] = {}
    if isinstance(document.root, MappingNode):
        check(document.root, report, Budget(content))
        if not report.refused:
            values = read(document.root, KEYS, report)
            values["marks"] = marks(document.root, values, report)
            check_queues(document.root, values, report)
    else:
        report.error(VALUE, document.root, f"expected keys with values, found {shown(document.root)}")
    if report.refused:
        raise PolicyError(report.diagnostics())
    return msgspec.structs.replace(Settings(node_name=host_name()), **anchored(values, Path(file).absolute().parent))


def single_document(content: str, file: str) -> Document | None:
    """The only document of a text. Raises PolicyError."""
    ready = prepared(content, file)
    if isinstance(ready, Diagnostic):
        raise PolicyError([ready])
    try:
        documents = list(stream(ready))
    except Unparsable as error:
        raise PolicyError([d for d in salvage(ready, file) if isinstance(d, Diagnostic)]) from error
    if len(documents) > 1:
        line, column = documents[1].position(documents[1].root)
        message = "a second document: the configuration is one"
        raise PolicyError([Diagnostic(code=VALUE, message=message, file=file, line=line, column=column)])
    return documents[0] if documents else None


def host_name() -> str:
    """The name of this host: the default of `node_name`."""
    return socket.gethostname()


def anchored(values: dict[str, object], folder: Path) -> dict[str, object]:
    """The values with every relative path made absolute."""
    fixed = {key: value for key, value in values.items() if not key.endswith("_mark_mask") and value is not None}
    for key in ("run_directory", "state_directory"):
        if key in fixed:
            fixed[key] = folder / str(fixed[key])
    if "policy_paths" in fixed:
        paths = fixed["policy_paths"]
        fixed["policy_paths"] = tuple(folder / str(p) for p in paths) if isinstance(paths, tuple) else ()
    chosen = fixed.get("events")
    if isinstance(chosen, tuple):
        fixed["events"] = tuple(anchored_sink(each, folder) for each in chosen)
    return fixed


def anchored_sink(chosen: SinkSettings, folder: Path) -> SinkSettings:
    """The sink with its path made absolute, if it has one."""
    return msgspec.structs.replace(chosen, path=folder / chosen.path) if isinstance(chosen, FileSettings) else chosen


def marks(root: Node, values: Mapping[str, object], report: Report) -> MarkLayout | None:
    """The layout of the two masks together."""
    masks = {key: values[key] for key in ("packet_mark_mask", "connection_mark_mask") if key in values}
    try:
        return layout(**{key.replace("_mark", ""): int(str(value)) for key, value in masks.items()})
    except ValueError as error:
        report.error(VALUE, root, str(error), field="packet_mark_mask")
        return None


def check_queues(root: Node, values: Mapping[str, object], report: Report) -> None:
    """Every worker's two queues have numbers below 65536."""
    base, workers = int(str(values.get("queue_base", 0))), int(str(values.get("workers", 1)))
    if base + 2 * workers > QUEUES:
        report.error(
            VALUE, root, f"{workers} workers from queue {base} on need numbers above 65535", field="queue_base"
        )


def word(*words: str) -> Reader[str]:
    """One of some words."""
    return choice(words, VALUE)


def path_text(node: Node, report: Report) -> str | None:
    """A path that is not empty."""
    value = text(node, report)
    if value == "":
        report.error(VALUE, node, "expected a path, found an empty text")
        return None
    return value


def worker_count(node: Node, report: Report) -> int | None:
    """A number of processes, or `auto`: one for each CPU that this process may use."""
    if node.value == "auto":
        return min(len(os.sched_getaffinity(0)), MAX_WORKERS)
    return between(1, MAX_WORKERS, VALUE, "number of workers")(node, report)


def mask(node: Node, report: Report) -> int | None:
    """A mask of 32 bits, as `0xf0000000` or in decimal."""
    value = integer(node, report)
    if value is not None and not 0 <= value < 1 << MASK_BITS:
        report.error(VALUE, node, f"{shown(node)} is no mask of {MASK_BITS} bits")
        return None
    return value


def sink(node: Node, report: Report) -> SinkSettings | None:
    """One entry of `events`: its `type` says which other keys it has."""
    if not isinstance(node, MappingNode):
        report.error("Y010", node, f"expected a mapping, found {shown(node)}", hint="such as {type: file, path: ...}")
        return None
    kind_node = find(node, "type")
    if kind_node is None:
        report.error(VALUE, node, 'field "type" is missing', hint=f"one of: {', '.join(KINDS)}", field="type")
        return None
    word_read = word(*KINDS)(kind_node, report)
    if word_read is None:
        return None
    kind = KINDS[word_read]
    values = read(node, {"type": Field("", text), **kind.fields}, report)
    return None if report.refused else kind.settings(**values)


def name(node: Node, report: Report) -> str | None:
    """The name of a node: not empty."""
    value = scalar(node, report, "a name")
    if value == "":
        report.error(VALUE, node, "expected a name, found an empty text")
        return None
    return value


def paths(node: Node, report: Report) -> tuple[str, ...] | None:
    """A list of paths, or one."""
    if isinstance(node, SequenceNode):
        return list_of(path_text)(node, report)
    one = path_text(node, report)
    return None if one is None else (one,)


def sinks(node: Node, report: Report) -> tuple[SinkSettings, ...]:
    """The list of sinks."""
    return tuple(s for s in (sink(item, report) for item in items(node, report)) if s is not None)


KEYS: Fields = {
    "node_name": Field("node_name", name),
    "policy_paths": Field("policy_paths", paths),
    "run_directory": Field("run_directory", path_text),
    "state_directory": Field("state_directory", path_text),
    "events": Field("events", sinks),
    "log_level": Field("log_level", word(*LEVELS)),
    "log_format": Field("log_format", word(*FORMATS)),
    "steering": Field("steering", word("auto", "iptables-nft", "iptables-legacy", "nft")),
    "workers": Field("workers", worker_count),
    "queue_base": Field("queue_base", between(0, QUEUES - 1, VALUE, "queue number")),
    "queue_length": Field("queue_length", between(1, 1 << 20, VALUE, "queue length")),
    "packet_mark_mask": Field("packet_mark_mask", mask),
    "connection_mark_mask": Field("connection_mark_mask", mask),
    "failure_mode": Field("failure_mode", word("closed", "open")),
    "deny_action": Field("deny_action", word("drop", "reject")),
    "cut_with_reset": Field("cut_with_reset", boolean),
    "established": Field("established", word("rejudge", "keep")),
    "first_enforcement": Field("first_enforcement", word("judge", "adopt")),
}
