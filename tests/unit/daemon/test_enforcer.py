import asyncio
from pathlib import Path

import pytest
from msgspec.structs import replace

from calicod.daemon import enforcer as module
from calicod.daemon.enforcer import STEERED_FILE, Enforcer, Outcome, Steered, recalled, write_atomically
from calicod.daemon.instance import ENFORCEMENT_FILE
from calicod.errors import CalicodError
from calicod.model.interface import Interface
from calicod.model.marks import layout
from calicod.model.record import Applied, Swap
from calicod.model.steering import FlowKind, Steering
from calicod.netfilter.memory import MemoryInstaller
from calicod.ruleset.enforcement import Enforcement, decode, encode
from calicod.ruleset.program import RuleSet
from tests.unit.compiler.build import entity, host, policy, ruleset, tcp_rule, workload

MARKS = layout()
LAST = 511
ETH0 = (Interface(2, "eth0", (bytes([192, 0, 2, 1]),)),)
MOVED = (Interface(2, "eth0", (bytes([192, 0, 2, 9]),)),)


def allowing(*ports: int) -> RuleSet:
    return ruleset(workload(), host(), policy("p", ingress=(tcp_rule(destination=entity(ports=ports)),)))


KINDS = (FlowKind("eth0", "", 17, b"\n\0\0\1", b"\n\0\0\2", 53),)


class Kernel(MemoryInstaller):
    """Fails as often as it is told to, and remembers in what order things happened."""

    def __init__(self, steps: list[tuple[str, int]]) -> None:
        super().__init__()
        self.steps = steps
        self.failures = 0

    def install(self, steering: Steering) -> None:
        if self.failures:
            self.failures -= 1
            raise CalicodError("K013", "the lock is held")
        self.steps.append(("install", steering.generation))
        super().install(steering)


class Bench:
    """An enforcer with workers that answer at once; `error`: what they answer instead; None: they say nothing."""

    def __init__(
        self,
        directory: Path,
        kernel: Kernel | None = None,
        workers: int = 2,
        *,
        fail_open: bool = False,
        keep: bool = False,
    ):
        self.steps: list[tuple[str, int]] = kernel.steps if kernel else []
        self.kernel = kernel or Kernel(self.steps)
        self.error: str | None = ""
        self.sent = asyncio.Event()
        self.enforcer = Enforcer(
            run_directory=directory,
            workers=workers,
            queue_base=5200,
            fail_open=fail_open,
            marks=MARKS,
            installer=self.kernel,
            send=self.send,
            clear_generation=self.clear,
            keep=keep,
        )

    def send(self, worker: int, message: Swap) -> None:
        self.steps.append(("swap", message.revision))
        self.sent.set()
        if self.error is not None:
            self.enforcer.applied(Applied(worker, 1, message.revision, 0, self.error))

    def clear(self, generation: int) -> int:
        self.steps.append(("clear", generation))
        return 0

    def enforce(self, rules: RuleSet, interfaces: tuple[Interface, ...] = ETH0) -> Outcome:
        return asyncio.run(self.enforcer.enforce(rules, interfaces))

    def fails(self, rules: RuleSet) -> str:
        with pytest.raises(CalicodError) as caught:
            self.enforce(rules)
        return str(caught.value)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    made = Bench(tmp_path)
    made.enforcer.take_over(fresh=True)
    return made


# The order of a change


def test_every_worker_judges_by_the_new_policy_before_the_kernel_bears_its_generation(bench):
    bench.enforce(allowing(80))

    assert bench.steps == [("swap", 1), ("swap", 1), ("clear", 1), ("install", 1)]


def test_no_connection_bears_a_generation_that_is_used_again(bench):
    bench.enforcer.generation = LAST

    bench.enforce(allowing(80))

    assert bench.steps[-2:] == [("clear", 1), ("install", 1)]


def test_the_generation_moves_when_the_policy_changes_and_only_then(bench):
    outcomes = [bench.enforce(rules) for rules in (allowing(80), allowing(80), allowing(81))]

    assert [(o.changed, o.rejudged, o.generation) for o in outcomes] == [
        (True, True, 1),
        (False, False, 1),
        (True, True, 2),
    ]


def test_an_address_that_comes_reaches_the_workers_and_judges_no_live_flow_again(bench):
    bench.enforce(allowing(80))

    outcome = bench.enforce(allowing(80), MOVED)

    assert (outcome.changed, outcome.rejudged, outcome.revision, outcome.generation) == (True, False, 2, 1)
    assert bench.steps[-1] == ("swap", 2)


