"""The match fields: a new one is a file and a line here."""

from calicod.fields.addresses import Addresses
from calicod.fields.family import Family
from calicod.fields.field import Field
from calicod.fields.icmp import Icmp
from calicod.fields.ports import Ports
from calicod.fields.protocol import Protocol

FIELDS: tuple[Field, ...] = (
    Family(),
    Protocol(),
    Icmp(),
    Addresses("source", "src"),
    Addresses("destination", "dst"),
    Ports("source", "sport", "src"),
    Ports("destination", "dport", "dst"),
)
"""In the order in which a failed match is told: the coarsest first."""
