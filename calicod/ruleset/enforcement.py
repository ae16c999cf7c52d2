"""What a worker needs to judge: the RuleSet and the interfaces, at one revision.

Law: written whole by the supervisor (msgpack, replaced atomically), read whole by workers; nothing else is shared.
"""

import msgspec

from calicod.model.interface import Interface
from calicod.ruleset.program import RuleSet


class Enforcement(msgspec.Struct, frozen=True, kw_only=True):
    """`revision` grows with every change of RuleSet or interfaces."""

    revision: int
    ruleset: RuleSet
    interfaces: tuple[Interface, ...] = ()


def encode(enforcement: Enforcement) -> bytes:
    """Msgpack of the whole."""
    return msgspec.msgpack.encode(enforcement)


def decode(data: bytes) -> Enforcement:
    """The inverse of `encode`. Raises msgspec.DecodeError."""
    return msgspec.msgpack.decode(data, type=Enforcement)
