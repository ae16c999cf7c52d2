import pytest
from msgspec.structs import replace

from calicod.cli.doctor.facts import Choice, Kernel, Trouble
from calicod.model.steering import Nic
from tests.unit.cli.doctor.build import STEERING, found, one


def test_without_cap_net_raw_the_legacy_variant_is_out_of_reach():
    finding = one("permission", capabilities=1 << 12)

    assert (finding.state, "CAP_NET_RAW" in finding.message) == ("warn", True)


@pytest.mark.parametrize(
    ("version", "bugs"),
    [
        ((5, 10, 103), ["CVE-2022-48911"]),
        ((5, 10, 104), []),
        ((5, 13, 19), ["CVE-2022-48911"]),
        ((5, 14, 0), ["CVE-2022-48911", "CVE-2022-49110"]),
        ((5, 15, 26), ["CVE-2022-48911", "CVE-2022-49110"]),
        ((5, 15, 27), ["CVE-2022-49110"]),
        ((5, 15, 34), []),
        ((5, 17, 2), ["CVE-2022-49110"]),
        ((6, 1, 76), []),
        ((), []),
    ],
)
def test_a_known_bug_is_told_for_the_versions_that_have_it(version, bugs):
    told = [finding for finding in found("kernel", kernel=Kernel("x", version)) if finding.state == "warn"]

    assert [next(b for b in ("CVE-2022-48911", "CVE-2022-49110") if b in f.message) for f in told] == bugs


def test_a_kernel_older_than_any_that_was_tried_is_told():
    assert "older than any" in one("kernel", kernel=Kernel("4.19.0", (4, 19, 300))).message


def test_a_kernel_without_queues_fails_with_the_remedy_of_the_edge():
    finding = one("queue", binding=Trouble("no NFQUEUE", "modprobe"))

    assert (finding.state, finding.message, finding.mend) == ("fail", "no NFQUEUE", "modprobe")


def test_rules_that_the_kernel_does_not_take_fail_with_the_remedy_of_the_trial():
    finding = one("steering", choice=Choice(trouble=Trouble("refused", "load xt_hl")))

    assert (finding.state, finding.message, finding.mend) == ("fail", "refused", "load xt_hl")


def test_a_family_that_is_left_out_is_told_beside_what_works():
    told = found("steering", choice=Choice("iptables-nft", ("no IPv6 rules",)))

    assert [(finding.state, finding.message[:12]) for finding in told] == [
        ("warn", "no IPv6 rule"),
        ("ok", "iptables-nft"),
    ]


def test_a_managed_interface_that_no_rule_can_name_fails():
    steering = replace(STEERING, nics=(Nic("eth+", 3, managed=True),))

    finding = one("interface-names", steering=steering)

    assert (finding.state, "'eth+'" in finding.message) == ("fail", True)
