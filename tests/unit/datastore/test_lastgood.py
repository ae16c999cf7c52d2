from pathlib import Path

import pytest

from calicod.datastore.files import read
from calicod.datastore.lastgood import LastGood, Merged, beside, decoded, encoded
from calicod.resources.load import Loaded, load, together
from tests.unit.datastore.texts import tier


def texts(**written: str) -> Loaded:
    return together(load(text, f"{name}.yaml") for name, text in written.items())


def orders(merged: Merged) -> dict[str, float | None]:
    return {resource.metadata.name: resource.order for resource in merged.resources}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_what_became_invalid_stays_in_force_in_its_last_good_version(state):
    store = LastGood(state)
    store.merge(texts(a=tier("a", 1), b=tier("b", 1)))

    merged = store.merge(texts(a=tier("a", "much"), b=tier("b", 2)))

    assert orders(merged) == {"a": 1, "b": 2}
    assert [resource.metadata.name for resource in merged.kept] == ["a"]


def test_it_stays_across_a_restart(state):
    LastGood(state).merge(texts(a=tier("a", 1)))

    assert orders(LastGood(state).merge(texts(a=tier("a", "much")))) == {"a": 1}


def test_a_file_that_cannot_be_parsed_keeps_everything_that_was_in_it(state):
    store = LastGood(state)
    store.merge(texts(a=tier("a") + "---\n" + tier("b")))

    assert set(orders(store.merge(texts(a="a: [1")))) == {"a", "b"}


def test_what_was_deleted_is_gone_while_something_else_is_broken(state):
    store = LastGood(state)
    store.merge(texts(a=tier("a"), b=tier("b"), c=tier("c")))

    assert set(orders(store.merge(texts(a=tier("a", "much"), b=tier("b"))))) == {"a", "b"}


def test_a_document_that_is_gone_from_a_file_that_reads_well_is_gone(state):
    store = LastGood(state)
    store.merge(texts(a=tier("a") + "---\n" + tier("b")))

    assert set(orders(store.merge(texts(a=tier("b"))))) == {"b"}


def test_what_never_was_valid_is_absent(state):
    assert orders(LastGood(state).merge(texts(a=tier("a", "much")))) == {}


def test_what_was_mended_is_in_force_as_it_is_written(state):
    store = LastGood(state)
    store.merge(texts(a=tier("a", 1)))
    store.merge(texts(a=tier("a", "much")))

    merged = store.merge(texts(a=tier("a", 3)))

    assert (orders(merged), merged.kept) == ({"a": 3}, ())


def test_a_directory_that_cannot_be_read_keeps_everything_below_it(tmp_path, state):
    folder = tmp_path / "policies"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a.yaml").write_text(tier("a"))
    store = LastGood(state)
    store.merge(read([folder]))
    folder.rename(tmp_path / "away")

    assert set(orders(store.merge(read([folder])))) == {"a"}


def test_a_damaged_state_is_told_and_begins_anew(state):
    LastGood(state).merge(texts(a=tier("a", 1)))
    (state / "lastgood").write_bytes((state / "lastgood").read_bytes()[:-1] + b"?")

    merged = LastGood(state).merge(texts(a=tier("a", "much"), b=tier("b")))

    assert orders(merged) == {"b": 1}
    assert "Y021" in {diagnostic.code for diagnostic in merged.diagnostics}
    assert orders(LastGood(state).merge(texts(b=tier("b", "much")))) == {"b": 1}


def test_a_state_that_cannot_be_written_is_told_and_policy_is_enforced(tmp_path):
    (tmp_path / "state").write_text("a file where the directory should be")

    merged = LastGood(tmp_path / "state").merge(texts(a=tier("a")))

    assert orders(merged) == {"a": 1}
    assert [diagnostic.code for diagnostic in merged.diagnostics if diagnostic.code == "Y021"]


def test_what_is_encoded_is_decoded_to_the_same():
    resources = texts(a=tier("a"), b=tier("b", 2)).resources

    assert decoded(encoded(resources)) == resources


@pytest.mark.parametrize("content", [b"", b"calicod last good 0\n", b"calicod last good 1\n" + bytes(16) + b"x"])
def test_what_is_no_state_of_ours_is_refused(content):
    with pytest.raises(ValueError, match=r"not a state|does not fit"):
        decoded(content)


def test_a_former_state_can_be_put_back(state):
    store = LastGood(state)
    store.merge(texts(a=tier("a", 1)))
    former = store.content()
    store.merge(texts(b=tier("b", 1)))
    store.recall(former)

    assert orders(store.merge(texts(a=tier("a", "much")))) == {"a": 1}
    assert orders(LastGood(state).merge(texts(a=tier("a", "much")))) == {"a": 1}


def test_the_state_is_given_as_it_is_on_the_disk_before_anything_is_merged(state):
    LastGood(state).merge(texts(a=tier("a", 1)))

    assert [resource.metadata.name for resource in decoded(LastGood(state).content())] == ["a"]
    assert LastGood(state / "nothing").content() == b""


def test_no_state_is_one_too(state):
    store = LastGood(state)
    store.merge(texts(a=tier("a", 1)))
    store.recall(b"")

    assert orders(store.merge(texts(a=tier("a", "much")))) == {}


def test_last_good_versions_of_another_state_stand_in_beside_it(state):
    store = LastGood(state)
    store.merge(texts(a=tier("a", 1)))
    merged = beside(store.content(), texts(a=tier("a", "much"), b=tier("b", 2)))

    assert orders(merged) == {"a": 1, "b": 2}
    assert orders(beside(b"", texts(a=tier("a", "much")))) == {}
    assert orders(store.merge(texts(a=tier("a", "much")))) == {"a": 1}


def test_a_damaged_state_is_none_to_put_back(state):
    state.mkdir()
    (state / "lastgood").write_bytes(b"calicod last good 1\nhalf")

    assert LastGood(state).content() == b""


def test_a_state_of_another_version_stands_in_for_nothing_and_is_told(state):
    merged = beside(b"another", texts(a=tier("a", "much")))
    store = LastGood(state)
    store.recall(b"another")

    assert (orders(merged), [d.code for d in merged.diagnostics][-1]) == ({}, "Y021")
    assert [d.code for d in store.merge(texts(b=tier("b", 1))).diagnostics] == ["Y021"]
