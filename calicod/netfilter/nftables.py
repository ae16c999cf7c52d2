"""The tables of nf_tables in this network namespace, whoever made them, asked from the kernel itself.

Law: a look, never a change; a kernel without nf_tables has none.
"""

from contextlib import suppress
from types import MappingProxyType

from calicod.netfilter.flow import NFGEN
from calicod.netfilter.netlink import NETLINK_NETFILTER, NLM_F_DUMP, Netlink, attributes

GET_TABLE = 10 << 8 | 1
"""NFNL_SUBSYS_NFTABLES, NFT_MSG_GETTABLE."""
NAME = 1
FAMILIES = MappingProxyType({1: "inet", 2: "ip", 3: "arp", 5: "netdev", 7: "bridge", 10: "ip6"})


def table_names() -> tuple[str, ...]:
    """`family name` of each, sorted; those of iptables-nft (`ip filter`) among them."""
    found = []
    with Netlink(NETLINK_NETFILTER) as netlink, suppress(OSError):
        for _, body in netlink.request(GET_TABLE, NFGEN.pack(0, 0, 0), NLM_F_DUMP):
            name = attributes(body[NFGEN.size :]).get(NAME, b"").rstrip(b"\0").decode("utf-8", "backslashreplace")
            found.append(f"{FAMILIES.get(body[0], body[0])} {name}")
    return tuple(sorted(found))
