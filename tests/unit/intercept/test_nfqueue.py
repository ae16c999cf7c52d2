"""What of the kernel's queue needs no kernel; the rest is in tests/netns/test_queue.py."""

import netfilterqueue
import pytest

from calicod.errors import CalicodError
from calicod.intercept import counters, nfqueue
from calicod.intercept.nfqueue import BYTES_PER_PACKET, COPY_BYTES, PEEK_BYTES, require
from calicod.packet.decode import MAX_EXTENSIONS, V6_HEADER


def test_a_kernel_without_nfqueue_is_told_with_the_way_out(monkeypatch, tmp_path):
    monkeypatch.setattr(counters, "TABLE", tmp_path / "absent")

    with pytest.raises(CalicodError) as caught:
        require()

    assert (caught.value.code, caught.value.exit_code) == ("K042", 4)
    assert "modprobe nfnetlink_queue" in str(caught.value)


def test_the_copy_of_a_packet_holds_the_headers_that_are_walked():
    usual_extension = 24  # a segment routing header of one segment, the longest that is common

    assert V6_HEADER + MAX_EXTENSIONS * usual_extension + 60 < COPY_BYTES < BYTES_PER_PACKET
    assert COPY_BYTES <= 4016  # the binding's MaxCopySize: more would be cut


def test_a_look_at_the_head_of_a_message_reaches_the_packets_id():
    assert PEEK_BYTES >= 16 + 4 + 4 + 7


def test_the_binding_is_of_the_version_that_was_measured():
    assert netfilterqueue.VERSION >= (1, 1, 0)
    assert nfqueue.NetfilterQueue is netfilterqueue.NetfilterQueue
