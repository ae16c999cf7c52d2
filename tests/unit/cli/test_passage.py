import pytest

from calicod.cli.judging import Judging, compiled, written
from calicod.cli.passage import Given, Passage, node_for, passage
from calicod.model.hook import Hook
from calicod.model.interface import Interface
from calicod.model.network import parse_address
from tests.unit.cli.offline import resources

WEB, FRONT, BACK, HOST, AWAY = "10.65.0.1", "10.65.0.2", "10.65.1.3", "192.0.2.1", "198.51.100.1"
NICS = (
    Interface(1, "lo", (parse_address("127.0.0.1"),)),
    Interface(2, "eth0"),
    Interface(3, "eth1", (parse_address("203.0.113.1"),)),
)


def given(src: str, dst: str, hook: Hook | None = None, entering: str = "", leaving: str = "") -> Given:
    return Given(
        src=parse_address(src), dst=parse_address(dst), hook=hook, in_interface=entering, out_interface=leaving
    )


def judging(folder: str, node: str | None = None, *, cluster: bool = False) -> Judging:
    return Judging((folder,), node, cluster, NICS)


def way(folder: str, packet: Given) -> Passage:
    chosen = judging(folder, "n1")
    return passage(chosen, compiled(written(chosen), "n1"), packet)


@pytest.mark.parametrize(
    ("src", "dst", "hook", "entering", "leaving"),
    [
        (FRONT, WEB, Hook.FORWARD, "califront", "caliweb"),
        (AWAY, WEB, Hook.FORWARD, "eth0", "caliweb"),
        (WEB, AWAY, Hook.FORWARD, "caliweb", "eth0"),
        (WEB, BACK, Hook.FORWARD, "caliweb", "eth0"),
        (WEB, HOST, Hook.INPUT, "caliweb", ""),
        (AWAY, HOST, Hook.INPUT, "eth0", ""),
        (AWAY, "203.0.113.1", Hook.INPUT, "eth1", ""),
        (HOST, AWAY, Hook.OUTPUT, "", "eth0"),
        ("203.0.113.1", AWAY, Hook.OUTPUT, "", "eth1"),
        (HOST, WEB, Hook.OUTPUT, "", "caliweb"),
        (HOST, "203.0.113.1", Hook.OUTPUT, "", "lo"),
        (AWAY, BACK, None, "", ""),
    ],
)
def test_the_addresses_say_where_a_packet_passes(tmp_path, src, dst, hook, entering, leaving):
    found = way(resources(tmp_path), given(src, dst))

    assert (found.hook, found.in_interface, found.out_interface) == (hook, entering, leaving)
    assert len(found.assumed) == 1


@pytest.mark.parametrize(
    ("packet", "hook", "entering", "leaving"),
    [
        (given(AWAY, AWAY, entering="eth9"), Hook.INPUT, "eth9", ""),
        (given(AWAY, AWAY, leaving="eth9"), Hook.OUTPUT, "", "eth9"),
        (given(AWAY, AWAY, entering="eth9", leaving="caliweb"), Hook.FORWARD, "eth9", "caliweb"),
        (given(AWAY, WEB, entering="eth9"), Hook.FORWARD, "eth9", "caliweb"),
        (given(FRONT, WEB, Hook.INPUT), Hook.INPUT, "califront", ""),
        (given(FRONT, WEB, Hook.OUTPUT, entering="eth9"), Hook.OUTPUT, "", "caliweb"),
    ],
)
def test_what_was_given_is_not_changed(tmp_path, packet, hook, entering, leaving):
    found = way(resources(tmp_path), packet)

    assert (found.hook, found.in_interface, found.out_interface) == (hook, entering, leaving)


def test_nothing_is_assumed_when_all_is_given(tmp_path):
    assert way(resources(tmp_path), given(AWAY, WEB, Hook.FORWARD, "eth0", "caliweb")).assumed == ()


def test_what_is_assumed_is_said_with_the_reason(tmp_path):
    (said,) = way(resources(tmp_path), given(AWAY, WEB)).assumed

    owner = "WorkloadEndpoint shop/n1-k8s-web-eth0"
    assert said == f"hook forward, in eth0, out caliweb: {AWAY} is not of this node, {WEB} is {owner}"


@pytest.mark.parametrize(
    ("packet", "node", "said"),
    [
        (given(AWAY, WEB), "n1", "node n1: an endpoint"),
        (given(BACK, AWAY), "n2", "node n2: an endpoint"),
        (given(AWAY, HOST), "n1", "node n1: an endpoint"),
        (given(BACK, WEB), None, "the addresses are on the nodes n1 and n2"),
        (given(BACK, WEB, Hook.FORWARD), "here", "node here: it is this host's name"),
    ],
)
def test_the_node_is_that_of_the_endpoints(tmp_path, monkeypatch, packet, node, said):
    monkeypatch.setattr("socket.gethostname", lambda: "here")
    chosen = judging(resources(tmp_path))

    found, assumed = node_for(chosen, written(chosen), packet)

    assert found == node
    assert said in assumed[0]


def test_a_node_that_was_named_or_the_cluster_is_taken_as_it_is(tmp_path):
    folder = resources(tmp_path)
    named, cluster = judging(folder, "n2"), judging(folder, "n2", cluster=True)

    assert node_for(named, written(named), given(AWAY, WEB)) == ("n2", ())
    assert node_for(cluster, written(cluster), given(AWAY, WEB)) == (None, ())


def test_a_single_node_is_the_one_that_is_meant(tmp_path):
    folder = resources(tmp_path)
    path = tmp_path / "all.yaml"
    path.write_text(path.read_text().replace("node: n2", "node: n1"))
    chosen = judging(folder)

    assert node_for(chosen, written(chosen), given(AWAY, AWAY)) == ("n1", ("node n1: every endpoint is there",))


@pytest.mark.parametrize(
    ("hook", "src", "dst", "entering", "leaving"),
    [
        (Hook.PREROUTING, AWAY, HOST, "eth0", ""),
        (Hook.RAW_PREROUTING, AWAY, HOST, "eth0", ""),
        (Hook.RAW_OUTPUT, HOST, AWAY, "", "eth0"),
    ],
)
def test_an_early_hook_has_only_the_interface_that_is_known_there(tmp_path, hook, src, dst, entering, leaving):
    found = way(resources(tmp_path), given(src, dst, hook))

    assert (found.hook, found.in_interface, found.out_interface) == (hook, entering, leaving)
