import os
import signal
import sys
import threading

import pytest
from click.testing import CliRunner

from calicod.cli.demo.cases import examples
from calicod.cli.demo.space import ENDING
from calicod.cli.demo.tour import Stopped, chosen, command, ending_in_order
from calicod.errors import CalicodError


def test_all_cases_are_chosen_and_the_example_with_a_mistake():
    cases, mistakes = chosen(examples(), ())

    assert [case.number for case in cases] == list(range(1, 10))
    assert [folder.name for folder in mistakes] == ["10-mistyped"]


def test_cases_are_chosen_by_number_and_then_without_mistakes():
    cases, mistakes = chosen(examples(), (7, 2))

    assert [case.number for case in cases] == [2, 7]
    assert mistakes == ()


def test_a_case_that_is_not_there_is_wrong_usage_and_those_that_are_there_are_named():
    with pytest.raises(CalicodError, match=r"K080 there is no case 11\n  hint: there are 1, 2, 3") as caught:
        chosen(examples(), (1, 11))

    assert caught.value.exit_code == 2


def ended_by(number):
    """Asks to end while something goes on, and again while that is tidied up."""
    with ending_in_order():
        try:
            os.kill(os.getpid(), number)
        finally:
            for each in ENDING:
                os.kill(os.getpid(), each)


def ended_by_all():
    """All of them ask at the same moment."""
    with ending_in_order():
        signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
        for each in ENDING:
            signal.pthread_kill(threading.get_ident(), each)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


@pytest.fixture
def handlers():
    """What signals do unless whoever started the tests wants it otherwise (`nohup`), which is put back in the end."""
    before = {number: signal.getsignal(number) for number in ENDING}
    usual = dict.fromkeys(ENDING, signal.SIG_DFL) | {signal.SIGINT: signal.default_int_handler}
    for number, handler in usual.items():
        signal.signal(number, handler)
    yield usual
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", ENDING)
def test_a_signal_that_asks_to_end_is_an_exception_and_the_next_ones_are_nothing(handlers, number):
    with pytest.raises(Stopped) as caught:
        ended_by(number)
    for each in ENDING:
        os.kill(os.getpid(), each)

    assert caught.value.number == number


def test_when_nobody_asked_signals_do_afterwards_what_they_did(handlers):
    with ending_in_order():
        inside = {number: signal.getsignal(number) for number in ENDING}

    assert inside != handlers
    assert {number: signal.getsignal(number) for number in ENDING} == handlers


def test_while_it_tidies_up_signals_are_not_heard():
    heard = []
    with ending_in_order() as tidying_up:
        tidying_up()
        os.kill(os.getpid(), signal.SIGTERM)
        heard.append("the end")

    assert heard == ["the end"]


def test_of_several_signals_at_once_the_first_ends_it_and_the_others_are_not_heard(handlers, monkeypatch):
    complaints = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    with pytest.raises(Stopped):
        ended_by_all()
    signal.pthread_sigmask(signal.SIG_BLOCK, ())  # Python looks at what is on its way

    assert complaints == []


def test_a_signal_that_was_ignored_before_stays_ignored():
    former = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with ending_in_order():
            os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, former)


def test_who_is_not_root_gets_exit_4_and_what_to_do(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    done = CliRunner().invoke(command, [])

    assert done.exit_code == 4
    assert "K083 the demo needs root" in done.output
    assert "sudo calicod demo" in done.output


def test_a_folder_without_examples_is_wrong_usage(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    done = CliRunner().invoke(command, ["--examples", str(tmp_path)])

    assert done.exit_code == 2
    assert "K080" in done.output


def test_help_has_examples_and_exit_codes():
    help_text = " ".join(CliRunner().invoke(command, ["--help"]).output.split())

    assert "calicod demo --case 5 --keep" in help_text
    assert "Exit:" in help_text and "4 not root" in help_text
