"""Reading a log group: how long a datagram's messages take. Goal: 1 µs each. Run: python -m benchmarks.nflog

The messages are those of kernel 6.18; `slowly`: attribute by attribute, as what is laid out as nothing before.
"""

import pyperf

from calicod.netfilter.nflog import AT_ONCE, Reader
from tests.unit.netfilter.logged import DONE, message, packet, read


def datagram(family: int) -> bytes:
    """As many messages as the kernel gives at once, whose numbers do not matter to the time."""
    return b"".join(message(n, packet(family, sport=1024 + n)) for n in range(AT_ONCE)) + DONE


def main() -> None:
    """Times each family."""
    runner = pyperf.Runner()
    for family in (4, 6):
        data = datagram(family)
        runner.bench_func(f"log group, {AT_ONCE} messages, ipv{family}", read, Reader(), data)
        runner.bench_func(f"log group, {AT_ONCE} messages, slowly, ipv{family}", read, Reader(lengths=0), data)


if __name__ == "__main__":
    main()
