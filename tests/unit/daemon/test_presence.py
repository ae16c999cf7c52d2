from calicod.daemon.presence import changes
from calicod.daemon.state import EndpointState
from calicod.model.decision import EndpointReference
from calicod.model.event import EndpointDown, EndpointUp


def endpoint(name: str, *interfaces: str) -> EndpointState:
    return EndpointState(
        type="HostEndpoint",
        namespace="",
        name=name,
        state="up" if interfaces else "down",
        interface="*",
        interfaces=interfaces,
        addresses=("10.0.0.1",),
        labels={},
        ingress=(),
        egress=(),
        profiles=(),
    )


A = EndpointReference("HostEndpoint", "", "a")


def test_an_endpoint_that_gains_an_interface_comes_up():
    assert changes([endpoint("a")], [endpoint("a", "eth0")]) == (
        EndpointUp(endpoint=A, interface="eth0", addresses=("10.0.0.1",)),
    )


def test_an_endpoint_that_loses_an_interface_goes_down():
    assert changes([endpoint("a", "eth0", "eth1")], [endpoint("a", "eth1")]) == (
        EndpointDown(endpoint=A, interface="eth0", addresses=("10.0.0.1",)),
    )


def test_what_stays_is_not_told():
    assert changes([endpoint("a", "eth0")], [endpoint("a", "eth0")]) == ()
