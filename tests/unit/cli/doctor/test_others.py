import pytest

from calicod.cli.doctor.facts import Daemon, Holder
from calicod.netfilter.clash import Clash
from calicod.netfilter.table import parse_save
from tests.unit.cli.doctor.build import found, one, rules

OTHER = "-A PREROUTING -j ACCEPT"


@pytest.mark.parametrize(
    ("chain", "name", "state"),
    [
        ("ufw-before-input", "ufw", "ok"),
        ("IN_public", "firewalld", "warn"),
        ("DOCKER-USER", "Docker", "ok"),
        ("KUBE-SERVICES", "kube-proxy", "ok"),
        ("cali-INPUT", "Calico's Felix", "warn"),
        ("CILIUM_INPUT", "Cilium", "warn"),
    ],
)
def test_a_firewall_is_known_by_its_chains(chain, name, state):
    finding = one("firewalls", rules=rules(f":{chain} - [0:0]"))

    assert (finding.state, finding.message.startswith(f"{name} is here")) == (state, True)


def test_a_firewall_is_known_by_its_table_too_and_a_strange_table_is_named():
    told = found("firewalls", tables=("inet firewalld", "inet mine", "ip filter"))

    assert [finding.message[:17] for finding in told] == ["firewalld is here", "tables of nftable"]
    assert "(inet mine)" in told[1].message


def test_our_own_chains_are_nobodys_firewall():
    assert one("firewalls", rules=rules(":calicod-in - [0:0]"), tables=("inet calicod",)).message.startswith("no other")


def test_rules_in_both_variants_are_told():
    both = rules(OTHER) | {"iptables-legacy ipv6": parse_save(f"*raw\n:PREROUTING ACCEPT [0:0]\n{OTHER}\nCOMMIT")}

    finding = one("variants", rules=both)

    assert (finding.state, "iptables-legacy and in iptables-nft" in finding.message) == ("warn", True)


def test_our_jumps_are_no_rules_of_others():
    assert one("variants", rules=rules("-A OUTPUT -j calicod-clear")).message == "no rules of others in iptables"


def test_a_queue_that_another_process_reads_is_a_failure_that_names_it():
    finding = one("queue-numbers", queues={5201: Holder(77, "suricata"), 9: Holder(1, "init")})

    assert (finding.state, finding.message) == ("fail", "queue 5201 is read by process 77 (suricata)")


def test_a_reader_that_cannot_be_found_is_a_failure_all_the_same():
    assert one("queue-numbers", queues={5200: Holder()}).state == "fail"


def test_the_queues_of_the_daemon_that_runs_are_its_own():
    finding = one("queue-numbers", queues={5200: Holder(8, "calicod")}, daemon=Daemon(7, (7, 8)))

    assert (finding.state, finding.message) == ("ok", "queues 5200-5201 are calicod's")


def test_a_rule_that_forges_our_marks_is_a_failure_and_one_that_erases_them_a_drawback():
    told = found("marks", rules=rules("-A OUTPUT -j CONNMARK --save-mark", "-A PREROUTING -j CONNMARK --save-mark"))

    assert [(f.state, "-A OUTPUT" in f.message) for f in told] == [("warn", False), ("fail", True)]


def test_a_clash_of_nftables_is_told_as_one_of_iptables_is():
    forging = Clash("nft inet others c", "meta mark set 0x10000000", "sets packet mark bits of calicod's", fatal=True)

    finding = one("marks", native=(forging,))

    assert finding.state == "fail"
    assert finding.message == str(forging)


@pytest.mark.parametrize(
    ("mask", "told"),
    [("", True), (" --nfmask 0xff --ctmask 0xffffffff", True), (" --ctmask 0x80", False), (" --mask odd", True)],
)
def test_a_rule_that_shows_our_stamp_to_others_is_told(mask, told):
    finding = one("marks", rules=rules(f"-A PREROUTING -j CONNMARK --restore-mark{mask}"))

    assert (finding.state == "warn") == told
