"""What must hold of the rules for any Steering, read as the graph that a packet walks."""

import re

from hypothesis import given
from hypothesis import strategies as st

from calicod.model.marks import FAILSAFE_ID, gather, layout
from calicod.model.network import Network
from calicod.model.steering import FailsafePort, ForwardingWorkload, Nic, Steering
from calicod.netfilter.chains import tables
from calicod.netfilter.inet import chains
from calicod.netfilter.table import LONGEST_NAME, PREFIX, Table, fill, parse_save, target_of
from calicod.netfilter.translation import ALL_BITS, chain_name, translate

TARGETS = {"RETURN", "DROP", "CT", "MARK", "CONNMARK", "NFQUEUE", "REJECT"}
XMARK = re.compile(r"-j (MARK|CONNMARK) --set-xmark (\S+)/(\S+)")
QUEUES = re.compile(r"--queue-(?:num|balance) (\d+)(?::(\d+))?")
SET_MARK = re.compile(r"(meta mark|ct mark) set \1(?: & (0x[0-9a-f]+))?(?: \| (0x[0-9a-f]+))?")
VERDICT = re.compile(r"\b(?:jump|goto) (\S+)")
LAYOUTS = st.sampled_from([layout(), layout(0xF, 0x3FFF0), layout(0x0F00_0000, 0x00FF_FFFF)])
NETWORKS = st.one_of(
    st.builds(lambda n: Network(bytes([10, n, 0, 0]), 16), st.integers(0, 255)),
    st.builds(lambda n: Network(bytes([253, n, *bytes(14)]), 16), st.integers(0, 255)),
)
FAILSAFES = st.lists(
    st.builds(FailsafePort, st.sampled_from([6, 17]), st.integers(0, 65535), st.none() | NETWORKS), max_size=4
).map(tuple)


STAGES = ("forward", "untracked_in", "untracked_out", "prednat")


def NICS(name: str, number: int) -> st.SearchStrategy[Nic]:  # noqa: N802  a strategy, as those above
    stages = st.fixed_dictionaries({stage: st.booleans() for stage in STAGES})
    return st.just(Nic(name, number, managed=False)) | stages.map(
        lambda given: Nic(name, number, managed=True, **given)
    )


@st.composite
def steerings(draw: st.DrawFn) -> Steering:
    names = draw(st.lists(st.sampled_from(["eth0", "eth1", "cali-host", "wg0", "br-lan"]), unique=True))
    workloads = draw(st.lists(st.sampled_from(["caliw1", "caliw2", "veth9"]), unique=True))
    return Steering(
        generation=draw(st.integers(1, 1023)),
        nics=tuple(draw(NICS(name, 3 + n)) for n, name in enumerate(names)),
        wildcard_host=(wildcard := draw(st.booleans())),
        wildcard_forward=wildcard and draw(st.booleans()),
        loopback=draw(st.sampled_from([None, 1, 9])),
        loopback_untracked=draw(st.booleans()),
        wildcard_prednat=wildcard and draw(st.booleans()),
        workload_prefixes=tuple(draw(st.lists(st.sampled_from(["cali", "tap"]), unique=True))),
        forwarding_workloads=tuple(
            ForwardingWorkload(name, 20 + n, tuple(draw(st.lists(NETWORKS, max_size=3))))
            for n, name in enumerate(workloads)
        ),
        failsafe_inbound=draw(FAILSAFES),
        failsafe_outbound=draw(FAILSAFES),
        drop_invalid=draw(st.booleans()),
        queue_base=draw(st.integers(0, 65000)),
        workers=draw(st.integers(1, 64)),
        fail_open=draw(st.booleans()),
        answers=draw(st.booleans()),
        marks=draw(LAYOUTS),
    )


FAMILIES = st.sampled_from([4, 6])


def every_rule(made: tuple[Table, ...]) -> list[tuple[str, str]]:
    return [(chain.name, rule) for table in made for chain in table.chains for rule in chain.rules]


@given(steerings(), FAMILIES)
def test_every_name_is_ours_and_every_target_exists(steering: Steering, family: int) -> None:
    for table in tables(steering, family):
        names = [chain.name for chain in table.chains]
        assert len(set(names)) == len(names)
        assert all(name.startswith(PREFIX) and len(name) <= LONGEST_NAME for name in names)
        targets = {target_of(rule) for chain in table.chains for rule in chain.rules}
        assert targets <= TARGETS | set(names)
        assert {jump.chain for jump in table.jumps} <= set(names)


@given(steerings(), FAMILIES)
def test_no_packet_can_walk_in_a_circle(steering: Steering, family: int) -> None:
    for table in tables(steering, family):
        graph = {c.name: {target_of(rule) for rule in c.rules} for c in table.chains}
        while graph:
            ends = {name for name, targets in graph.items() if not targets & graph.keys()}
            assert ends, f"a circle among {sorted(graph)}"
            graph = {name: targets for name, targets in graph.items() if name not in ends}


