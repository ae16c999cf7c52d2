"""Netlink messages and the socket's overruns."""

import errno
import socket
import struct

import pytest

from calicod.netfilter.netlink import HEADER, NETLINK_ROUTE, Netlink, attribute, attributes, fail, messages


def test_an_attribute_is_padded_and_read_back() -> None:
    data = attribute(1, b"abc") + attribute(0x8002, b"") + attribute(3, b"12345678")

    assert len(data) == 8 + 4 + 12
    assert attributes(data) == {1: b"abc", 2: b"", 3: b"12345678"}


@pytest.mark.parametrize("data", [b"\x03", b"\x02\x00\x01\x00", struct.pack("=HH", 9, 1) + b"abcd"])
def test_attributes_that_are_cut_short_are_left_out(data: bytes) -> None:
    assert attributes(attribute(7, b"x") + data) == {7: b"x"}


def test_a_datagram_holds_several_messages() -> None:
    first = HEADER.pack(HEADER.size + 3, 5, 0, 1, 0) + b"abc\0"
    second = HEADER.pack(HEADER.size, 6, 0, 2, 0)

    assert list(messages(first + second)) == [(5, 1, b"abc"), (6, 2, b"")]
    assert list(messages(first + b"\0" * 16)) == [(5, 1, b"abc")]


def test_an_acknowledgement_is_no_failure() -> None:
    fail(struct.pack("=i", 0))

    with pytest.raises(OSError, match="ENOENT") as raised:
        fail(struct.pack("=i", -errno.ENOENT))
    assert raised.value.errno == errno.ENOENT


def test_nothing_to_receive_is_none_and_no_overrun() -> None:
    with Netlink(NETLINK_ROUTE) as netlink:
        assert netlink.receive() is None
        assert netlink.overruns == 0
        assert netlink.fileno() == netlink.socket.fileno()


def test_a_request_is_answered() -> None:
    """RTM_GETLINK of the loopback interface."""
    question = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, 1, 0, 0)

    with Netlink(NETLINK_ROUTE) as netlink:
        ((kind, body),) = netlink.request(18, question, 0)

    assert kind == 16
    assert attributes(body[16:])[3] == b"lo\0"


def test_a_refused_request_raises_what_the_kernel_said() -> None:
    question = struct.pack("=BxHiII", socket.AF_UNSPEC, 0, 0x7FFFFFFF, 0, 0)

    with Netlink(NETLINK_ROUTE) as netlink, pytest.raises(OSError, match="ENODEV"):
        list(netlink.request(18, question, 0))
