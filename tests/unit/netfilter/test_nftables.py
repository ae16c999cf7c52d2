"""Tables of nf_tables, asked from a real kernel."""

import pytest

from calicod.netfilter.nftables import table_names
from tests.netns.world import inside, run, world

pytestmark = pytest.mark.netns


def test_tables_are_told_by_family_and_name_whoever_made_them():
    with world("cd-n", ["tables"]) as made, inside(made.namespaces[0]):
        before = table_names()
        run("nft", "add", "table", "inet", "mine")
        run("nft", "add", "table", "ip6", "theirs")
        run("iptables-nft", "-A", "INPUT", "-j", "ACCEPT")

        assert before == ()
        assert table_names() == ("inet mine", "ip filter", "ip6 theirs")
