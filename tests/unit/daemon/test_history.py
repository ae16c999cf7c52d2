from calicod.daemon.directory import Directory
from calicod.daemon.flows import UNKNOWN
from calicod.daemon.history import History
from calicod.daemon.templates import Route, Template
from calicod.model.hook import Hook
from tests.unit.daemon.telling import allow, deny

THERE = Route(Hook.FORWARD, "eth0", "cali1", 6)
BACK = Route(Hook.FORWARD, "cali1", "eth0", 6)


def template(history: History, decision=None, route: Route = THERE) -> Template:
    decision = decision or allow()
    return history.templates.add((decision, route), decision, route, Directory())


def test_a_flow_has_its_start_and_what_decided_on_its_path():
    history = History()
    first = template(history)
    history.begin(1, 100, first)

    assert history.start(1) == 100
    assert history.before(1, first) == (True, first)
    assert history.start(2) is None


def test_a_later_decision_takes_the_place_of_the_former_on_the_same_path():
    history = History()
    first, second = template(history), template(history, deny())
    history.begin(1, 100, first)

    history.judge(1, second)

    assert history.before(1, first) == (True, second)
    assert history.end(1) == (100, second)
    assert history.start(1) is None


def test_each_path_is_compared_with_itself_and_the_first_ends_the_flow():
    history = History()
    first, back = template(history), template(history, deny(), BACK)
    history.begin(1, 100, first)

    assert history.before(1, back) == (False, None)
    history.judge(1, back)

    assert history.before(1, back) == (True, back)
    assert history.before(1, first) == (True, first)
    assert history.end(1) == (100, first)


def test_a_later_flow_of_the_same_key_has_no_second_passage_yet():
    history = History()
    first, back = template(history), template(history, deny(), BACK)
    history.begin(1, 100, first)
    history.judge(1, back)

    history.begin(1, 200, first)

    assert history.before(1, back) == (False, None)


def test_of_a_flow_that_is_not_remembered_everything_is_unknown():
    history = History()
    first = template(history)

    assert history.before(1, first) == (True, None)
    history.judge(1, first)
    assert history.end(1) == (UNKNOWN, first)
    assert history.end(1) == (UNKNOWN, None)


def test_a_flow_of_a_former_supervisor_has_a_start_only():
    history = History()
    history.begin(1, 100, None)

    assert history.before(1, template(history)) == (True, None)
    assert history.end(1) == (100, None)


def test_templates_that_flows_refer_to_are_in_use():
    history = History()
    first, back = template(history), template(history, deny(), BACK)
    history.begin(1, 100, first)
    history.judge(1, back)

    assert set(history._in_use()) == {first.id, back.id}


def test_what_is_forgotten_of_flows_and_passages_is_counted():
    history = History(flow_limit=4, passage_limit=2)
    first, back = template(history), template(history, deny(), BACK)
    for key in range(10):
        history.begin(key, 100, first)
        history.judge(key, back)

    assert history.take_forgotten() == (10 - len(history._flows)) + (10 - len(history._passages))


def test_a_flow_is_met_once_and_keeps_its_start():
    history = History()
    first, second = template(history), template(history, deny())

    assert history.meet(1, 100, first) is None
    assert history.meet(1, 200, second) == 100
    assert history.end(1) == (100, first)
