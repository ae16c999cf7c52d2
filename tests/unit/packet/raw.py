"""Packets as bytes, header by header, for tests of the decoder."""

from struct import pack

from calicod.model.network import parse_address

SRC, DST = "10.65.0.1", "198.51.100.7"
SRC6, DST6 = "fd00:65::1", "2001:db8::7"
TCP_REST = bytes(16)
PORTS = pack("!HH", 40000, 80)
TCP_SEGMENT = PORTS + TCP_REST
UDP_DATAGRAM = PORTS + bytes(4)
SCTP_PACKET = PORTS + bytes(8)
ECHO_REQUEST = bytes([8, 0, 0, 0, 0x12, 0x34, 0, 1])
ECHO_REQUEST_6 = bytes([128, 0, 0, 0, 0x12, 0x34, 0, 1])


def v4(protocol: int, payload: bytes, options: bytes = b"", bits: int = 0, total: int | None = None) -> bytes:
    """An IPv4 packet; `bits`: flags and fragment offset."""
    words = 5 + len(options) // 4
    length = words * 4 + len(payload) if total is None else total
    addresses = parse_address(SRC) + parse_address(DST)
    return pack("!BBHHHBBH", 0x40 | words, 0, length, 1, bits, 64, protocol, 0) + addresses + options + payload


def v6(protocol: int, payload: bytes, length: int | None = None, hop_limit: int = 64) -> bytes:
    """An IPv6 packet."""
    length = len(payload) if length is None else length
    addresses = parse_address(SRC6) + parse_address(DST6)
    return pack("!IHBB", 6 << 28, length, protocol, hop_limit) + addresses + payload


def options(following: int, units: int = 0) -> bytes:
    """A hop-by-hop, routing or destination options header; also those of mobility, HIP and shim6."""
    return bytes([following, units]) + bytes(6 + 8 * units)


def authentication(following: int, words: int = 3) -> bytes:
    """An authentication header: its length counts words, less two."""
    return bytes([following, words + 1]) + bytes(10 + 4 * words)


def fragment(following: int, offset: int = 0, more: int = 0) -> bytes:
    """A fragment header; the offset counts eight bytes."""
    return pack("!BBHI", following, 0, offset << 3 | more, 7)
