"""The examples as data: for each its resources, and the traffic with what must come of it (`traffic.jsonl`).

Law: an expectation is written by hand, next to the policy, and read as it is; nothing here computes one.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec

from calicod.errors import CalicodError
from calicod.model.protocol import ICMP, ICMPV6, NAMES

Verdict = Literal["allow", "deny"]
PACKAGE = Path(__file__).parent.parent.parent
TRAFFIC = "traffic.jsonl"
POLICY = "policy.yaml"
FAMILIES = (4, 6)
UNTOLD = frozenset({"no-endpoint", "host-to-workload"})
"""Reasons for which the kernel never brings a packet up: nothing is judged, so there is no event."""
_FOLDER = re.compile(r"(\d+)-[a-z0-9-]+")
_NUMBERS = {name.lower(): number for name, number in NAMES.items()}
_ICMP = {4: ICMP, 6: ICMPV6}


class Flow(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename={"source": "from", "target": "to"}
):
    """Who opens what to whom, and what must come of it. `family` None: the same over IPv4 and IPv6.

    `policy` is `Kind name` or `Kind namespace/name`, "" when none decides; `rule` its index, -1 the end of the tier;
    `at` the file and line, from the example's folder; `why` a few words for people.
    """

    source: str
    target: str
    protocol: Literal["tcp", "udp", "icmp", "sctp"]
    port: int = 0
    family: Literal[4, 6] | None = None
    verdict: Verdict
    reason: str
    policy: str = ""
    rule: int = 0
    at: str = ""
    why: str = ""

    @property
    def number(self) -> int:
        """The IP protocol."""
        return _ICMP[self.family or 4] if self.protocol == "icmp" else _NUMBERS[self.protocol]

    @property
    def is_icmp(self) -> bool:
        """It is a ping, of either family."""
        return self.protocol == "icmp"

    @property
    def told(self) -> bool:
        """The daemon tells of it."""
        return self.reason not in UNTOLD

    def __str__(self) -> str:
        what = f"{self.protocol} {self.port}" if self.port else self.protocol
        return f"{self.source} → {self.target} {what} over IPv{self.family or '4 and 6'}"


class Case(msgspec.Struct, frozen=True):
    """One example. `flows` have their families."""

    number: int
    folder: Path
    text: str
    flows: tuple[Flow, ...]

    @property
    def name(self) -> str:
        """The folder's."""
        return self.folder.name


_DECODER = msgspec.json.Decoder(Flow)


def examples(package: Path = PACKAGE) -> Path:
    """The folder of the examples, in the package: in a checkout a link to the one beside it. Raises CalicodError."""
    folder = package / "examples"
    if folder.is_dir():
        return folder.resolve()
    raise CalicodError("K080", "the examples are not installed", hint="name their folder: --examples DIR", exit_code=2)


def load_cases(folder: Path) -> tuple[Case, ...]:
    """Every example that has traffic, in the order of their numbers. Raises CalicodError."""
    cases = tuple(sorted((load_case(path.parent) for path in folder.glob(f"*/{TRAFFIC}")), key=lambda c: c.number))
    if not cases:
        raise CalicodError("K080", f"{folder}: no example in it", hint=f"an example is NN-title/{TRAFFIC}", exit_code=2)
    return cases


def load_case(folder: Path) -> Case:
    """One example. Raises CalicodError for a line that is none."""
    match = _FOLDER.fullmatch(folder.name)
    number = int(match[1]) if match else 0
    flows: list[Flow] = []
    for line, text in enumerate((folder / TRAFFIC).read_bytes().splitlines(), 1):
        try:
            flows.append(_DECODER.decode(text))
        except msgspec.MsgspecError as error:
            raise CalicodError("K080", f"{folder / TRAFFIC}:{line}: {error}", exit_code=2) from error
    return Case(number, folder, introduction((folder / POLICY).read_text(encoding="utf-8")), tuple(families(flows)))


def families(flows: Iterable[Flow]) -> Iterable[Flow]:
    """Each flow once for each family that it is meant for."""
    for flow in flows:
        for family in FAMILIES:
            if flow.family in {None, family}:
                yield msgspec.structs.replace(flow, family=family)


def introduction(policy: str) -> str:
    """The first paragraph of the comment at the head of a policy.

    >>> introduction("# Case 1: who may?\\n# Blue.\\n#\\n# More.\\nkind: x\\n")
    'Case 1: who may? Blue.'
    """
    lines = []
    for line in policy.splitlines():
        if not line.startswith("# "):
            break
        lines.append(line.removeprefix("# "))
    return " ".join(lines)
