import signal
import subprocess
import sys
from pathlib import Path

import pytest

from calicod.cli.demo.space import add_namespace, batch, inside, namespaces, remove_namespace, run, settings
from calicod.errors import CalicodError

NAME = "cds-space"


@pytest.fixture
def space():
    add_namespace(NAME)
    yield NAME
    remove_namespace(NAME)


def test_what_a_program_prints_is_returned():
    assert run("cat", text="said") == "said"


def test_a_program_that_fails_is_an_error_with_its_words_and_a_remedy():
    with pytest.raises(CalicodError, match=r"K082 sh -c echo no >&2; exit 3: no\n  hint: .* iproute2") as caught:
        run("sh", "-c", "echo no >&2; exit 3")

    assert caught.value.exit_code == 4


TORN = """
import signal, sys
from calicod.cli.demo.space import run

def stop(number, frame):
    print(open(sys.argv[1]).read())
    sys.exit(7)

signal.signal(int(sys.argv[2]), stop)
run("sh", "-c", 'kill -"$2" "$PPID"; sleep 0.1; echo to the end >"$1"', "sh", *sys.argv[1:])
print("not stopped")
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_program_goes_on_to_its_end_before_anybody_hears_of_a_signal(number: int, tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", TORN, str(tmp_path / "made"), str(int(number))],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.stdout, done.stderr, done.returncode) == ("to the end\n\n", "", 7)


def test_a_program_that_is_missing_is_an_error_of_the_same_kind():
    with pytest.raises(CalicodError, match="K082 no-such-program: "):
        run("no-such-program")


def test_a_command_inside_names_its_namespace():
    assert inside("a", ("ping", "b")) == ("ip", "netns", "exec", "a", "ping", "b")


@pytest.mark.netns
def test_a_new_namespace_has_lo_up_and_addresses_that_are_usable_at_once(space):
    batch(space, ["link add x0 type veth peer name x1", "address add 2001:db8::1/64 dev x0", "link set x0 up"])

    assert "LOOPBACK,UP" in run("ip", "-n", space, "link", "show", "lo")
    assert "tentative" not in run("ip", "-n", space, "address", "show", "x0")


@pytest.mark.netns
def test_settings_hold_inside_and_only_there(space):
    before = run("cat", "/proc/sys/net/ipv4/ip_default_ttl")
    settings(space, ["net/ipv4/ip_default_ttl=77"])

    assert run(*inside(space, ("cat", "/proc/sys/net/ipv4/ip_default_ttl"))) == "77\n"
    assert run("cat", "/proc/sys/net/ipv4/ip_default_ttl") == before


@pytest.mark.netns
def test_a_setting_that_the_kernel_lacks_is_an_error(space):
    with pytest.raises(CalicodError, match="no-such-setting"):
        settings(space, ["net/ipv4/no-such-setting=1"])


@pytest.mark.netns
def test_a_namespace_that_is_removed_is_gone_and_one_that_is_not_there_is_no_error(space):
    remove_namespace(space)
    remove_namespace(space)

    assert space not in namespaces()
