"""An event line for people: one line of text, in pieces that may be coloured.

Law: total, and nothing in a name, label or file can steer a terminal or begin a line of its own: what is not printable
is shown with backslashes.
"""

from collections.abc import Iterator, Mapping

import msgspec

Piece = tuple[str, str]
"""Text, and the rich style that it is to have."""

STYLES: Mapping[str, str] = {
    "connection.allowed": "green",
    "connection.denied": "bold red",
    "connection.cut": "bold magenta",
    "connection.closed": "dim",
    "rule.logged": "cyan",
    "policy.rejected": "bold red",
    "policy.rolled-back": "bold yellow",
    "queue.dropped": "bold red",
    "kernel.dropped": "red",
    "events.lost": "bold yellow",
    "steering.reset": "bold yellow",
}
KNOWN = frozenset({"event", "version", "time", "node"})
WIDTH = 18
"""Of the column of event names."""


def pieces(line: bytes) -> list[Piece]:
    """The event of a line; a line that is none is shown as it is."""
    try:
        event = msgspec.json.decode(line)
    except msgspec.DecodeError:
        event = None
    if not isinstance(event, dict):
        return [(printable(line.decode("utf-8", "backslashreplace").rstrip("\n")), "")]
    name = printable(str(event.get("event", "?")))
    told = [(printable(text), style) for text, style in (connection(event) if "src_ip" in event else facts(event))]
    column = f"{name:{WIDTH}} " if told else name
    return [(f"{clock(event)} ", "dim"), (column, STYLES.get(name, "blue")), *told]


def plain(line: bytes) -> str:
    """The same without colour."""
    return "".join(text for text, _ in pieces(line))


def printable(text: str) -> str:
    """What a terminal may be given."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def clock(event: Mapping[str, object]) -> str:
    """The time of day, in milliseconds."""
    return printable(str(event.get("time", ""))[11:23]).ljust(12)


def connection(event: Mapping[str, object]) -> Iterator[Piece]:
    """Who spoke to whom, and which rule said what."""
    yield f"{event.get('protocol') or '?'} ", ""
    yield from party(event, "src")
    yield " -> ", "dim"
    yield from party(event, "dst")
    if event.get("icmp_type") is not None:
        yield f" type {event['icmp_type']} code {event.get('icmp_code')}", ""
    yield f" {event.get('reason') or 'unknown'}", ""
    if (rule := policy(event.get("policy"))) is not None:
        yield f" {rule}", "bold"
    if (hit := pending(event.get("policies"))) is not None:
        yield f" pending {hit}", "yellow"
    yield from (piece for key in EXTRAS for piece in extra(event, key))


def party(event: Mapping[str, object], side: str) -> Iterator[Piece]:
    """Address, port, and whose it is."""
    address, port = event.get(f"{side}_ip"), event.get(f"{side}_port")
    shown = f"[{address}]" if port is not None and ":" in str(address) else str(address or "?")
    yield shown if port is None else f"{shown}:{port}", "bold"
    owner = event.get(side)
    if isinstance(owner, dict) and owner.get("type") != "Network":
        yield f" ({title(owner)})", "dim"


def title(owner: Mapping[str, object]) -> str:
    """`namespace/name`, or the name alone."""
    return f"{owner['namespace']}/{owner.get('name')}" if owner.get("namespace") else str(owner.get("name"))


def policy(reference: object) -> str | None:
    """The rule and where it was written."""
    if not isinstance(reference, dict):
        return None
    rule = reference.get("rule")
    which = "end of tier" if rule == -1 else f"rule {rule}"
    where = f" ({reference['file']}:{reference.get('line')})" if reference.get("file") else ""
    return f"{reference.get('kind')} {title(reference)} {which}{where}"


def pending(policies: object) -> str | None:
    """The last hit if staged policies were enforced, where it is of another action than the last that counted."""
    if not isinstance(policies, dict):
        return None
    last = [hits[-1] for key in ("enforced", "pending") if isinstance(hits := policies.get(key), list) and hits]
    actions = {str(hit).rpartition("|")[0].rpartition("|")[2] for hit in last}
    return str(last[-1]).partition("|")[2] if len(actions) > 1 else None


EXTRAS: Mapping[str, str] = {
    "count": "x{}",
    "suppressed": "{} more not told",
    "duration_ms": "{} ms",
    "bytes_to_dst": "{} B out",
    "bytes_to_src": "{} B back",
}


def extra(event: Mapping[str, object], key: str) -> Iterator[Piece]:
    """A number that says something."""
    value = event.get(key)
    if value is not None and not (key in {"count", "suppressed"} and value in {0, 1}):
        yield f" {EXTRAS[key].format(value)}", "dim"


def facts(event: Mapping[str, object]) -> Iterator[Piece]:
    """Any other event: what it holds, as it is called."""
    for number, (key, value) in enumerate((k, v) for k, v in event.items() if k not in KNOWN and v not in (None, [])):
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        yield f"{' ' if number else ''}{key}=", "dim"
        yield text, ""
