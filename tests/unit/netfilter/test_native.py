"""Rules of nftables that take our queues or our marks, as nft shows them in JSON."""

import json

import pytest

from calicod.model.steering import Steering
from calicod.netfilter.native import Finding, Place, find

STEERING = Steering(generation=1, queue_base=5200, workers=2)
META, CT = {"meta": {"key": "mark"}}, {"ct": {"key": "mark"}}
PLACE = ("inet", "others", "c")


def mangle(key: object, value: object) -> dict[str, object]:
    return {"mangle": {"key": key, "value": value}}


def kernel(*rules: tuple[tuple[str, str, str], object], hook: str = "output", priority: int = -150) -> str:
    """What nft shows of these rules and of a base chain `c`."""
    base = {"family": "inet", "table": "others", "name": "c", "hook": hook, "prio": priority, "type": "filter"}
    items: list[object] = [{"metainfo": {}}, {"table": {"family": "inet", "name": "others"}}, {"chain": base}]
    items.append({"chain": {"family": "inet", "table": "others", "name": "sub"}})
    items.append(
        {"map": {"family": "inet", "table": "others", "name": "vm", "elem": [["1.2.3.4", {"jump": {"target": "sub"}}]]}}
    )
    for number, ((family, table, chain), expression) in enumerate(rules):
        place = {"family": family, "table": table, "chain": chain, "handle": 5 + number}
        items.append({"rule": place | {"expr": [{"counter": {"packets": 0, "bytes": 0}}, expression]}})
    return json.dumps({"nftables": items})


def findings(expression: object, **where: object) -> tuple[Finding, ...]:
    return tuple(find(kernel((PLACE, expression), **where), STEERING))


@pytest.mark.parametrize(
    "expression",
    [
        {"queue": {"num": 5200}},
        {"queue": {"num": 5203, "flags": "bypass"}},
        {"queue": {"num": {"range": [5100, 5200]}}},
        {"queue": {"num": {"numgen": {"mode": "inc", "mod": 4, "offset": 5197}}}},
        {"queue": {"num": {"jhash": {"mod": 65536, "expr": META}}}},
        {"queue": {"num": {"symhash": {"mod": 2, "offset": 5203}}}},
        {"queue": {"num": {"map": {"key": META, "data": "@queues"}}}},
        mangle(META, 0x10000000),
        mangle(META, {"|": [META, 0x80000000]}),
        mangle(META, {"^": [META, 0x20000000]}),
        mangle(META, {"|": [{"&": [META, 0xFF]}, 0x40000000]}),
        mangle(META, {"map": {"key": {"meta": {"key": "iifname"}}, "data": {"set": [["a", 1], ["b", 0x10000000]]}}}),
        mangle(META, {"map": {"key": {"meta": {"key": "iifname"}}, "data": "@marks"}}),
        mangle(META, {"numgen": {"mode": "random", "mod": 0x20000000}}),
        mangle(META, {"socket": {"key": "mark"}}),
        mangle(CT, 0x100),
        mangle(CT, {"|": [CT, 0x00010000]}),
        mangle(CT, {"<<": [META, 8]}),
        mangle(CT, META),
        mangle(CT, {"&": [META, 0x100]}),
        mangle(CT, {"&": [META, 0x10000000]}),
    ],
)
def test_a_rule_that_takes_or_forges_what_is_ours_is_fatal(expression: object) -> None:
    (finding,) = findings(expression)

    assert finding.fatal
    assert finding.place == Place(*PLACE, 5)


@pytest.mark.parametrize(
    ("expression", "hook"),
    [
        (mangle(CT, 0x80), "prerouting"),
        (mangle(CT, META), "prerouting"),
        (mangle(CT, META), "forward"),
        (mangle(CT, {"&": [CT, 0xFF]}), "output"),
        (mangle(CT, {"&": [META, 0xFF]}), "output"),
    ],
)
def test_a_rule_that_erases_our_stamps_is_told(expression: object, hook: str) -> None:
    (finding,) = findings(expression, hook=hook)

    assert not finding.fatal
    assert "judged again" in finding.why


def test_a_flow_table_is_told() -> None:
    (finding,) = findings({"flow": {"op": "add", "flowtable": "@ft"}}, hook="forward")

    assert not finding.fatal
    assert "a change of policy does not cut them" in finding.why


@pytest.mark.parametrize(
    "expression",
    [
        {"queue": {"num": 5199}},
        {"queue": {"num": {"range": [5204, 5300]}}},
        {"queue": {"num": {"jhash": {"mod": 4, "offset": 5204, "expr": META}}}},
        {"queue": None},
        mangle(META, 0x4000),
        mangle(META, CT),
        mangle(META, {"&": [{"|": [META, 0x10000000]}, 0xFF]}),
        mangle(META, {"map": {"key": {"meta": {"key": "iifname"}}, "data": {"set": [["a", 1], ["b", 2]]}}}),
        mangle(META, {"jhash": {"mod": 16, "expr": META}}),
        mangle({"meta": {"key": "priority"}}, "1:2"),
        mangle(CT, {"|": [CT, 0x80]}),
        {"match": {"op": "==", "left": META, "right": 0x10000000}},
        {"xt": {"type": "target", "name": "NFQUEUE"}},
        {"accept": None},
    ],
)
def test_a_rule_that_keeps_to_its_own_is_no_clash(expression: object) -> None:
    assert findings(expression) == ()


def test_our_own_rules_clash_with_nothing() -> None:
    own = ("inet", "calicod", "ipv4-filter-queue"), ("ip", "filter", "calicod-queue")

    assert tuple(find(kernel(*((place, {"queue": {"num": 5200}}) for place in own)), STEERING)) == ()


@pytest.mark.parametrize(
    "way",
    [
        {"jump": {"target": "sub"}},
        {"goto": {"target": "sub"}},
        {"vmap": {"key": META, "data": {"set": [[1, {"accept": None}], [2, {"goto": {"target": "sub"}}]]}}},
        {"vmap": {"key": META, "data": "@vm"}},
    ],
)
def test_a_chain_that_what_leaves_comes_to_may_forge(way: object) -> None:
    saving = (("inet", "others", "sub"), mangle(CT, META))

    (finding,) = find(kernel((PLACE, way), saving), STEERING)
    assert finding.fatal
    (finding,) = find(kernel((PLACE, way), saving, hook="input"), STEERING)
    assert not finding.fatal
    (finding,) = find(kernel((PLACE, {"accept": None}), saving), STEERING)
    assert not finding.fatal


def test_before_conntrack_no_mark_can_be_saved() -> None:
    (finding,) = findings(mangle(CT, META), priority=-300)

    assert not finding.fatal
