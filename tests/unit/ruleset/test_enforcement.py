"""What is written for the workers is what they read."""

import msgspec
import pytest

from calicod.model.interface import Interface
from calicod.ruleset.enforcement import Enforcement, decode, encode
from calicod.ruleset.program import IPSet, LocalEndpoint, Program, RuleSet, TierStep

ENFORCEMENT = Enforcement(
    revision=7,
    ruleset=RuleSet(
        node="n",
        ip_sets=(IPSet("nets 10.0.0.0/8", v4=bytes([10, 0, 0, 0, 10, 255, 255, 255])),),
        programs=(Program((TierStep("default", True, ()),), ()),),
        hosts=(LocalEndpoint(type="HostEndpoint", namespace="", name="h", ingress=0, egress=0),),
    ),
    interfaces=(Interface(2, "eth0", (bytes([192, 0, 2, 1]),)),),
)


def test_an_enforcement_survives_its_encoding():
    assert decode(encode(ENFORCEMENT)) == ENFORCEMENT


@pytest.mark.parametrize("data", [b"", b"\xc1", encode(ENFORCEMENT)[:-1]])
def test_a_text_that_is_cut_or_broken_is_refused(data: bytes):
    with pytest.raises(msgspec.DecodeError):
        decode(data)
