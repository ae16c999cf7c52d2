"""NetworkSet and GlobalNetworkSet (semantics 1.7).

Law: host bits are masked away, equal members are one; an entry that is no network refuses the set (D12).
"""

from collections.abc import Callable

from calicod.resources.document import Mapping
from calicod.resources.kinds import Metadata, NetworkSet
from calicod.resources.networks import any_network
from calicod.resources.report import Report
from calicod.resources.shapes import shaped
from calicod.resources.table import Field, Fields, list_of, mapping, read

FORBIDDEN_LABELS = {"projectcalico.org/namespace": "P030"}
SET: Fields = {"nets": Field("nets", list_of(any_network("P031"), unique=True))}


@shaped(lambda: mapping(SET))
def network_set(spec: Mapping, metadata: Metadata, report: Report) -> NetworkSet:
    """A set of networks, of a namespace or of the cluster."""
    make: Callable[..., NetworkSet] = NetworkSet
    return make(**read(spec, SET, report), kind=report.kind, metadata=metadata, place=report.place(report.root))
