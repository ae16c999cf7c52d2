"""What came of the tests as JUnit XML, which every CI understands.

Law: well-formed whatever names and messages hold.
"""

import re
from collections.abc import Iterable
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from calicod.cli.policytest.outcome import Outcome
from calicod.cli.policytest.telling import details, plain

_FORBIDDEN = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


def junit(outcomes: Iterable[Outcome]) -> bytes:
    """A `testsuite` for each file, a `testcase` for each test."""
    by_file: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        by_file.setdefault(outcome.case.place.file, []).append(outcome)
    everything = [one for ones in by_file.values() for one in ones]
    root = Element("testsuites", {"name": "calicod test", **counts(everything)})
    for file, ones in by_file.items():
        suite = SubElement(root, "testsuite", {"name": clean(file), "errors": "0", "skipped": "0", **counts(ones)})
        for outcome in ones:
            add(suite, outcome)
    indent(root)
    written: bytes = tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def counts(outcomes: Iterable[Outcome]) -> dict[str, str]:
    """How many, and how many failed."""
    verdicts = [bool(outcome.differences) for outcome in outcomes]
    return {"tests": str(len(verdicts)), "failures": str(sum(verdicts))}


def add(suite: Element, outcome: Outcome) -> None:
    """One test."""
    place = outcome.case.place
    file = clean(place.file)
    names = {"name": clean(outcome.name), "classname": file, "file": file, "line": str(place.line)}
    case = SubElement(suite, "testcase", names)
    if outcome.differences:
        failure = SubElement(case, "failure", {"message": clean("; ".join(outcome.differences))})
        failure.text = clean(f"{place}\n{plain(details(outcome))}")


def clean(text: str) -> str:
    r"""The text with `?` for each character that XML cannot hold.

    >>> clean("a\x1bb")
    'a?b'
    """
    return _FORBIDDEN.sub("?", text)
