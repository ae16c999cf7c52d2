"""Short policies for datastores to hold."""

from calicod.resources.load import Loaded

TIER = """apiVersion: projectcalico.org/v3
kind: Tier
metadata: {{name: {name}}}
spec: {{order: {order}}}
"""


def tier(name: str, order: int | str = 1) -> str:
    """A resource; an order that is no number makes it invalid."""
    return TIER.format(name=name, order=order)


def names(loaded: Loaded) -> list[str]:
    """The names of what was read."""
    return [resource.metadata.name for resource in loaded.resources]


def codes(loaded: Loaded) -> list[str]:
    """The codes of what was told."""
    return [diagnostic.code for diagnostic in loaded.diagnostics]
