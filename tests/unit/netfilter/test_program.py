"""Finding and running the programs of iptables."""

from pathlib import Path

import pytest

from calicod.errors import CalicodError
from calicod.netfilter import program
from tests.unit.netfilter.programs import family, only, script


def test_the_variant_is_taken_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = family(tmp_path)
    only(tmp_path, monkeypatch)

    assert program.family("nft", 4) == expected
    assert program.family("nft", 6) is None
    assert program.family("legacy", 4) is None


def test_a_program_without_the_variant_in_its_name_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    restore = script(tmp_path, "iptables-restore", "echo 'iptables-restore v1.8.9 (legacy)'")
    save = script(tmp_path, "iptables-save", "true")
    only(tmp_path, monkeypatch)

    assert program.family("legacy", 4) == program.Family(4, "legacy", restore, save)
    assert program.family("nft", 4) is None


def test_a_refusal_names_the_line_and_the_rule(tmp_path: Path) -> None:
    refuse = "cat >/dev/null; echo 'iptables-restore: line 2 failed: No such file' >&2; exit 1"

    with pytest.raises(CalicodError) as raised:
        program.restore(family(tmp_path, restore=refuse), "*filter\n-A INPUT -j NOWHERE\nCOMMIT\n")

    assert (raised.value.code, raised.value.exit_code) == ("K013", 4)
    assert "line 2 failed: No such file [-A INPUT -j NOWHERE]" in str(raised.value)


def test_a_failure_without_words_tells_its_status(tmp_path: Path) -> None:
    assert program.attempt(family(tmp_path, restore="exit 3"), "*filter\nCOMMIT\n") == "exit status 3"


def test_a_program_that_cannot_be_run_is_told(tmp_path: Path) -> None:
    gone = program.Family(4, "nft", str(tmp_path / "gone"), str(tmp_path / "gone"))

    with pytest.raises(CalicodError, match="could not be run"):
        program.saved(gone)


def test_a_save_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(CalicodError, match="Permission denied"):
        program.saved(family(tmp_path, save="echo 'Permission denied (you must be root)' >&2; exit 4"))


def test_a_program_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "TIMEOUT", 0.1)

    with pytest.raises(CalicodError, match="timed out"):
        program.saved(family(tmp_path, save="exec /bin/sleep 2"))