def test_a_host_endpoint_that_comes_to_another_interface_judges_live_flows_again(bench):
    bench.enforce(allowing(80))

    assert bench.enforce(allowing(80), ()).rejudged


def test_an_interface_that_was_renamed_judges_live_flows_again(bench):
    new = Interface(3, "tmp0")
    bench.enforce(allowing(80))
    assert not bench.enforce(allowing(80), (*ETH0, new)).rejudged

    assert bench.enforce(allowing(80), (*ETH0, Interface(3, "caliw"))).rejudged
    assert not bench.enforce(allowing(80), ETH0).rejudged


def test_workers_find_what_they_are_sent_for(bench, tmp_path):
    bench.enforce(allowing(80))

    assert decode((tmp_path / ENFORCEMENT_FILE).read_bytes()) == Enforcement(
        revision=1, ruleset=allowing(80), interfaces=ETH0
    )


# What fails


def test_a_worker_that_does_not_answer_gives_the_change_up(bench, monkeypatch):
    bench.enforce(allowing(80))
    monkeypatch.setattr(module, "WORKER_TIMEOUT", 0.05)
    bench.error = None

    assert "K070 workers [0, 1]" in bench.fails(allowing(81))
    assert bench.kernel.steering is not None
    assert bench.kernel.steering.generation == 1


def test_a_worker_that_refuses_gives_the_change_up_with_its_reason(bench):
    bench.error = "truncated file"

    assert "K071 worker 0 refused revision 1: truncated file" in bench.fails(allowing(80))
    assert bench.kernel.installed == []


def test_what_was_given_up_is_not_taken_for_done_when_it_is_tried_again(bench):
    bench.enforce(allowing(80))
    bench.kernel.failures = 1
    bench.fails(allowing(81))

    outcome = bench.enforce(allowing(81))

    assert (outcome.changed, outcome.rejudged, outcome.generation) == (True, True, 2)


def test_after_a_change_that_was_given_up_the_former_policy_needs_a_new_generation_too(bench):
    """Workers may have judged by the failed one: what they allowed bears the present generation."""
    bench.enforce(allowing(80))
    bench.kernel.failures = 1
    bench.fails(allowing(81))

    outcome = bench.enforce(allowing(80))

    assert (outcome.rejudged, outcome.generation) == (True, 2)


def test_a_worker_that_was_replaced_while_a_change_waits_is_waited_for(bench):
    async def change() -> Outcome:
        bench.error = None
        waiting = asyncio.ensure_future(bench.enforcer.enforce(allowing(80), ETH0))
        await bench.sent.wait()
        bench.enforcer.applied(Applied(0, 1, 1, 0))
        bench.enforcer.forget(0)
        bench.enforcer.applied(Applied(1, 1, 1, 0))
        await asyncio.sleep(0.02)
        assert bench.kernel.installed == []
        bench.enforcer.applied(Applied(0, 2, 1, 0))
        return await waiting

    assert asyncio.run(change()).changed


# Repair


def test_a_worker_that_dies_after_its_file_was_removed_finds_it_again(bench, tmp_path):
    bench.enforce(allowing(80))
    (tmp_path / ENFORCEMENT_FILE).unlink()

    bench.enforcer.forget(0)

    assert decode((tmp_path / ENFORCEMENT_FILE).read_bytes()).revision == 1
    assert bench.steps[-1] == ("swap", 1)


def test_a_repair_puts_the_present_steering_back(bench):
    bench.enforce(allowing(80))
    bench.kernel.missing = ("filter INPUT: the jump is gone",)

    asyncio.run(bench.enforcer.repair())

    assert (bench.kernel.missing, bench.kernel.steering.generation) == ((), 1)


def test_a_repair_waits_for_a_change_and_does_not_take_it_back(bench):
    async def change() -> None:
        await bench.enforcer.enforce(allowing(80), ETH0)
        async with bench.enforcer._kernel:
            repair = asyncio.ensure_future(bench.enforcer.repair())
            await asyncio.sleep(0.01)
            assert not repair.done()
            bench.enforcer.steering = Steering(generation=2)
        await repair

    asyncio.run(change())

    assert bench.steps[-1] == ("install", 2)