@given(steerings(), FAMILIES)
def test_only_bits_of_ours_are_written(steering: Steering, family: int) -> None:
    ours = {"MARK": steering.marks.packet_mask, "CONNMARK": steering.marks.connection_mask}
    for _, rule in every_rule(tables(steering, family)):
        for target, value, mask in XMARK.findall(rule):
            assert int(mask, 16) | ours[target] == ours[target]
            assert int(value, 16) | int(mask, 16) == int(mask, 16)


@given(steerings(), FAMILIES)
def test_every_stamp_bears_the_generation_and_only_failsafes_lack_the_stage(steering: Steering, family: int) -> None:
    marks = steering.marks
    for chain, rule in every_rule(tables(steering, family)):
        for target, value, mask in XMARK.findall(rule):
            stamp = int(value, 16)
            if target == "CONNMARK" and stamp and not int(mask, 16) & marks.interface:
                assert not int(mask, 16) & marks.generation
                assert "-m connmark --mark " in rule or chain == f"{PREFIX}pre-add"
            elif target == "CONNMARK" and stamp:
                assert gather(stamp, marks.generation) == steering.generation & (
                    (1 << marks.generation.bit_count()) - 1
                )
                failsafe = gather(stamp, marks.interface) == FAILSAFE_ID
                assert bool(stamp & marks.filter_stage) != (failsafe or chain == f"{PREFIX}pre-stamp")
                assert failsafe == (chain == f"{PREFIX}failsafe")


@given(steerings(), FAMILIES)
def test_failsafes_are_reached_from_host_interfaces_only(steering: Steering, family: int) -> None:
    patterns = {f"{prefix}+" for prefix in steering.workload_prefixes}
    patterns |= {workload.name for workload in steering.forwarding_workloads}
    host_chains = {f"{PREFIX}in-host"} | {
        f"{PREFIX}{way}-{whom}" for way in ("out", "post") for whom in ("host", "itself")
    }
    for chain, rule in every_rule(tables(steering, family)):
        if target_of(rule) == f"{PREFIX}failsafe":
            assert chain in host_chains
        if target_of(rule) in host_chains:
            assert not any(f"-{side} {pattern} " in rule for side in "io" for pattern in patterns)


@given(steerings(), FAMILIES)
def test_both_ranges_of_queues_are_the_workers_own(steering: Steering, family: int) -> None:
    found = set()
    for _, rule in every_rule(tables(steering, family)):
        for first, last in QUEUES.findall(rule):
            found |= set(range(int(first), int(last or first) + 1))
    wanted = {queue for worker in range(steering.workers) for queue in steering.queues(worker)}

    assert found in (wanted, set())


@given(steerings(), FAMILIES)
def test_addresses_are_of_the_family(steering: Steering, family: int) -> None:
    for _, rule in every_rule(tables(steering, family)):
        for address in re.findall(r"-[sd] (\S+)", rule):
            assert (":" in address) == (family == 6)


@given(steerings(), FAMILIES)
def test_the_text_is_read_back_as_what_was_meant(steering: Steering, family: int) -> None:
    for table in tables(steering, family):
        saved = parse_save(fill(table, {}))[table.name]
        assert {name: chain.rules for name, chain in saved.items()} == {c.name: c.rules for c in table.chains}


@given(steerings())
def test_every_rule_has_a_translation_for_nft(steering: Steering) -> None:
    made = {chain.name: chain for chain in chains(steering)}
    for family in (4, 6):
        for table in tables(steering, family):
            for chain in table.chains:
                translated = [text for rule in chain.rules for text in translate(rule, table.name, family)]
                assert list(made[chain_name(chain.name, table.name, family)].rules) == translated


@given(steerings())
def test_nft_writes_only_bits_of_ours_too(steering: Steering) -> None:
    ours = {"meta mark": steering.marks.packet_mask, "ct mark": steering.marks.connection_mask}
    for chain in chains(steering):
        for key, kept, value in (found for rule in chain.rules for found in SET_MARK.findall(rule)):
            cleared = ALL_BITS & ~int(kept, 16) if kept else 0
            assert cleared | ours[key] == ours[key]
            assert int(value or "0", 16) | ours[key] == ours[key]


@given(steerings())
def test_every_chain_that_nft_is_sent_to_exists(steering: Steering) -> None:
    made = chains(steering)
    targets = {target for chain in made for rule in chain.rules for target in VERDICT.findall(rule)}

    assert targets <= {chain.name for chain in made}


@given(steerings(), st.integers(1, 1023), FAMILIES)
def test_a_generation_changes_mangle_and_filter_alone(steering: Steering, generation: int, family: int) -> None:
    other = Steering(**{f: getattr(steering, f) for f in steering.__struct_fields__} | {"generation": generation})

    assert [table.name for table in tables(steering, family)] == ["raw", "mangle", "filter"]
    assert tables(steering, family)[0] == tables(other, family)[0]
