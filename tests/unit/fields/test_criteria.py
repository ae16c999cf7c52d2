import msgspec
import pytest

from calicod.fields.criteria import BOTH_FAMILIES, FAMILY_4, FAMILY_6, CompiledRule, IPSet, PortMatch
from calicod.model.action import Action
from tests.build import ip_set, port_set, ports, rule


def test_a_rule_with_an_action_only_has_no_criteria():
    bare = CompiledRule(action=Action.ALLOW, index=0)
    criteria = {
        name: getattr(bare, name) for name in bare.__struct_fields__ if name not in {"action", "index", "place"}
    }

    assert criteria.pop("families") == BOTH_FAMILIES == FAMILY_4 | FAMILY_6
    assert set(criteria.values()) == {None, ()}


@pytest.mark.parametrize(
    "value",
    [ip_set("10.0.0.0/8", "fd00::/8"), port_set(("10.0.0.1", 6, 80)), ports(80, (90, 99), named=(1,)), rule("Log")],
)
def test_criteria_are_values_that_survive_their_message(value: IPSet | PortMatch | CompiledRule):
    again = msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=type(value))

    assert again == value
    assert hash(again) == hash(value)
