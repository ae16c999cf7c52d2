"""IP addresses and networks as the bytes that stand on the wire.

Law: an address is 4 (IPv4) or 16 (IPv6) bytes in network order, so equal lengths compare as numbers
and the length is the family. Nothing here resolves names.
"""

from ipaddress import IPv6Address, ip_address

import msgspec

V4_LENGTH = 4
V6_LENGTH = 16
V4_MAPPED_PREFIX = bytes(10) + b"\xff\xff"
V4_MAPPED_BITS = 96


class Network(msgspec.Struct, frozen=True, order=True):
    """A CIDR block: `address` masked to `length` bits; family by the number of bytes."""

    address: bytes
    length: int

    @property
    def family(self) -> int:
        """4 or 6."""
        return 4 if len(self.address) == V4_LENGTH else 6

    @property
    def first(self) -> bytes:
        """The lowest address."""
        return self.address

    @property
    def last(self) -> bytes:
        """The highest address."""
        bits = len(self.address) * 8
        value = int.from_bytes(self.address) | ((1 << (bits - self.length)) - 1)
        return value.to_bytes(len(self.address))

    def __contains__(self, address: bytes) -> bool:
        return len(address) == len(self.address) and self.first <= address <= self.last

    def __str__(self) -> str:
        return f"{format_address(self.address)}/{self.length}"


def family_of(address: bytes) -> int:
    """4 or 6, by length."""
    return 4 if len(address) == V4_LENGTH else 6


def format_address(address: bytes) -> str:
    """The usual text of an address (RFC 5952 for IPv6).

    >>> format_address(bytes([192, 0, 2, 1]))
    '192.0.2.1'
    """
    if len(address) == V4_LENGTH:
        return f"{address[0]}.{address[1]}.{address[2]}.{address[3]}"
    return str(IPv6Address(address))


def parse_address(text: str) -> bytes:
    """The bytes of an address; an IPv4-mapped IPv6 address is IPv4 (semantics 1.15). Raises ValueError.

    >>> parse_address("::ffff:192.0.2.1") == parse_address("192.0.2.1")
    True
    """
    if "%" in text:
        raise ValueError(f"zone in address {text!r}")
    packed = _dotted(text) or ip_address(text).packed
    if len(packed) == V6_LENGTH and packed.startswith(V4_MAPPED_PREFIX):
        return packed[12:]
    return packed


def parse_network(text: str) -> tuple[Network, bool]:
    """A CIDR or a bare address, and whether its host bits were clear. Raises ValueError.

    `::ffff:a.b.c.d/n` with n >= 96 is IPv4 /(n-96) (semantics 1.15); the mask may have leading zeros.
    """
    body, slash, mask = text.partition("/")
    packed = _dotted(body)
    if packed is None:
        if "%" in body:
            raise ValueError(f"zone in network {text!r}")
        packed = ip_address(body).packed
    bits = len(packed) * 8
    if slash and not (mask.isascii() and mask.isdigit()):
        raise ValueError(f"mask of {text!r} is not a number of bits")
    length = int(mask) if slash else bits
    if length > bits:
        raise ValueError(f"mask of {text!r} is longer than the address")
    if bits == V6_LENGTH * 8 and packed.startswith(V4_MAPPED_PREFIX) and length >= V4_MAPPED_BITS:
        packed, bits, length = packed[12:], 32, length - V4_MAPPED_BITS
    value = int.from_bytes(packed)
    masked = value >> (bits - length) << (bits - length)
    if masked == value:
        return Network(packed, length), True
    return Network(masked.to_bytes(bits // 8), length), False


def _dotted(text: str) -> bytes | None:
    """The usual text of an IPv4 address; None for any other text. A million of them are read in a second."""
    parts = text.split(".")
    try:
        a, b, c, d = [_OCTETS[part] for part in parts]
    except (KeyError, ValueError):
        return None
    return bytes((a, b, c, d))


_OCTETS = {str(octet): octet for octet in range(256)}
