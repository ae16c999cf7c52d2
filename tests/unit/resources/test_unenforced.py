import pytest

from calicod.resources.kinds import HostEndpoint, Metadata, Policy, Tier
from calicod.resources.unenforced import unenforced

WHO = Metadata(name="x")


def policy(**fields):
    return Policy(kind="GlobalNetworkPolicy", metadata=WHO, **fields)


@pytest.mark.parametrize(
    ("resource", "codes"),
    [
        (policy(), []),
        (policy(apply_on_forward=True), []),
        (policy(apply_on_forward=True, pre_dnat=True), ["N005"]),
        (policy(apply_on_forward=True, do_not_track=True), []),
        (HostEndpoint(metadata=WHO, node="n", interface_name="lo"), []),
        (HostEndpoint(metadata=WHO, node="n", interface_name="*"), []),
        (Tier(metadata=WHO), []),
    ],
)
def test_each_field_that_the_daemon_cannot_enforce_has_its_finding(resource, codes):
    found = unenforced(resource)

    assert [finding.code for finding in found] == codes
    assert all("the daemon refuses" in finding.message and finding.hint for finding in found)
