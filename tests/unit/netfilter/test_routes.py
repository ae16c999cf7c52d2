import socket

from calicod.netfilter.routes import Route, Routes

HERE = {4: "127.0.0.1", 6: "::1"}


def found(destination: str) -> Route | None:
    routes = Routes()
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    try:
        return routes.find(socket.inet_pton(family, destination), b"")
    finally:
        routes.close()


def test_an_address_of_this_host_is_local():
    assert found("127.0.0.1") == Route(local=True, interface=0)


def test_what_is_for_many_has_no_route_to_one():
    assert found("255.255.255.255") is None
    assert found("224.0.0.1") is None


def test_an_answer_is_remembered_and_a_source_that_is_impossible_has_none():
    routes = Routes()
    here = socket.inet_aton("127.0.0.1")
    first = routes.find(here, b"")
    routes.close()

    assert routes.find(here, b"") == first
