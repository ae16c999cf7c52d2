"""The rules in a real kernel: installed, mended, counted and removed without a trace, in both variants."""

from collections.abc import Iterator

import pytest

from calicod.errors import CalicodError
from calicod.model.steering import Nic, Steering
from calicod.netfilter import clash, probe, program
from calicod.netfilter.chains import tables
from calicod.netfilter.iptables import IptablesInstaller
from calicod.netfilter.table import ours
from tests.netns.world import World, inside, world
from tests.unit.netfilter.contract import CONTRACT, steering

pytestmark = pytest.mark.netns
SPACE = "cd-rules"
VARIANTS = ["iptables-nft", "iptables-legacy"]


@pytest.fixture
def empty() -> Iterator[World]:
    """A namespace without any rule, in which the test runs."""
    with world("cd-", ["rules"]) as made, inside(SPACE):
        yield made


@pytest.fixture(params=VARIANTS)
def setting(request: pytest.FixtureRequest) -> str:
    return request.param


def iptables(made: World, setting: str, *words: str, command: str = "iptables") -> str:
    return made.run(SPACE, f"{command}-{setting.removeprefix('iptables-')}", *words)


def saved(made: World, setting: str) -> str:
    text = "".join(iptables(made, f"{setting}-save", command=c) for c in ("iptables", "ip6tables"))
    return "\n".join(line.split(" [")[0] for line in text.splitlines() if not line.startswith("#"))


@pytest.mark.parametrize("law", CONTRACT)
def test_both_variants_keep_the_contract(empty: World, setting: str, law: str) -> None:
    CONTRACT[law](probe.choose(setting))


def test_the_kernel_shows_every_rule_as_it_was_generated(empty: World, setting: str) -> None:
    wanted = steering(5, workers=2, fail_open=True, wildcard_host=True)
    installer = probe.choose(setting)
    installer.install(wanted)

    assert isinstance(installer, IptablesInstaller)
    for family in installer.families:
        kernel = program.saved(family)
        for table in tables(wanted, family.number):
            assert ours(kernel[table.name]) == {chain.name: chain.rules for chain in table.chains}


def test_a_supervisor_that_starts_reads_the_generation_from_the_kernel(empty: World, setting: str) -> None:
    probe.choose(setting).install(steering(41))

    assert probe.choose(setting).inspect().generation == 41
    assert probe.choose("auto").inspect().intact


@pytest.mark.parametrize(
    ("table", "hook"),
    [
        ("raw", "PREROUTING"),
        ("mangle", "INPUT"),
        ("mangle", "FORWARD"),
        ("mangle", "OUTPUT"),
        ("filter", "INPUT"),
        ("filter", "FORWARD"),
        ("filter", "OUTPUT"),
    ],
)
def test_a_jump_that_is_no_longer_first_is_told_and_mended(empty: World, setting: str, table: str, hook: str) -> None:
    installer = probe.choose(setting)
    installer.install(steering(1))
    iptables(empty, setting, "-t", table, "-I", hook, "-p", "udp", "-j", "ACCEPT")

    (missing,) = installer.inspect().missing
    assert missing.startswith(f"ipv4 {table} {hook}: ")
    installer.install(steering(1))

    assert installer.inspect().intact
    rules = [line for line in saved(empty, setting).splitlines() if line.startswith(f"-A {hook} ")]
    assert "-A INPUT -p udp -j ACCEPT".replace("INPUT", hook) in rules


def hook(made: World, setting: str, name: str) -> list[str]:
    """What stands in a hook of mangle, IPv4."""
    text = iptables(made, f"{setting}-save", "-t", "mangle")
    return [line.removeprefix(f"-A {name} ") for line in text.splitlines() if line.startswith(f"-A {name} ")]


def test_a_jump_comes_first_when_its_chain_gets_rules_and_goes_with_them(empty: World, setting: str) -> None:
    early = steering(2, nics=(Nic("eth0", 3, managed=True, prednat=True),))
    installer = probe.choose(setting)
    installer.install(steering(1))
    iptables(empty, setting, "-t", "mangle", "-A", "PREROUTING", "-p", "udp", "-j", "ACCEPT")

    assert hook(empty, setting, "PREROUTING") == ["-p udp -j ACCEPT"]
    installer.install(early)
    assert hook(empty, setting, "PREROUTING") == ["-j calicod-pre", "-p udp -j ACCEPT"]
    assert hook(empty, setting, "FORWARD") == ["-j calicod-clear"]
    assert probe.choose(setting).inspect().intact
    iptables(empty, setting, "-t", "mangle", "-D", "PREROUTING", "-j", "calicod-pre")
    assert [part.partition(": ")[0] for part in installer.inspect().missing] == ["ipv4 mangle PREROUTING"]
    installer.install(early)
    assert hook(empty, setting, "PREROUTING")[0] == "-j calicod-pre"
    installer.install(steering(3))

    assert hook(empty, setting, "PREROUTING") == ["-p udp -j ACCEPT"]
    assert hook(empty, setting, "FORWARD") == ["-m mark ! --mark 0x0/0xf0000000 -j calicod-clear"]
    assert installer.inspect().intact
    assert probe.choose(setting).inspect().intact
    installer.install(Steering(generation=4))
    assert "-j calicod" not in saved(empty, setting).replace("-j calicod-drop", "")


