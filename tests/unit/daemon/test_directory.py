import msgspec
import pytest

from calicod.daemon import directory
from calicod.daemon.directory import Directory, Prefixes
from calicod.model.event import Party
from calicod.ruleset.program import KnownNetwork
from tests.unit.daemon.telling import known, packed


def party(made: Directory, address: str, namespace: str = "") -> Party:
    text, owner = made.find(packed(address), made.view(namespace))
    assert msgspec.json.decode(text) == address
    return msgspec.json.decode(owner, type=Party)


def name(made: Directory, address: str, namespace: str = "") -> str:
    return party(made, address, namespace).name


def test_endpoints_come_before_sets_even_when_a_set_is_narrower():
    made = Directory([known("NetworkSet", "", "s", "10.0.0.1/32"), known("WorkloadEndpoint", "a", "w", "10.0.0.0/24")])

    assert party(made, "10.0.0.1") == Party("WorkloadEndpoint", "a", "w")


def test_the_longest_prefix_wins_among_endpoints():
    made = Directory(
        [known("HostEndpoint", "", "h", "10.0.0.0/24"), known("WorkloadEndpoint", "a", "w", "10.0.0.1/32")]
    )

    assert (name(made, "10.0.0.1"), name(made, "10.0.0.2")) == ("w", "h")


def test_a_workload_comes_before_a_host_endpoint_of_the_same_address():
    made = Directory(
        [known("HostEndpoint", "", "h", "10.0.0.1/32"), known("WorkloadEndpoint", "z", "w", "10.0.0.1/32")]
    )

    assert name(made, "10.0.0.1") == "w"


def test_among_sets_the_endpoints_own_namespace_comes_first_then_global_ones_then_others():
    made = Directory(
        [
            known("NetworkSet", "a", "of-a", "10.0.0.0/8"),
            known("NetworkSet", "", "global", "10.0.0.0/16"),
            known("NetworkSet", "b", "of-b", "10.0.0.0/24"),
            known("NetworkSet", "c", "of-c", "11.0.0.0/24"),
        ]
    )

    assert [name(made, "10.0.0.1", namespace) for namespace in ("a", "b", "", "other")] == [
        "of-a",
        "of-b",
        "global",
        "global",
    ]
    assert [name(made, "11.0.0.1", namespace) for namespace in ("a", "", "c")] == ["of-c"] * 3


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("10.255.0.1", "pvt"),
        ("172.16.0.1", "pvt"),
        ("172.31.255.255", "pvt"),
        ("192.168.3.4", "pvt"),
        ("172.32.0.1", "pub"),
        ("192.169.0.1", "pub"),
        ("8.8.8.8", "pub"),
        ("fd00::1", "pub"),
        ("2001:db8::1", "pub"),
    ],
)
def test_what_nobody_owns_is_a_network_private_as_calico_says(address, expected):
    assert party(Directory(), address) == Party("Network", "", expected)


def test_both_families_are_kept_apart():
    made = Directory([known("NetworkSet", "", "v6", "::/0"), known("NetworkSet", "", "v4", "0.0.0.0/0")])

    assert (name(made, "a00::"), name(made, "10.0.0.0")) == ("v6", "v4")


def test_no_address_is_nobody():
    made = Directory()

    assert made.find(b"", made.view("")) == ("null", "null")


def test_what_was_found_is_remembered_for_all_namespaces_without_sets_of_their_own():
    made = Directory([known("NetworkSet", "a", "of-a", "10.0.0.0/8")])

    found = made.find(packed("10.0.0.1"), made.view("b"))

    assert made.view("c").memo[packed("10.0.0.1")] is found
    assert made.view("a").memo == {}


def test_memory_of_answers_is_bounded(monkeypatch):
    monkeypatch.setattr(directory, "MEMO_LIMIT", 10)
    made = Directory([known("NetworkSet", "a", "of-a", "10.0.0.0/8")])
    views = made.view("a"), made.view("b")

    for number in range(100):
        made.find(number.to_bytes(4), views[number % 2])
        assert sum(len(view.memo) for view in views) <= 10


def test_labels_of_any_content_are_shown():
    made = Directory([known("WorkloadEndpoint", "a", "w", "10.0.0.1/32", key='"\n\ud800')])

    assert party(made, "10.0.0.1").labels == {"key": '"\n\\ud800'}


def test_an_endpoint_is_found_by_name_and_invented_without_labels_when_it_is_not_known():
    made = Directory([known("HostEndpoint", "", "h", role="node")])

    parties = [msgspec.json.decode(made.named("HostEndpoint", "", each), type=Party) for each in ("h", "gone")]

    assert parties == [Party("HostEndpoint", "", "h", {"role": "node"}), Party("HostEndpoint", "", "gone")]


def test_the_first_keeps_a_prefix_that_two_claim():
    one, two = known("NetworkSet", "", "one", "10.0.0.0/8"), known("NetworkSet", "", "two", "10.0.0.0/8")

    ((shift, table),) = Prefixes([one, two]).steps(4)

    assert (shift, table) == (24, {10: one})
    assert isinstance(table[10], KnownNetwork)
