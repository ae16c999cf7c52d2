"""The table of nft in a real kernel: installed, mended, counted and removed without a trace.

Where the kernel has no queue statement, another statement stands in for it: everything but the queue is proved here,
and the queue in the tests of the flows, which such a kernel skips.
"""

import json
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from calicod.errors import CalicodError
from calicod.model.network import parse_network
from calicod.model.steering import ForwardingWorkload
from calicod.netfilter import clash, probe, program
from calicod.netfilter.chains import JUMPS
from calicod.netfilter.inet import chains, entrances, read
from calicod.netfilter.iptables import IptablesInstaller
from calicod.netfilter.nft import NftInstaller
from calicod.netfilter.way import NftWay
from tests.kernel import needs_kernel, refusal
from tests.netns.node import ETH0, W3, Node, UdpFlow, address, node, ping, steer, tcp
from tests.netns.world import World, inside, run, world
from tests.unit.netfilter.contract import CONTRACT, steering
from tests.unit.netfilter.programs import only, script
from tests.unit.netfilter.test_chains import full

pytestmark = pytest.mark.netns
SPACE = "cd-nft"
BOOT = Path(__file__).parent.parent.parent / "systemd" / "calicod-boot"
QUEUE = r"s/\bqueue \(flags bypass \)\{0,1\}to \([0-9-]*\)/drop comment \"queue \2\"/"


def nft_program(directory: Path) -> str:
    """Nft; where the kernel lacks the queue statement, one that drops what would be queued."""
    found = program.find("nft")
    assert found is not None, "nft is not installed: run `scripts/setup test`"
    if not refusal("nft queue"):
        return found
    return script(directory, "nft", f'case "$*" in *list*) exec {found} "$@";; esac\nsed "{QUEUE}" | {found} "$@"')


@pytest.fixture(scope="module")
def nft(tmp_path_factory: pytest.TempPathFactory) -> str:
    return nft_program(tmp_path_factory.mktemp("nft"))


@pytest.fixture
def empty() -> Iterator[World]:
    """A namespace without any rule, in which the test runs."""
    with world("cd-", ["nft"]) as made, inside(SPACE):
        yield made


@pytest.fixture
def installer(empty: World, nft: str) -> NftInstaller:
    return NftInstaller(nft)


def shown() -> str:
    return run("nft", "--stateless", "list", "ruleset")


@pytest.mark.parametrize("law", CONTRACT)
def test_nft_keeps_the_contract(installer: NftInstaller, law: str) -> None:
    CONTRACT[law](installer)


def test_the_kernel_takes_every_rule_of_both_families(installer: NftInstaller, nft: str) -> None:
    wanted = full(workers=2, fail_open=True, wildcard_host=True)
    installer.install(wanted)

    kernel = read(program.listed(nft, "calicod"))
    assert {n: (len(c.rules), c.base) for n, c in kernel.chains.items()} == {
        chain.name: (len(chain.rules), chain.base) for chain in chains(wanted)
    }


def test_a_supervisor_that_starts_reads_the_generation_from_the_kernel(installer: NftInstaller, nft: str) -> None:
    installer.install(steering(41))

    installed = NftInstaller(nft).inspect()

    assert (installed.generation, installed.intact) == (41, True)


def test_the_same_steering_again_changes_nothing_and_a_new_one_deletes_no_base_chain(installer: NftInstaller) -> None:
    installer.install(steering(1))
    before = handles()
    installer.install(steering(1))
    assert handles() == before

    installer.install(steering(2, workload_prefixes=("tap",)))

    assert handles()["chain"] == before["chain"]


def handles() -> dict[str, dict[str, int]]:
    """The handles of chains and rules; a chain that was made anew has another one."""
    found: dict[str, dict[str, int]] = {"chain": {}, "rule": {}}
    for item in json.loads(run("nft", "--json", "list", "table", "inet", "calicod"))["nftables"]:
        if "chain" in item:
            found["chain"][item["chain"]["name"]] = item["chain"]["handle"]
        if "rule" in item:
            found["rule"][str(item["rule"]["handle"])] = 1
    return found


