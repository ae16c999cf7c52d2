import struct

import pytest

from calicod.intercept.netlink import PACKET, Answers, attribute, drop_message, flags_message, message, packet_id

# linux/netfilter/nfnetlink_queue.h: NFNL_SUBSYS_QUEUE 3; MSG_PACKET 0, MSG_VERDICT 1, MSG_CONFIG 2, MSG_VERDICT_BATCH 3
QUEUE = 5200


def packet_message(number: int, *before: bytes, kind: int = PACKET) -> bytes:
    return message(kind, QUEUE, *before, attribute(1, struct.pack("!IHBx", number, 0x0800, 1)))


def test_a_batch_drop_names_the_queue_and_the_last_packet():
    assert drop_message(QUEUE, 41) == (
        struct.pack("=IHHII", 32, 0x303, 1, 0, 0)
        + struct.pack("!BBH", 0, 0, QUEUE)
        + struct.pack("=HH", 12, 2)
        + struct.pack("!II", 0, 41)
    )


def test_a_packet_that_is_dropped_is_named_with_the_verdict_zero():
    assert Answers(QUEUE).drop(41) == (
        struct.pack("=IHHII", 32, 0x301, 1, 0, 0)
        + struct.pack("!BBH", 0, 0, QUEUE)
        + struct.pack("=HH", 12, 2)
        + struct.pack("!II", 0, 41)
    )


def test_a_packet_that_is_repeated_gets_its_mark():
    assert Answers(QUEUE).repeat(41, 0x10004001) == (
        struct.pack("=IHHII", 40, 0x301, 1, 0, 0)
        + struct.pack("!BBH", 0, 0, QUEUE)
        + struct.pack("=HH", 12, 2)
        + struct.pack("!II", 4, 41)
        + struct.pack("=HH", 8, 3)
        + struct.pack("!I", 0x10004001)
    )


def test_flags_are_set_with_the_mask_of_those_that_count():
    assert flags_message(QUEUE, 4, 5) == (
        struct.pack("=IHHII", 36, 0x302, 1, 0, 0)
        + struct.pack("!BBH", 0, 0, QUEUE)
        + struct.pack("=HH", 8, 4)
        + struct.pack("!I", 5)
        + struct.pack("=HH", 8, 5)
        + struct.pack("!I", 4)
    )


def test_an_attribute_is_padded_to_four_bytes_and_says_its_own_length():
    assert attribute(9, b"abcde") == struct.pack("=HH", 9, 9) + b"abcde\0\0\0"


def test_the_id_of_a_packet_is_found_wherever_its_attribute_stands():
    assert packet_id(packet_message(7)) == 7
    assert packet_id(packet_message(0xFFFFFFFF, attribute(3, b"abc"), attribute(4, b""))) == 0xFFFFFFFF


def test_an_error_report_holds_no_packet():
    assert packet_id(packet_message(7, kind=2)) is None


def test_a_packet_message_without_the_header_holds_no_id():
    assert packet_id(message(PACKET, QUEUE, attribute(3, b"abcd"))) is None


@pytest.mark.parametrize("length", range(32))
def test_a_message_cut_short_is_no_packet_and_no_error(length):
    assert packet_id(packet_message(7)[:length]) in {None, 7}


def test_an_attribute_of_no_length_ends_the_search():
    assert packet_id(message(PACKET, QUEUE, bytes(64))) is None
