import subprocess
import sys

from calicod.daemon.flows import TEMPLATE_LIMIT, UNKNOWN, FlowNames, Memory, icmp_ends, pack, unpack

ENDS = (b"\n\0\0\1", b"\n\0\0\2", 40001, 80, 6)


def test_a_flow_is_two_numbers_in_one():
    assert unpack(pack(1_790_000_000, TEMPLATE_LIMIT)) == (1_790_000_000, TEMPLATE_LIMIT)


def test_a_name_depends_on_node_start_protocol_and_both_ends():
    names = {
        FlowNames(node).name(ends, start)
        for node in ("n1", "n2")
        for start in (1, 2)
        for ends in (ENDS, (*ENDS[:4], 17), (*ENDS[:3], 81, 6), (ENDS[1], ENDS[0], *ENDS[2:]), (*ENDS[:2], -1, -1, 6))
    }

    assert len(names) == 20


def test_another_process_gives_the_same_name():
    code = f"from calicod.daemon.flows import FlowNames; print(FlowNames('n1').name({ENDS!r}, 7))"

    other = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30)

    assert other.stdout.strip() == FlowNames("n1").name(ENDS, 7)


def test_a_flow_whose_start_is_not_known_has_no_name():
    assert FlowNames("n1").name(ENDS, UNKNOWN) is None


def test_icmp_flows_differ_by_identifier_type_and_code():
    src, dst = ENDS[:2]
    ends = {icmp_ends(src, dst, *numbers, 1) for numbers in ((1, 8, 0), (2, 8, 0), (1, 13, 0), (1, 8, 1))}

    assert len({FlowNames("n1").name(each, 7) for each in ends}) == 4


def test_memory_keeps_the_most_recent_half_and_counts_what_it_forgets():
    memory = Memory(10)

    for key in range(23):
        memory.put(key, -key)

    assert all(memory.get(key) == -key for key in range(18, 23))
    assert len(memory) <= 10
    assert memory.take_forgotten() == 23 - len(memory)
    assert memory.take_forgotten() == 0


def test_what_is_put_again_is_not_forgotten():
    memory = Memory(4)

    for key in range(20):
        memory.put(key, key)
        memory.put(99, key)

    assert memory.get(99) == 19
    assert memory.values() >= {19}


def test_what_was_popped_is_gone_from_both_halves_and_not_counted():
    memory = Memory(4)
    for key, value in ((1, 10), (2, 20), (3, 30), (1, 11)):
        memory.put(key, value)

    assert memory.pop(1) == 11
    assert memory.get(1) is None
    assert memory.pop(1) is None
    assert memory.take_forgotten() == 0


def test_what_is_known_already_stays_and_is_returned():
    memory = Memory(4)

    assert [memory.add(1, 10), memory.add(1, 11), memory.get(1)] == [None, 10, 10]


def test_adding_forgets_the_older_half_as_putting_does():
    memory = Memory(4)

    assert [memory.add(key, key) for key in range(5)] == [None] * 5
    assert [memory.get(key) for key in range(5)] == [None, None, 2, 3, 4]
    assert memory.take_forgotten() == 2


def test_many_are_added_together_or_not_at_all():
    memory = Memory(20)
    memory.put(3, 30)

    assert [memory.add_all([1, 2], 7), memory.add_all([4, 3], 8), memory.add_all([5, 5], 9)] == [True, False, False]
    assert [memory.get(key) for key in range(1, 6)] == [7, 7, 30, None, None]


def test_what_is_in_the_older_half_is_known_when_many_are_added():
    memory = Memory(4)
    for key in (1, 2, 3):
        memory.put(key, key)

    assert not memory.add_all([9, 1], 5)
    assert memory.get(9) is None


def test_adding_many_forgets_as_adding_each_does():
    together, singly = Memory(8), Memory(8)
    for first in range(0, 30, 3):
        assert together.add_all([first, first + 1, first + 2], first)
        for key in range(first, first + 3):
            singly.add(key, first)

    assert [together.get(key) for key in range(30)] == [singly.get(key) for key in range(30)]
    assert together.take_forgotten() == singly.take_forgotten() > 0


def test_a_name_ends_in_the_source_port():
    names = {FlowNames("n1").name((*ENDS[:2], port, *ENDS[3:]), 7)[-4:] for port in (0, 0xA, 0xABCD, 65535)}

    assert names == {"0000", "000a", "abcd", "ffff"}