def test_the_jumps_of_an_older_version_give_way(empty: World, setting: str) -> None:
    installer = probe.choose(setting)
    installer.install(steering(1))
    for name, chain in (("PREROUTING", "pre"), ("FORWARD", "clear"), ("POSTROUTING", "post")):
        iptables(empty, setting, "-t", "mangle", "-F", name)
        iptables(empty, setting, "-t", "mangle", "-A", name, "-j", f"calicod-{chain}")

    probe.choose(setting).install(steering(1))

    assert hook(empty, setting, "PREROUTING") == []
    assert hook(empty, setting, "FORWARD") == ["-m mark ! --mark 0x0/0xf0000000 -j calicod-clear"]
    assert hook(empty, setting, "POSTROUTING") == ["-m mark ! --mark 0x0/0xf0000000 -j calicod-post"]


def test_what_another_program_flushed_is_told_and_mended(empty: World, setting: str) -> None:
    installer = probe.choose(setting)
    installer.install(steering(1))
    before = saved(empty, setting)
    iptables(empty, setting, "-F", "calicod-queue")
    iptables(empty, setting, "-F", "calicod-drop-invalid", command="ip6tables")
    iptables(empty, setting, "-D", "OUTPUT", "-j", "calicod-out")

    assert installer.inspect().missing == (
        "ipv4 filter OUTPUT: the jump to calicod-out is not the first rule",
        "ipv4 filter: the rules of chain calicod-queue were changed",
        "ipv6 filter: the rules of chain calicod-drop-invalid were changed",
    )
    installer.install(steering(1))

    assert installer.inspect().intact
    assert saved(empty, setting) == before


def test_everything_flushed_and_deleted_is_told_and_mended(empty: World, setting: str) -> None:
    installer = probe.choose(setting)
    installer.install(steering(1))
    for words in (("-F",), ("-X",)):
        iptables(empty, setting, *words)

    assert "ipv4 filter: chain calicod-queue is gone" in installer.inspect().missing
    installer.install(steering(1))

    assert installer.inspect().intact


def test_teardown_leaves_what_was_there_before(empty: World, setting: str) -> None:
    for command in ("iptables", "ip6tables"):
        for table in ("raw", "mangle", "filter"):
            iptables(empty, setting, "-t", table, "-N", "OTHERS", command=command)
            iptables(empty, setting, "-t", table, "-A", "OTHERS", "-p", "tcp", "-j", "ACCEPT", command=command)
            iptables(empty, setting, "-t", table, "-A", "OUTPUT", "-j", "OTHERS", command=command)
    iptables(empty, setting, "-P", "FORWARD", "DROP")
    before = saved(empty, setting)
    installer = probe.choose(setting)
    installer.install(steering(1))
    assert saved(empty, setting) != before
    iptables(empty, setting, "-A", "OTHERS", "-j", "calicod-in")

    installer.remove()

    assert saved(empty, setting) == before


def test_teardown_finds_rules_of_either_variant(empty: World, setting: str) -> None:
    probe.choose(setting).install(steering(1))

    probe.remove_everything()
    probe.remove_everything()

    assert "calicod" not in saved(empty, setting)


def test_the_trial_leaves_nothing_behind(empty: World, setting: str) -> None:
    probe.choose(setting)

    assert "calicod" not in saved(empty, setting)


def test_a_change_of_variant_removes_the_rules_of_the_former(empty: World, setting: str) -> None:
    other = VARIANTS[1 - VARIANTS.index(setting)]
    probe.choose(other).install(steering(1))

    probe.choose(setting).install(steering(2))

    assert "calicod" not in saved(empty, other)
    assert probe.choose("auto").inspect().generation == 2


def test_auto_takes_the_variant_that_others_use(empty: World, setting: str) -> None:
    iptables(empty, setting, "-A", "INPUT", "-p", "udp", "-j", "ACCEPT")

    installer = probe.choose("auto")

    assert isinstance(installer, IptablesInstaller)
    assert {f"iptables-{family.variant}" for family in installer.families} == {setting}


def test_auto_takes_nft_when_nobody_uses_either(empty: World) -> None:
    installer = probe.choose("auto")

    assert isinstance(installer, IptablesInstaller)
    assert [(family.variant, family.number) for family in installer.families] == [("nft", 4), ("nft", 6)]


def test_a_chain_of_an_older_version_is_removed(empty: World, setting: str) -> None:
    iptables(empty, setting, "-N", "calicod-old")
    iptables(empty, setting, "-A", "calicod-old", "-j", "DROP")
    iptables(empty, setting, "-A", "FORWARD", "-j", "calicod-old")

    probe.choose(setting).install(steering(1))

    assert "calicod-old" not in saved(empty, setting)


def test_a_clash_is_found_in_the_kernel_and_named(empty: World, setting: str) -> None:
    iptables(empty, setting, "-A", "INPUT", "-p", "udp", "-j", "NFQUEUE", "--queue-num", "5201")

    with pytest.raises(CalicodError) as raised:
        clash.check(steering(1))

    assert raised.value.code == "K015"
    assert raised.value.exit_code == 4
    assert "-A INPUT -p udp -j NFQUEUE --queue-num 5201" in str(raised.value)


def test_our_own_rules_clash_with_nothing(empty: World, setting: str) -> None:
    probe.choose(setting).install(steering(1))

    assert clash.check(steering(1)) == ()


def test_a_refusal_of_the_kernel_names_the_line(empty: World, setting: str) -> None:
    family = program.family(setting.removeprefix("iptables-"), 4)
    assert family is not None

    failure = program.attempt(family, "*filter\n-A INPUT -j NOWHERE\nCOMMIT\n")

    assert "NOWHERE" in failure
    assert failure.endswith(("[-A INPUT -j NOWHERE]", "[COMMIT]"))
