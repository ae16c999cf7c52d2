from pathlib import Path

import pytest

from calicod.daemon.sources import Instead, Reading, Sources, rejections
from calicod.datastore.files import Text
from tests.unit.datastore.texts import tier

POLICY = """apiVersion: projectcalico.org/v3
kind: GlobalNetworkPolicy
metadata: {{name: {name}}}
spec: {{selector: all(), ingress: [{{action: {action}}}]}}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "p").mkdir()
    return tmp_path


def sources(folder: Path) -> Sources:
    return Sources([folder / "p"], "n1", folder / "state")


def write(folder: Path, action: str, name: str = "web") -> None:
    (folder / "p" / "a.yaml").write_text(POLICY.format(name=name, action=action))


def names(reading: Reading) -> list[str]:
    return [policy.name for policy in reading.ruleset.policies]


def test_a_set_that_is_read_in_place_of_the_files_is_told(folder):
    write(folder, "Allow")
    made = sources(folder)
    told = []
    for held in (None, Instead((Text("x.yaml", POLICY.format(name="x", action="Deny").encode()),)), None):
        made.held = held
        told.append(made.read().held)

    assert told == [False, True, False]


def test_what_is_written_is_read_and_compiled(folder):
    write(folder, "Allow")

    reading = sources(folder).read()

    assert (names(reading), reading.resources, reading.rejected, reading.kept) == (["web"], 1, (), ())


def test_the_same_sources_give_an_equal_rule_set(folder):
    write(folder, "Allow")
    source = sources(folder)

    assert source.read().ruleset == source.read().ruleset == sources(folder).read().ruleset


def test_a_broken_policy_keeps_its_last_good_version_also_for_a_successor(folder):
    source = sources(folder)
    write(folder, "Allow")
    before = source.read()
    write(folder, "Alow")

    for reading in (source.read(), sources(folder).read()):
        assert reading.ruleset == before.ruleset
        assert [resource.metadata.name for resource in reading.kept] == ["web"]
        assert len(reading.rejected) == 1


def test_a_refusal_is_told_once_and_again_when_it_is_another(folder):
    source = sources(folder)
    write(folder, "Alow")
    first = source.read()
    second = source.read()
    write(folder, "Deni")
    third = source.read()

    assert [event.name for event in rejections(None, first)] == ["web"]
    assert rejections(first, second) == ()
    assert ["Deni" in event.message for event in rejections(second, third)] == [True]


def test_a_refusal_tells_whether_a_last_good_version_stands_in(folder):
    source = sources(folder)
    write(folder, "Alow")
    (never,) = rejections(None, source.read())
    write(folder, "Allow")
    source.read()
    write(folder, "Alow")
    (kept,) = rejections(None, source.read())

    assert (never.kept, kept.kept) == (False, True)


def test_a_file_that_cannot_be_parsed_tells_whether_something_of_it_stands_in(folder):
    source = sources(folder)
    write(folder, "Allow")
    source.read()
    (folder / "p" / "a.yaml").write_text("a: [1")
    (folder / "p" / "b.yaml").write_text("a: [1")

    told = {Path(event.file).name: event.kept for event in rejections(None, source.read())}

    assert told == {"a.yaml": True, "b.yaml": False}


def test_a_directory_that_is_gone_keeps_what_was_below_it(folder):
    source = sources(folder)
    write(folder, "Allow")
    source.read()
    (folder / "p").rename(folder / "away")

    reading = source.read()

    assert names(reading) == ["web"]
    assert [(event.code, event.kept) for event in rejections(None, reading)] == [("Y019", True)]


def test_warnings_are_no_refusals(folder):
    (folder / "p" / "t.yaml").write_text(tier("t").replace("name: t", "name: t, labels: {version: 1}"))

    reading = sources(folder).read()

    assert ([d.code for d in reading.warnings], reading.rejected, reading.resources) == (["W001"], (), 1)


HELD = (Text("/p/b.yaml", POLICY.format(name="held", action="Deny").encode()),)


def test_what_is_held_is_read_in_place_of_the_files(folder):
    write(folder, "Allow")
    source = sources(folder)
    before = source.read()
    source.held = Instead(HELD)
    assert names(source.read()) == ["held"]
    source.held = None

    assert source.read().ruleset == before.ruleset


def test_what_is_held_leaves_last_good_versions_of_the_files_alone(folder):
    source = sources(folder)
    write(folder, "Allow")
    source.read()
    write(folder, "Alow")
    source.held = Instead(HELD)
    source.read()
    source.held = None

    assert names(source.read()) == ["web"]


def test_what_is_held_has_last_good_versions_of_its_own(folder):
    source = sources(folder)
    write(folder, "Allow")
    source.read()
    broken = (Text(str(folder / "p" / "a.yaml"), POLICY.format(name="web", action="Alow").encode()),)
    state = source.last_good.content()
    source.held = Instead(broken, state)

    assert names(source.read()) == ["web"]


def test_a_proposal_is_compiled_and_changes_nothing(folder):
    write(folder, "Allow")
    source = sources(folder)
    before = source.read()

    assert names(source.propose(HELD)) == ["held"]
    assert len(source.propose((Text("/p/b.yaml", b"kind: ["),)).rejected) == 1
    assert source.read().ruleset == before.ruleset
