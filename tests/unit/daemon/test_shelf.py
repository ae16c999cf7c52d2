import msgspec
import pytest

from calicod.daemon.instance import TRIAL_FILE
from calicod.daemon.shelf import FORMER_FILE, Former, Held, Shelf
from calicod.datastore.files import Text

TEXTS = (Text("/p/a.yaml", b"kind: Tier"), Text("/p/b.yaml", b"\xff"))
HELD = Held(texts=TEXTS, phase="trial", began="2026", boot="b1", deadline=100.0, written=(("/p/a.yaml", 1, 2, 3, 4),))


@pytest.fixture
def shelf(tmp_path) -> Shelf:
    return Shelf(tmp_path)


def test_what_is_held_is_there_for_whoever_comes_next(shelf, tmp_path):
    shelf.hold(HELD)

    assert Shelf(tmp_path).held() == HELD


def test_what_is_released_is_gone_and_may_be_released_again(shelf):
    shelf.hold(HELD)
    shelf.release()
    shelf.release()

    assert shelf.held() is None


def test_the_former_set_is_kept_beside_it(shelf):
    former = Former(TEXTS, b"state")
    shelf.keep(former)
    shelf.release()

    assert (shelf.former(), shelf.held()) == (former, None)


def test_at_first_there_is_nothing(shelf):
    assert (shelf.held(), shelf.former()) == (None, None)


RECORDS = pytest.mark.parametrize(("name", "ask"), [(TRIAL_FILE, Shelf.held), (FORMER_FILE, Shelf.former)])
NO_TEXT = msgspec.msgpack.encode(msgspec.structs.replace(HELD, texts=TEXTS[:1])).replace(b"/p/a.yaml", b"/p/\xff.yaml")


@RECORDS
@pytest.mark.parametrize("content", [b"\xc1", b"", NO_TEXT])
def test_a_damaged_record_is_put_aside(shelf, tmp_path, name, ask, content):
    (tmp_path / name).write_bytes(content)

    assert ask(shelf) is None
    assert (tmp_path / f"{name}.damaged").read_bytes() == content


@RECORDS
def test_a_record_that_cannot_be_read_is_put_aside_too(shelf, tmp_path, name, ask):
    (tmp_path / name).mkdir()

    assert ask(shelf) is None
    assert (tmp_path / f"{name}.damaged").is_dir()


@RECORDS
def test_a_record_that_cannot_even_be_put_aside_is_none(shelf, tmp_path, name, ask):
    (tmp_path / name).mkdir()
    (tmp_path / f"{name}.damaged").write_bytes(b"of last time")

    assert ask(shelf) is None


@pytest.mark.parametrize(
    ("boot", "now", "left"), [("b1", 40.0, 60.0), ("b1", 100.0, 0.0), ("b1", 500.0, 0.0), ("b2", 1.0, 0.0)]
)
def test_a_deadline_holds_for_the_boot_that_it_was_set_in(boot, now, left):
    assert HELD.seconds_left(boot, now) == left


def test_a_confirmed_set_is_another_phase_of_the_same_record():
    assert msgspec.structs.replace(HELD, phase="install").texts == TEXTS
