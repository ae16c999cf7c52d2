"""Which endpoints came and went between two views of the host, as events.

Law: an endpoint is told once for each interface it gains or loses; what stays is not told.
"""

from collections.abc import Iterable

from calicod.daemon.state import EndpointState
from calicod.model.decision import EndpointReference
from calicod.model.event import EndpointDown, EndpointUp

Pair = tuple[EndpointReference, str]


def pairs(states: Iterable[EndpointState]) -> dict[Pair, tuple[str, ...]]:
    """(endpoint, interface) -> the endpoint's addresses, of every endpoint that has an interface."""
    return {
        (EndpointReference(state.type, state.namespace, state.name), interface): state.addresses
        for state in states
        for interface in state.interfaces
    }


def changes(before: Iterable[EndpointState], now: Iterable[EndpointState]) -> tuple[EndpointUp | EndpointDown, ...]:
    """What is gone first, then what is new."""
    old, new = pairs(before), pairs(now)
    gone = [EndpointDown(endpoint=e, interface=i, addresses=a) for (e, i), a in old.items() if (e, i) not in new]
    come = [EndpointUp(endpoint=e, interface=i, addresses=a) for (e, i), a in new.items() if (e, i) not in old]
    return (*gone, *come)
