import msgspec
import pytest

from calicod.cli.demo.cases import PACKAGE, Flow, examples, families, introduction, load_case, load_cases
from calicod.errors import CalicodError

FLOW = {"from": "a", "to": "b", "protocol": "tcp", "port": 80, "verdict": "deny", "reason": "no-profile"}


def example(folder, *lines, name="07-a-title", policy="# Case 7: why.\n"):
    case = folder / name
    case.mkdir(parents=True)
    (case / "policy.yaml").write_text(policy)
    (case / "traffic.jsonl").write_bytes(b"\n".join(msgspec.json.encode(line) for line in lines))
    return case


def flow(**given):
    return msgspec.convert({**FLOW, **given}, Flow)


def test_a_flow_without_a_family_is_tried_over_both():
    assert [(one.source, one.family) for one in families([flow()])] == [("a", 4), ("a", 6)]


def test_a_flow_with_a_family_is_tried_over_that_one_only():
    assert [one.family for one in families([flow(family=6)])] == [6]


@pytest.mark.parametrize(
    ("protocol", "family", "number"), [("tcp", 4, 6), ("icmp", 4, 1), ("icmp", 6, 58), ("sctp", 6, 132)]
)
def test_ping_is_another_protocol_in_each_family(protocol, family, number):
    assert flow(protocol=protocol, family=family).number == number


def test_what_the_kernel_never_brings_up_is_not_told():
    assert not flow(reason="no-endpoint").told
    assert flow(reason="no-profile").told


def test_a_flow_reads_as_who_to_whom_and_what():
    assert str(flow(family=6)) == "a → b tcp 80 over IPv6"
    assert str(flow(protocol="icmp", port=0)) == "a → b icmp over IPv4 and 6"


def test_an_example_has_its_number_its_introduction_and_its_flows(tmp_path):
    case = load_case(example(tmp_path, FLOW))

    assert (case.number, case.name, case.text) == (7, "07-a-title", "Case 7: why.")
    assert case.flows == (flow(family=4), flow(family=6))


def test_an_introduction_ends_with_its_paragraph():
    assert introduction("# One\n# two.\n#\n# Three.\n") == "One two."


@pytest.mark.parametrize(
    "wrong", [{"verdict": "drop"}, {"colour": "red"}, {"port": "80"}, {"family": 5}, {"protocol": "quic"}]
)
def test_a_line_that_is_no_flow_is_told_with_its_place(tmp_path, wrong):
    folder = example(tmp_path, FLOW, {**FLOW, **wrong})

    with pytest.raises(CalicodError, match=r"K080 .*/07-a-title/traffic.jsonl:2: "):
        load_case(folder)


def test_cases_come_in_the_order_of_their_numbers(tmp_path):
    example(tmp_path, FLOW, name="10-b")
    example(tmp_path, FLOW, name="09-c")
    (tmp_path / "11-without-traffic").mkdir()

    assert [case.number for case in load_cases(tmp_path)] == [9, 10]


def test_a_folder_without_examples_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(CalicodError, match=r"an example is NN-title/traffic\.jsonl") as caught:
        load_cases(tmp_path)

    assert (caught.value.code, caught.value.exit_code) == ("K080", 2)


def test_the_examples_of_a_checkout_are_those_beside_the_package():
    assert examples() == PACKAGE.parent / "examples"
    assert (examples() / "01-allow-within-namespace" / "policy.yaml").is_file()


def test_a_package_without_examples_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(CalicodError, match=r"K080 the examples are not installed\n  hint: .*--examples DIR"):
        examples(tmp_path)