DAMAGE = {
    "a rule before ours": (
        "insert rule inet calicod filter-input accept",
        "the rules of chain filter-input were changed",
    ),
    "a rule after ours": (
        "add rule inet calicod ipv4-filter-queue accept",
        "the rules of chain ipv4-filter-queue were changed",
    ),
    "a chain emptied": (
        "flush chain inet calicod ipv6-mangle-clear",
        "the rules of chain ipv6-mangle-clear were changed",
    ),
    "a counting chain emptied": (
        "flush chain inet calicod ipv4-raw-drop-spoofed",
        "the rules of chain ipv4-raw-drop-spoofed were changed",
    ),
    "a policy": ("chain inet calicod filter-input { policy drop; }", "chain filter-input is hooked in otherwise"),
    "the table switched off": ("add table inet calicod { flags dormant; }", "the table inet calicod was made dormant"),
    "a chain added": ("add chain inet calicod other", "chain other was added"),
    "the table deleted": ("delete table inet calicod", "there is no table inet calicod"),
    "everything flushed": ("flush ruleset", "there is no table inet calicod"),
}


@pytest.mark.parametrize(("command", "told"), DAMAGE.values(), ids=DAMAGE)
def test_what_another_program_did_is_told_and_mended(installer: NftInstaller, command: str, told: str) -> None:
    installer.install(steering(1))
    before = shown()
    run("nft", command)

    assert installer.inspect().missing == (told,)
    installer.install(steering(1))

    assert installer.inspect().intact
    assert shown() == before


def test_a_base_chain_that_was_moved_is_told_and_mended(installer: NftInstaller) -> None:
    installer.install(steering(1))
    run("nft", "flush chain inet calicod filter-input; delete chain inet calicod filter-input")
    run("nft", "add chain inet calicod filter-input { type filter hook output priority 7; policy drop; }")

    assert installer.inspect().missing == ("chain filter-input is hooked in otherwise",)
    installer.install(steering(1))

    assert installer.inspect().intact
    kernel = read(run("nft", "--json", "list", "table", "inet", "calicod"))
    assert {name: chain.base for name, chain in kernel.chains.items() if chain.base} == entrances(JUMPS)


def test_a_dormant_table_of_a_former_run_is_told(installer: NftInstaller, nft: str) -> None:
    installer.install(steering(1))
    run("nft", "add table inet calicod { flags dormant; }")

    assert NftInstaller(nft).inspect().missing == ("the table inet calicod was made dormant",)


def test_teardown_leaves_what_was_there_before(installer: NftInstaller) -> None:
    run("nft", "add table inet others; add chain inet others calicod { type filter hook input priority -1; }")
    run("nft", "add rule inet others calicod tcp dport 80 accept")
    before = shown()
    installer.install(steering(1))
    assert shown() != before

    installer.remove()

    assert shown() == before


def test_teardown_finds_the_table(installer: NftInstaller) -> None:
    installer.install(steering(1))
    assert probe.where_ours() == ("nft inet calicod",)

    probe.remove_everything()
    probe.remove_everything()

    assert probe.where_ours() == ()
    assert shown() == ""


@pytest.mark.parametrize("variant", ["nft", "legacy"])
def test_rules_of_another_way_go_when_the_new_ones_are_in_force(empty: World, nft: str, variant: str) -> None:
    def iptables() -> IptablesInstaller:
        found = (program.family(variant, number) for number in (4, 6))
        return IptablesInstaller(programs for programs in found if programs is not None)

    iptables().install(steering(1))
    NftInstaller(nft, [iptables()]).install(steering(2))

    assert probe.where_ours() == ("nft inet calicod",)
    assert NftInstaller(nft).inspect().generation == 2

    back = iptables()
    IptablesInstaller(back.families, [NftInstaller(nft)]).install(steering(3))

    assert probe.where_ours() == (f"iptables-{variant} ipv4", f"iptables-{variant} ipv6")
    assert iptables().inspect().generation == 3


def test_the_trial_says_what_the_kernel_lacks_and_leaves_nothing_behind(empty: World, nft: str) -> None:
    real = program.find("nft") or ""

    assert bool(NftWay(real, ()).trial(steering().marks)) == bool(refusal("nft queue"))
    assert NftWay(nft, ()).trial(steering().marks) == ""
    assert shown() == ""


