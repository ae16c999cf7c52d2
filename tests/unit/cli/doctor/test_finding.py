from msgspec.structs import replace

from calicod.cli.doctor.finding import fail, ok, warn


def test_a_finding_is_one_line_with_its_mend():
    assert str(replace(warn("the table is small", "enlarge it"), check="conntrack")) == (
        "warn  conntrack: the table is small -> enlarge it"
    )


def test_what_is_ok_needs_no_mend():
    assert str(replace(ok("all is well"), check="kernel")) == "ok    kernel: all is well"


def test_states_are_told_apart():
    assert [finding.state for finding in (ok(""), warn("", ""), fail("", ""))] == ["ok", "warn", "fail"]


def test_an_interface_of_any_name_steers_no_terminal():
    assert str(warn("c\x1b]0;x is", "rename it")).endswith("c\\x1b]0;x is -> rename it")
