import asyncio
import io
import sys
from collections.abc import Callable
from pathlib import Path

from calicod.datastore.files import Files, gather, read, read_texts, watch
from calicod.datastore.fingerprints import fingerprint
from calicod.resources.document import MAX_TEXT
from tests.unit.datastore.texts import codes, names, tier

PATIENCE = 10.0
POLL = 0.2


def told(paths: list[Path], change: Callable[[], object], poll_seconds: float = 60.0) -> bool:
    """Whether the watch tells of a change; without polling, so that the kernel's word alone counts."""

    async def hear() -> bool:
        changes = watch(paths, poll_seconds)
        waiting = asyncio.ensure_future(anext(changes))
        await asyncio.sleep(0.2)
        change()
        done, _ = await asyncio.wait([waiting], timeout=PATIENCE)
        waiting.cancel()
        return bool(done)

    return asyncio.run(hear())


def test_a_path_that_is_not_there_is_told(tmp_path):
    missing = str(tmp_path / "none")
    loaded = read([missing])

    assert (codes(loaded), loaded.broken) == (["Y019"], (missing,))
    assert loaded.diagnostics[0].hint == "check the path, or create it"


def test_a_file_whose_reading_fails_is_told_and_counts_as_broken():
    loaded = read(["/proc/self/mem"])

    assert (codes(loaded), loaded.broken) == (["Y019"], ("/proc/self/mem",))


def test_bytes_that_are_not_utf_8_are_told_with_their_place(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"# one\n# tw\xff\n")

    (finding,) = read([tmp_path]).diagnostics

    assert (finding.code, finding.line, finding.column) == ("Y002", 2, 5)


def test_a_file_that_is_too_long_is_refused_whole(tmp_path):
    (tmp_path / "a.yaml").write_text(tier("a") + "#" * MAX_TEXT)

    loaded = read([tmp_path])

    assert (loaded.resources, codes(loaded), loaded.broken) == ((), ["Y002"], (str(tmp_path / "a.yaml"),))


def test_one_broken_file_does_not_hide_another(tmp_path):
    (tmp_path / "a.yaml").write_text("a: [1")
    (tmp_path / "b.yaml").write_text(tier("b"))

    assert names(Files([tmp_path]).read()) == ["b"]


def test_standard_input_is_read(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(tier("piped").encode())))

    assert names(read(["-"])) == ["piped"]


def test_a_file_that_is_written_is_told(tmp_path):
    (tmp_path / "a.yaml").write_text(tier("a"))

    assert told([tmp_path], lambda: (tmp_path / "a.yaml").write_text(tier("a", 2)))


def test_a_file_that_an_editor_replaces_is_told(tmp_path):
    (tmp_path / "a.yaml").write_text(tier("a"))
    (tmp_path / "a.swp").write_text(tier("a", 2))

    assert told([tmp_path], lambda: (tmp_path / "a.swp").rename(tmp_path / "a.yaml"))


def test_a_single_file_that_an_editor_replaces_is_told(tmp_path):
    (tmp_path / "a.yaml").write_text(tier("a"))
    (tmp_path / "draft").write_text(tier("a", 2))

    assert told([tmp_path / "a.yaml"], lambda: (tmp_path / "draft").rename(tmp_path / "a.yaml"))


def test_a_file_in_a_new_folder_is_told(tmp_path):
    def change() -> None:
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "a.yaml").write_text(tier("a"))

    assert told([tmp_path], change, POLL)


def test_a_directory_that_is_made_later_is_told(tmp_path):
    later = tmp_path / "policies.d"

    def change() -> None:
        later.mkdir()
        (later / "a.yaml").write_text(tier("a"))

    assert told([later], change, POLL)


def test_a_mounted_config_map_that_is_swapped_is_told(tmp_path):
    for version, order in (("..1", 1), ("..2", 2)):
        (tmp_path / version).mkdir()
        (tmp_path / version / "a.yaml").write_text(tier("a", order))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")

    def change() -> None:
        (tmp_path / "..new").symlink_to("..2")
        (tmp_path / "..new").rename(tmp_path / "..data")

    assert told([tmp_path], change, POLL)


def test_a_target_far_away_that_a_link_leads_to_is_told(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "a.yaml").write_text(tier("a"))
    (tmp_path / "near").mkdir()
    (tmp_path / "near" / "a.yaml").symlink_to(tmp_path / "far" / "a.yaml")

    assert told([tmp_path / "near"], lambda: (tmp_path / "far" / "a.yaml").write_text(tier("a", 22)), POLL)


def test_a_file_that_is_none_of_ours_is_not_told(tmp_path):
    async def hear() -> bool:
        waiting = asyncio.ensure_future(anext(watch([tmp_path], 60.0)))
        await asyncio.sleep(0.2)
        (tmp_path / "notes.txt").write_text("nothing")
        done, _ = await asyncio.wait([waiting], timeout=0.4)
        waiting.cancel()
        return bool(done)

    assert asyncio.run(hear()) is False


def test_what_changed_between_the_watch_and_its_first_step_is_told(tmp_path):
    async def hear() -> None:
        changes = watch([tmp_path], POLL)
        (tmp_path / "a.yaml").write_text(tier("a"))
        await asyncio.wait_for(anext(changes), PATIENCE)

    asyncio.run(hear())

    assert [path for path, *_ in fingerprint([tmp_path])] == [str(tmp_path / "a.yaml")]


def test_a_file_that_did_not_change_is_not_parsed_again_and_one_that_did_is(tmp_path):
    (tmp_path / "a.yaml").write_text(tier("a"))
    (tmp_path / "b.yaml").write_text(tier("b"))
    store = Files([tmp_path])
    first = store.read()
    (tmp_path / "b.yaml").write_text(tier("c"))

    second = store.read()

    assert second.resources[0] is first.resources[0]
    assert names(second) == ["a", "c"]


def test_a_file_that_moved_is_told_under_its_new_name(tmp_path):
    (tmp_path / "a.yaml").write_text("a: [1")
    store = Files([tmp_path])
    store.read()
    (tmp_path / "a.yaml").rename(tmp_path / "b.yaml")

    assert store.read().diagnostics[0].file == str(tmp_path / "b.yaml")


def test_what_is_gathered_can_be_read_again_as_texts(tmp_path):
    (tmp_path / "a.yaml").write_text(tier("a", 1))
    (tmp_path / "b.yaml").write_bytes(b"\xff")
    texts, loaded = gather([tmp_path, tmp_path / "none.yaml"])

    held = {"a.yaml": tier("a", 1).encode(), "b.yaml": b"\xff"}
    assert {Path(text.path).name: text.content for text in texts} == held
    assert (names(loaded), codes(loaded)) == (["a"], ["Y002", "Y019"])
    assert (names(read_texts(texts)), codes(read_texts(texts))) == (["a"], ["Y002"])