def test_a_refusal_of_the_kernel_changes_nothing(installer: NftInstaller, nft: str) -> None:
    installer.install(steering(1))
    before = shown()

    with pytest.raises(CalicodError, match="did not accept the rules"):
        program.apply(nft, "flush chain inet calicod filter-input\nadd rule inet calicod filter-input jump nowhere\n")

    assert shown() == before


def test_what_was_saved_for_the_next_boot_is_loaded_and_of_generation_0(
    empty: World, installer: NftInstaller, tmp_path: Path
) -> None:
    needs_kernel("nft queue")
    for name, text in installer.script(steering(0)).items():
        (tmp_path / "boot").mkdir()
        (tmp_path / "boot" / name).write_text(text)

    def boot() -> str:
        env = {**os.environ, "CALICOD_STATE": str(tmp_path), "CALICOD_PROGRAM": "/bin/false"}
        return subprocess.run(["sh", str(BOOT)], capture_output=True, text=True, check=True, env=env).stdout

    assert boot() == "IPv4, IPv6: closed but for failsafe ports, until the daemon judges\n"
    before = shown()
    installed = installer.inspect()
    assert (installed.generation, installed.intact) == (0, True)
    assert boot() == "IPv4, IPv6: rules of calicod's are there already\n"
    assert shown() == before


def test_boot_protection_fails_where_nft_does_not_take_what_was_saved(empty: World, tmp_path: Path) -> None:
    (tmp_path / "boot").mkdir()
    (tmp_path / "boot" / "nft").write_text("nonsense\n")
    env = {**os.environ, "CALICOD_STATE": str(tmp_path), "CALICOD_PROGRAM": "/bin/false"}

    done = subprocess.run(["sh", str(BOOT)], capture_output=True, text=True, check=False, env=env)

    assert done.returncode == 1
    assert "IPv4, IPv6: nft did not take" in done.stderr


# Rules of others


CLASHES = {
    "a mark": ("meta mark set 0x10000000", True),
    "a connection mark": ("ct mark set ct mark | 0x100", True),
    "a mark from a map": ("meta mark set ip saddr map { 192.0.2.1 : 0x1, 192.0.2.2 : 0x20000000 }", True),
    "a saved mark": ("meta l4proto tcp ct mark set meta mark", True),
    "stamps erased": ("ct mark set ct mark & 0xff", False),
}


@pytest.mark.parametrize(("rule", "fatal"), CLASHES.values(), ids=CLASHES)
def test_a_clash_is_named_with_table_and_chain(empty: World, rule: str, *, fatal: bool) -> None:
    run("nft", "add table inet others; add chain inet others leave { type filter hook output priority -150; }")
    run("nft", f'add rule inet others leave {rule} comment "a # b"')

    if fatal:
        with pytest.raises(CalicodError) as raised:
            clash.check(steering(1))
        assert raised.value.code == "K015"
        told = str(raised.value)
    else:
        (found,) = clash.check(steering(1))
        told = str(found)

    assert "nft inet others leave: `" in told
    assert 'comment "a # b"` ' in told


def test_rules_of_others_that_keep_to_their_own_are_no_clash_and_neither_are_ours(
    empty: World, installer: NftInstaller
) -> None:
    run("nft", "add table inet others; add chain inet others c { type filter hook output priority -150; }")
    run("nft", "add rule inet others c meta mark set ct mark; add rule inet others c ct mark set ct mark | 0x80")
    installer.install(steering(1))

    assert clash.check(steering(1)) == ()


