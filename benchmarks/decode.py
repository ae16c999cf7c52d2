"""How long it takes to decode one packet: `python benchmarks/decode.py [--rounds N] [--json]`.

Each kind of packet is decoded from 256 different byte strings in turn; the figure is the median of the rounds, in
microseconds of processor time a packet, the loop included.
"""

import argparse
import json
import statistics
from collections.abc import Sequence
from struct import pack
from time import process_time

from calicod.packet.decode import decode
from calicod.packet.turn import quoted, turned
from calicod.packet.value import Packet

COUNT = 256
LOOPS = 200
PAYLOAD = bytes(64)
TCP_REST = bytes([0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xFF, 0xFF, 0, 0, 0, 0])


def v4(protocol: int, index: int, transport: bytes, options: bytes = b"") -> bytes:
    """An IPv4 packet; the index varies its addresses."""
    words = 5 + len(options) // 4
    total = words * 4 + len(transport)
    addresses = pack("!II", 10 << 24 | index, 192 << 24 | index * 7)
    return pack("!BBHHHBBH", 0x40 | words, 0, total, index, 0x4000, 64, protocol, 0) + addresses + options + transport


def v6(protocol: int, index: int, transport: bytes) -> bytes:
    """An IPv6 packet."""
    addresses = pack("!QQQQ", 0xFD << 56, index, 0xFD << 56 | 1, index * 7)
    return pack("!IHBB", 6 << 28, len(transport), protocol, 64) + addresses + transport


def ports(index: int, rest: bytes) -> bytes:
    """A transport header and what it carries."""
    return pack("!HH", 1024 + index, index) + rest + PAYLOAD


def kinds() -> dict[str, list[bytes]]:
    """The packets of each kind."""
    indexes = range(COUNT)
    extensions = bytes([60, 0, 0, 0, 0, 0, 0, 0]) + bytes([6, 1]) + bytes(14)
    return {
        "IPv4 TCP": [v4(6, i, ports(i, TCP_REST)) for i in indexes],
        "IPv4 UDP": [v4(17, i, ports(i, bytes(4))) for i in indexes],
        "IPv4 ICMP": [v4(1, i, bytes([8, 0, 0, 0, 0, 1, 0, i]) + PAYLOAD) for i in indexes],
        "IPv4 TCP with options": [v4(6, i, ports(i, TCP_REST), bytes([1] * 8)) for i in indexes],
        "IPv6 TCP": [v6(6, i, ports(i, TCP_REST)) for i in indexes],
        "IPv6 UDP": [v6(17, i, ports(i, bytes(4))) for i in indexes],
        "IPv6 TCP behind two extension headers": [v6(0, i, extensions + ports(i, TCP_REST)) for i in indexes],
    }


def microseconds(function, arguments: Sequence[object], rounds: int) -> float:
    """The median over rounds, for one call."""
    times = []
    for _ in range(rounds):
        begin = process_time()
        for _ in range(LOOPS):
            for argument in arguments:
                function(argument)
        times.append((process_time() - begin) / LOOPS / len(arguments) * 1e6)
    return statistics.median(times)


def main() -> None:
    """Prints a line for each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = {}
    for name, raws in kinds().items():
        assert all(isinstance(decode(raw), Packet) for raw in raws), name
        results[name] = microseconds(decode, raws, options.rounds)
    tcp = kinds()["IPv4 TCP"]
    results["turned round"] = microseconds(turned, [decode(raw) for raw in tcp], options.rounds)
    errors = [v4(1, i, bytes([3, 1, 0, 0, 0, 0, 0, 0]) + raw) for i, raw in enumerate(tcp)]
    assert all(isinstance(quoted(raw), Packet) for raw in errors)
    results["quoted in an ICMP error"] = microseconds(quoted, errors, options.rounds)
    if options.json:
        print(json.dumps(results, indent=2))
        return
    for name, took in results.items():
        print(f"{name:40} {took:6.2f} µs")


if __name__ == "__main__":
    main()
