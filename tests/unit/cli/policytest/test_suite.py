from calicod.cli.policytest.suite import ABSENT, Expectation, Flow, Suite


def test_a_flow_has_only_what_was_written():
    flow = Flow(src="a", dst="b")

    assert (flow.protocol, flow.family, flow.dport, flow.icmp_type, flow.hook) == ("tcp", None, ABSENT, ABSENT, None)


def test_without_a_node_a_suite_is_about_the_whole_cluster():
    assert Suite(file="x").node is None


def test_nothing_is_expected_unless_it_is_written():
    assert Expectation() == Expectation(verdict=None, reason=None, policy=None, pending=None)