def test_nothing_is_repaired_before_something_is_in_force(bench):
    asyncio.run(bench.enforcer.repair())

    assert bench.kernel.installed == []


# Live flows that are kept


def test_a_change_of_policy_leaves_live_flows_alone_where_they_are_kept(tmp_path):
    bench = Bench(tmp_path, keep=True)
    bench.enforce(allowing(80))
    bench.steps.clear()

    outcome = bench.enforce(allowing(81))

    assert (outcome.changed, outcome.rejudged, outcome.revision, outcome.generation) == (True, False, 2, 1)
    assert bench.steps == [("swap", 2), ("swap", 2)]


def test_what_makes_a_stamp_mean_another_path_judges_kept_flows_too(tmp_path):
    bench = Bench(tmp_path, keep=True)
    bench.enforce(allowing(80))

    assert bench.enforce(allowing(81), ()).rejudged


def test_a_change_that_failed_half_way_judges_kept_flows_too(tmp_path):
    bench = Bench(tmp_path, keep=True)
    bench.enforce(allowing(80))
    bench.error = "bad file"
    bench.fails(allowing(81))
    bench.error = ""

    assert bench.enforce(allowing(81)).rejudged


def test_a_successor_keeps_live_flows_whatever_changed_meanwhile(tmp_path):
    bench = Bench(tmp_path, keep=True)
    bench.enforce(allowing(80))

    assert not succeed(bench, tmp_path, keep=True).enforce(allowing(81)).rejudged


def test_whether_a_policy_would_spare_live_flows_is_known_before(tmp_path):
    for name in ("k", "j"):
        (tmp_path / name).mkdir()
    kept, judged = Bench(tmp_path / "k", keep=True), Bench(tmp_path / "j")
    for bench in (kept, judged):
        assert not bench.enforcer.spares(allowing(81))
        bench.enforce(allowing(80))

    assert (kept.enforcer.spares(allowing(81)), judged.enforcer.spares(allowing(81))) == (True, False)


# Refusals that are remembered


def test_refusals_of_the_revision_in_force_reach_the_kernel_until_the_next_policy(bench):
    bench.enforce(allowing(80))
    assert asyncio.run(bench.enforcer.remember(1, KINDS, KINDS))
    assert bench.kernel.steering.denied == bench.kernel.steering.allowed == KINDS

    bench.enforce(allowing(81))

    assert bench.kernel.steering.denied == ()


def test_refusals_of_another_revision_do_not(bench):
    assert not asyncio.run(bench.enforcer.remember(1, KINDS, KINDS))
    bench.enforce(allowing(80))
    bench.enforce(allowing(81))

    assert not asyncio.run(bench.enforcer.remember(1, KINDS, KINDS))
    assert bench.kernel.steering.denied == ()


def test_an_address_that_comes_ends_them_too(bench):
    bench.enforce(allowing(80))
    asyncio.run(bench.enforcer.remember(1, KINDS, KINDS))

    bench.enforce(allowing(80), MOVED)

    assert bench.kernel.steering.denied == ()


def test_at_the_end_the_kernel_is_to_ask_again_whatever_is_remembered_of_it(bench):
    asyncio.run(bench.enforcer.ask_again())
    assert bench.steps == []
    bench.enforce(allowing(80))
    steering = bench.kernel.steering
    bench.kernel.install(replace(steering, allowed=KINDS))  # by an attempt that was given up

    asyncio.run(bench.enforcer.ask_again())

    assert bench.kernel.steering == steering


# What was there before


def test_a_kernel_without_rules_is_met_before_and_after_the_first_ones_and_never_again(bench):
    bench.enforcer.meet = lambda _, steering: bench.steps.append(("meet", steering.generation))

    bench.enforce(allowing(80))
    bench.enforce(allowing(81))

    assert [step for step in bench.steps if step[0] != "swap"] == [
        ("clear", 1),
        ("meet", 1),
        ("install", 1),
        ("meet", 1),
        ("clear", 2),
        ("install", 2),
    ]


# A successor


def succeed(bench: Bench, directory: Path, **options: bool) -> Bench:
    successor = Bench(directory, bench.kernel, **options)
    successor.left = successor.enforcer.take_over(fresh=True)
    successor.steps.clear()
    return successor


