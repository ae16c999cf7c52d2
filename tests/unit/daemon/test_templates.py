import json

from calicod.daemon.directory import Directory
from calicod.daemon.templates import Route, Templates, build, text, unknown
from calicod.model.decision import Decision, EndpointReference
from calicod.model.hook import Hook
from tests.unit.daemon.telling import allow, deny, known, rule

ROUTE = Route(Hook.INPUT, "eth0", "", 6)
HOST = EndpointReference("HostEndpoint", "", "h")


def made(decision: Decision, route: Route = ROUTE, directory: Directory | None = None):
    return build(1, decision, route, directory or Directory())


def test_the_parts_are_json():
    template = made(allow())

    assert json.loads(f"{{{template.head[:-1]}}}")["in_interface"] == "eth0"
    assert json.loads(f"{{{template.tail[:-1]}}}")["policy"]["name"] == "web"


def test_a_rule_is_the_same_wherever_it_is_written_now():
    assert made(allow(rule(line=1))).rule == made(allow(rule(line=2))).rule


def test_a_rule_that_says_something_else_is_another():
    rules = {made(d).rule for d in (allow(), deny(), deny(rule()), allow(rule("web", 1)), allow(policy=None))}

    assert len(rules) == 5


def test_a_path_is_hook_and_interfaces():
    routes = (ROUTE, Route(Hook.OUTPUT, "eth0", "", 6), Route(Hook.INPUT, "eth1", "", 6), Route(Hook.INPUT, "", "a", 6))

    assert len({made(allow(), route).path for route in routes}) == 4
    assert made(allow()).path == made(deny(), Route(Hook.INPUT, "eth0", "", 17)).path


def test_the_host_endpoint_owns_the_side_it_judges_of_local_traffic_only():
    directory = Directory([known("HostEndpoint", "", "h", role="node")])
    incoming = made(allow(endpoint=HOST), directory=directory)
    outgoing = made(allow(endpoint=HOST, reporter="src"), Route(Hook.OUTPUT, "", "eth0", 6), directory)
    forwarded = made(allow(endpoint=HOST), Route(Hook.FORWARD, "eth0", "eth1", 6), directory)

    assert (incoming.src, json.loads(incoming.dst)["labels"]) == (None, {"role": "node"})
    assert (json.loads(outgoing.src)["name"], outgoing.dst) == ("h", None)
    assert (forwarded.src, forwarded.dst) == (None, None)


def test_what_was_allowed_by_nobody_knows_what_says_so():
    template = unknown(6)

    assert (template.allow, template.policy, template.reporter, template.hits) == (True, "null", "null", None)
    assert '"reason":null,"hook":null' in template.head


def test_templates_are_found_by_number_and_numbers_are_not_used_twice():
    templates = Templates(lambda: ())
    first = templates.add("a", allow(), ROUTE, Directory())
    second = templates.add("b", deny(), ROUTE, Directory())

    assert (templates.get(first.id), templates.get(second.id), templates.get(0)) == (first, second, None)
    assert templates.cache == {"a": first, "b": second}


def test_a_new_directory_forgets_the_encoded_names_but_not_what_flows_refer_to():
    templates = Templates(lambda: ())
    first = templates.add("a", allow(), ROUTE, Directory())

    templates.clear()

    assert templates.cache == {}
    assert templates.get(first.id) is first


def test_memory_is_bounded_and_what_flows_refer_to_goes_last():
    used = [3]
    templates = Templates(lambda: used, limit=10)

    for number in range(200):
        templates.add(number, allow(rule("web", number)), ROUTE, Directory())
        assert len(templates._by_id) <= 10
        assert set(templates.cache.values()) <= set(templates._by_id.values())

    assert templates.get(3) is not None


def test_text_that_is_not_unicode_is_shown_with_backslashes():
    assert text("a\udcffb") == '"a\\\\udcffb"'
