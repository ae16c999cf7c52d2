from pathlib import Path

import click
import pytest

from calicod.cli.client import Unreachable
from calicod.cli.scene import enforced, offline
from calicod.model.hook import Hook
from calicod.ruleset.enforcement import encode
from tests.unit.cli.serving import serving
from tests.unit.cli.test_passage import AWAY, BACK, FRONT, WEB, given, judging, resources
from tests.unit.daemon.test_farewell import CLIENT, ENFORCEMENT, NODE, WORKLOAD


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c.sock"


def test_files_are_judged_on_the_node_that_the_addresses_name(tmp_path):
    scene = offline(judging(resources(tmp_path)), given(FRONT, WEB))

    assert (scene.node, scene.way.hook, scene.revision) == ("n1", Hook.FORWARD, None)


def test_files_are_judged_for_the_whole_cluster_when_no_node_has_the_addresses(tmp_path):
    scene = offline(judging(resources(tmp_path), "n1"), given(AWAY, BACK))

    assert (scene.node, scene.way.hook, scene.ruleset.node) == (None, None, None)


def test_what_the_daemon_enforces_comes_with_its_interfaces_and_revision(path):
    with serving(path, {"/enforcement": encode(ENFORCEMENT)}) as seen:
        scene = enforced(str(path), given(AWAY, WORKLOAD))

    assert seen == ["GET /enforcement"]
    assert (scene.node, scene.revision, scene.ruleset) == ("n1", 1, ENFORCEMENT.ruleset)
    assert scene.interfaces == ENFORCEMENT.interfaces
    assert (scene.way.hook, scene.way.out_interface) == (Hook.FORWARD, "caliw")


def test_a_packet_between_strangers_needs_a_hook(path):
    with serving(path, {"/enforcement": encode(ENFORCEMENT)}), pytest.raises(click.UsageError, match="--hook"):
        enforced(str(path), given(CLIENT, NODE))


@pytest.mark.parametrize(("answer", "why"), [(b"", "enforces nothing yet"), (b"\xc1", "another version")])
def test_an_answer_that_is_none_is_told(path, answer, why):
    with serving(path, {"/enforcement": answer}), pytest.raises(Unreachable, match=why):
        enforced(str(path), given(CLIENT, WORKLOAD))
