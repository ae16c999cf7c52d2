import os
import time

import pytest

from calicod.datastore.fingerprints import fingerprint


def test_a_fingerprint_of_what_vanished_is_one_too(tmp_path):
    assert fingerprint([tmp_path / "none"]) == ((str(tmp_path / "none"), 0, 0, 0, 0),)


@pytest.mark.parametrize(
    "change",
    ["written", "written and its time set back", "permissions", "touched", "replaced", "another file", "removed"],
)
def test_what_becomes_of_files_shows(tmp_path, change):
    file = tmp_path / "a.yaml"
    file.write_text("a")
    os.utime(file, ns=(1, 1))
    before = fingerprint([tmp_path])
    assert fingerprint([tmp_path]) == before
    time.sleep(0.02)  # a tick of the kernel's clock

    match change:
        case "written":
            file.write_text("b")
        case "written and its time set back":
            file.write_text("b")
            os.utime(file, ns=(1, 1))
        case "permissions":
            file.chmod(0)
        case "touched":
            os.utime(file, ns=(1, 2))
        case "replaced":
            (tmp_path / "draft").write_text("b")
            os.utime(tmp_path / "draft", ns=(1, 1))
            (tmp_path / "draft").rename(file)
        case "another file":
            (tmp_path / "b.yaml").write_text("")
        case "removed":
            file.unlink()

    assert fingerprint([tmp_path]) != before