def test_a_successor_with_the_same_policy_keeps_the_generation_and_installs_once(bench, tmp_path):
    bench.enforce(allowing(80))
    successor = succeed(bench, tmp_path)

    outcome = successor.enforce(allowing(80))

    assert (outcome.rejudged, outcome.revision, outcome.generation) == (False, 2, 1)
    assert successor.steps == [("swap", 2), ("swap", 2), ("install", 1)]


def test_workers_that_wait_for_policy_get_the_last_one_when_it_cannot_be_read(bench, tmp_path):
    bench.enforce(allowing(80))
    successor = succeed(bench, tmp_path)

    assert successor.enforcer.fall_back()

    assert successor.steps == [("swap", 1), ("swap", 1)]


def test_workers_that_have_their_orders_are_not_sent_back(bench, tmp_path):
    assert not bench.enforcer.fall_back()
    bench.enforce(allowing(80))
    successor = succeed(bench, tmp_path)
    successor.enforce(allowing(81))

    assert not successor.enforcer.fall_back()
    assert not bench.enforcer.fall_back()


def test_a_successor_with_another_policy_moves_the_generation(bench, tmp_path):
    bench.enforce(allowing(80))

    assert succeed(bench, tmp_path).enforce(allowing(81)).generation == 2


def test_a_successor_does_not_trust_stamps_after_a_change_that_did_not_reach_the_kernel(bench, tmp_path):
    """The enforcement file already holds the new policy, the kernel still stamps what the old one allowed."""
    bench.enforce(allowing(80))
    bench.kernel.failures = 1
    bench.fails(allowing(81))

    assert succeed(bench, tmp_path).enforce(allowing(81)).generation == 2


def test_a_successor_does_not_trust_stamps_when_the_kernel_bears_another_generation(bench, tmp_path):
    bench.enforce(allowing(80))
    bench.kernel.install(Steering(generation=7))

    assert succeed(bench, tmp_path).enforce(allowing(80)).generation == 8


def test_a_successor_does_not_trust_stamps_that_were_laid_out_differently(bench, tmp_path):
    bench.enforce(allowing(80))
    other = Steered(1, Steering(generation=1, marks=layout(connection_mask=0x00FFFF00)))
    write_atomically(tmp_path / STEERED_FILE, module.msgspec.msgpack.encode(other))

    assert succeed(bench, tmp_path).enforce(allowing(80)).rejudged


def test_a_successor_learns_the_failure_mode_that_was(bench, tmp_path):
    bench.enforce(allowing(80))

    assert succeed(bench, tmp_path, fail_open=True).left.fail_open is False


@pytest.mark.parametrize("damage", [b"", b"rubbish"])
def test_a_damaged_file_of_a_predecessor_is_as_if_there_were_none(bench, tmp_path, damage):
    bench.enforce(allowing(80))
    (tmp_path / ENFORCEMENT_FILE).write_bytes(damage)
    (tmp_path / STEERED_FILE).write_bytes(damage)

    outcome = succeed(bench, tmp_path).enforce(allowing(80))

    assert (outcome.rejudged, outcome.generation) == (True, 2)


def test_without_a_file_a_revision_is_never_one_that_living_workers_know(bench, tmp_path):
    bench.enforce(allowing(80))
    (tmp_path / ENFORCEMENT_FILE).unlink()
    successor = Bench(tmp_path, bench.kernel)
    successor.enforcer.take_over(fresh=False)

    assert successor.enforce(allowing(80)).revision > 1_700_000_000


def test_what_is_judged_by_is_known_only_while_nothing_is_half_done(bench):
    assert bench.enforcer.judged_by is None
    bench.enforce(allowing(80))
    known = bench.enforcer.judged_by
    bench.kernel.failures = 1
    bench.fails(allowing(81))

    assert known is not None
    assert known[0].ruleset == allowing(80)
    assert bench.enforcer.judged_by is None


def test_a_file_of_ours_is_readable_by_its_owner_alone(tmp_path):
    write_atomically(tmp_path / "x.msgpack", b"secret")

    assert (tmp_path / "x.msgpack").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["x.msgpack"]


@pytest.mark.parametrize("damage", [lambda data: data[:-3], lambda data: data.replace(b"revision", b"re\xffision")])
def test_what_cannot_be_read_back_is_removed(tmp_path, damage):
    path = tmp_path / "x.msgpack"
    path.write_bytes(damage(encode(Enforcement(revision=1, ruleset=allowing(80)))))

    assert recalled(path, Enforcement) is None
    assert not path.exists()
