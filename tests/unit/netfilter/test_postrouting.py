"""What the host sends to a translated destination."""

from calicod.model.marks import LOCAL_ID, TO_WORKLOAD_ID
from calicod.model.steering import Steering
from calicod.netfilter.translation import translate
from tests.unit.netfilter.steered import chain, full, part

MARKS = full().marks
TRANSLATED = "-m conntrack --ctstate DNAT --ctdir ORIGINAL"


def rules(name: str, steering: Steering | None = None) -> tuple[str, ...]:
    """Those of a chain of mangle."""
    return next(c.rules for c in part(steering or full(), "mangle").chains if c.name == f"calicod-{name}")


def test_output_leaves_to_it_what_is_translated_and_marks_it_as_such() -> None:
    assert chain(full(), "out")[0] == f"{TRANSLATED} -g calicod-out-later"
    assert chain(full(), "out-later") == (f"-j MARK --set-xmark {MARKS.prednat:#x}/{MARKS.packet_mask:#x}",)


def test_only_what_output_left_is_judged_here_and_a_verdict_comes_first() -> None:
    assert rules("post") == (f"{TRANSLATED} -g calicod-post-judge",)
    assert rules("post-judge")[:4] == (
        f"-m mark --mark {MARKS.accept:#x}/{MARKS.accept:#x} -g calicod-post-stamp",
        f"-m mark --mark {MARKS.reject:#x}/{MARKS.reject:#x} -j DROP",
        f"-m mark ! --mark {MARKS.prednat:#x}/{MARKS.prednat:#x} -j RETURN",
        f"-j MARK --set-xmark 0x0/{MARKS.packet_mask:#x}",
    )


def test_it_trusts_and_writes_the_ids_of_output() -> None:
    local, free = (MARKS.stamp(2, number) | MARKS.filter_stage for number in (LOCAL_ID, TO_WORKLOAD_ID))

    assert rules("post-sent")[0] == f"-m connmark --mark {local:#x}/0x1ff3f00 -j RETURN"
    assert rules("post-stamp")[-1] == f"-j CONNMARK --set-xmark {local:#x}/{MARKS.connection_mask:#x}"
    assert rules("post-work")[-1] == f"-j CONNMARK --set-xmark {free:#x}/{MARKS.connection_mask:#x}"
    assert rules("post-looped")[-1] == "-o lo -g calicod-post-itself"


def test_failsafes_of_the_host_pass_by_the_port_behind_the_translation() -> None:
    assert "-p udp -m udp --dport 53 -g calicod-failsafe" in rules("post-host")
    assert rules("failsafe") == chain(full(), "failsafe")


def test_where_nothing_is_managed_nothing_is_judged() -> None:
    idle = Steering(generation=2)

    assert {rules(name, idle) for name in ("post", "post-judge", "post-queue")} == {()}


def test_nft_knows_the_translation_as_a_bit_of_the_status() -> None:
    assert translate(f"{TRANSLATED} -j RETURN", "mangle", 4) == ("ct status dnat ct direction original return",)
