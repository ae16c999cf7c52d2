"""A test file as values: suites of cases, each a flow and what must become of it.

Law: an expectation is what somebody wrote; what was not written is not compared.
"""

import msgspec

from calicod.errors import NOWHERE, Place
from calicod.model.interface import Interface
from calicod.resources.kinds import Resource

ABSENT = -1


class Flow(msgspec.Struct, frozen=True, kw_only=True):
    """The first packet of a connection, in the words of `calicod eval`; `src` and `dst` may be names.

    `family` None: every family that both sides have.
    """

    src: str
    dst: str
    protocol: str = "tcp"
    family: int | None = None
    sport: int = ABSENT
    dport: int = ABSENT
    icmp_type: int = ABSENT
    icmp_code: int = ABSENT
    hook: str | None = None
    in_interface: str = ""
    out_interface: str = ""
    place: Place = NOWHERE


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """The deciding rule, as far as it was written; `rule` -1 is the end of the tier."""

    kind: str | None = None
    tier: str | None = None
    namespace: str | None = None
    name: str | None = None
    rule: int | None = None


class Expectation(msgspec.Struct, frozen=True, kw_only=True):
    """What must come of a flow; `pending`: the verdict if the staged policies were enforced."""

    verdict: str | None = None
    reason: str | None = None
    policy: Rule | None = None
    pending: str | None = None


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One test."""

    name: str
    flow: Flow
    expect: Expectation
    place: Place = NOWHERE


class Suite(msgspec.Struct, frozen=True, kw_only=True):
    """One document of a test file, its resources read. `node` None: the whole cluster.

    `addresses`: names of the file's own.
    """

    file: str
    resources: tuple[Resource, ...] = ()
    node: str | None = None
    interfaces: tuple[Interface, ...] | None = None
    addresses: dict[str, tuple[bytes, ...]] = {}
    cases: tuple[Case, ...] = ()