def test_tables_that_nobody_can_read_are_told(empty: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("nft", "add table inet others; add table ip filter")
    only(tmp_path, monkeypatch)

    (found,) = clash.check(steering(1))

    assert not found.fatal
    assert str(found) == (
        "nft: `inet others` cannot be searched for rules that clash with calicod's: nft is not installed"
    )


# Packets: everything that reaches no queue


@pytest.fixture(scope="module")
def router(nft: str) -> Iterator[Node]:
    with node("cd-n", "iptables-nft") as built:
        built.setting = "nft"
        built.installer = NftInstaller(nft)
        yield built


@pytest.fixture(params=[4, 6], ids=["ipv4", "ipv6"])
def family(request: pytest.FixtureRequest) -> int:
    return request.param


def install(router: Node, **changes: object) -> None:
    """These rules, nothing tracked, no worker."""
    router.install(steer(1, **changes))
    router.forget()


def dropped(router: Node, reason: str) -> int:
    with inside(router.name):
        return router.installer.inspect().drops[reason]


def test_what_a_workload_sends_from_a_foreign_address_is_dropped_and_counted(router: Node, family: int) -> None:
    foreign, length = ("10.99.0.1", 32) if family == 4 else ("fd99::1", 128)
    router.world.address(router.space("w1"), "lo", f"{foreign}/{length}")
    install(router, forwarding_workloads=(), failsafe_inbound=())
    before = dropped(router, "spoofed")

    with UdpFlow(router, "w1", "ext", family, 3400, source=foreign) as flow:
        assert not flow.forth()
    assert dropped(router, "spoofed") == before + 1

    with UdpFlow(router, "w1", "ext", family, 3401) as flow:
        assert not flow.forth()
    assert dropped(router, "spoofed") == before + 1


def test_a_forwarding_workload_sends_from_its_prefixes(router: Node, family: int) -> None:
    granted, length = ("10.98.0.1", 32) if family == 4 else ("fd98::1", 128)
    router.world.address(router.space("w3"), "lo", f"{granted}/{length}")
    net = parse_network("10.98.0.0/16" if family == 4 else "fd98::/16")[0]
    before = dropped_after(router, ForwardingWorkload("caliw3", W3, (net,)))

    with UdpFlow(router, "w3", "ext", family, 3402, source=granted) as flow:
        assert not flow.forth()

    assert dropped(router, "spoofed") == before


def dropped_after(router: Node, workload: ForwardingWorkload) -> int:
    install(router, forwarding_workloads=(workload,))
    return dropped(router, "spoofed")


@pytest.mark.parametrize("source", ["10.65.11.255", "255.255.255.255", "224.0.0.1"])
def test_no_broadcast_or_multicast_address_is_a_source(router: Node, source: str) -> None:
    install(router)
    before = dropped(router, "spoofed")

    send_raw(router, "w1", source, address("w1", 4, node=True))

    assert dropped(router, "spoofed") == before + 1


def test_a_workload_that_has_no_address_yet_may_ask_for_one(router: Node) -> None:
    install(router)
    before = dropped(router, "spoofed")

    send_raw(router, "w1", "0.0.0.0", "255.255.255.255")

    assert dropped(router, "spoofed") == before


def send_raw(router: Node, name: str, source: str, target: str) -> None:
    """A UDP datagram from any source, as a frame to everybody; gone through when it returns."""
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    header = struct.pack(">BBHHHBBH", 0x45, 0, 28, 1, 0, 64, 17, 0) + ends
    total = sum(struct.unpack(">10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    header = header[:10] + struct.pack(">H", ~total & 0xFFFF) + header[12:]
    with router.world.socket(router.space(name), socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800)) as packets:
        frame = header + struct.pack(">HHHH", 68, 67, 8, 0)
        packets.sendto(frame, ("eth0", 0x0800, 0, 0, b"\xff" * 6))


def test_failsafes_pass_without_a_worker_and_nothing_else_does(router: Node, family: int) -> None:
    install(router)

    assert tcp(router, "ext", "node", family, 22)
    assert tcp(router, "node", "ext", family, 179)
    assert not tcp(router, "ext", "node", family, 80, 0.15)
    assert not tcp(router, "w1", "node", family, 22, 0.15)
    assert not ping(router, "ext", "node", family)


def test_what_has_a_current_stamp_passes_and_that_of_another_generation_does_not(router: Node, family: int) -> None:
    install(router)
    marks = steer(1).marks
    stamp = marks.stamp(1, ETH0) | marks.filter_stage
    rule = ("PREROUTING", "-t", "mangle", "-i", "eth0", "-j", "CONNMARK", "--set-xmark", f"{stamp:#x}/{stamp:#x}")
    router.iptables(family, "-A", *rule)
    try:
        with UdpFlow(router, "ext", "w1", family, 3500) as flow:
            assert flow.trips()
            router.install(steer(2))
            assert not flow.forth()
    finally:
        router.iptables(family, "-D", *rule)


def test_what_the_host_sends_to_a_workload_passes_with_its_answers(router: Node, family: int) -> None:
    install(router)

    with UdpFlow(router, "node", "w1", family, 3501) as flow:
        assert flow.trips()
