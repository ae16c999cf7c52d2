"""What a user wrote wrong, and what the surroundings lack."""

import msgspec
import pytest

from calicod.errors import NOWHERE, CalicodError, Diagnostic, Place, PolicyError, Severity

FOUND = Diagnostic(code="P107", message="ports need a protocol", file="a.yaml", line=14, column=7)


@pytest.mark.parametrize(
    ("diagnostic", "text"),
    [
        (FOUND, "a.yaml:14:7: P107 ports need a protocol"),
        (
            msgspec.structs.replace(FOUND, path="spec.ingress[0]", hint="add `protocol: TCP`"),
            "a.yaml:14:7: P107 spec.ingress[0]: ports need a protocol\n  hint: add `protocol: TCP`",
        ),
        (msgspec.structs.replace(FOUND, severity=Severity.WARNING), "a.yaml:14:7: warning P107 ports need a protocol"),
        (msgspec.structs.replace(FOUND, line=0), "a.yaml: P107 ports need a protocol"),
        (msgspec.structs.replace(FOUND, file=""), "P107 ports need a protocol"),
    ],
)
def test_a_finding_is_told_with_place_path_and_the_way_out(diagnostic, text):
    assert str(diagnostic) == text


def test_the_json_of_a_finding_has_the_keys_of_the_contract():
    assert set(msgspec.to_builtins(FOUND)) == {
        "severity",
        "code",
        "message",
        "hint",
        "file",
        "line",
        "column",
        "kind",
        "namespace",
        "name",
        "path",
    }
    assert msgspec.to_builtins(FOUND)["severity"] == "error"


def test_places_sort_by_file_then_line_then_column():
    assert sorted([Place("b", 1), Place("a", 10, 2), Place("a", 9, 9), NOWHERE]) == [
        NOWHERE,
        Place("a", 9, 9),
        Place("a", 10, 2),
        Place("b", 1),
    ]
    assert FOUND.place == Place("a.yaml", 14, 7)


def test_a_policy_error_carries_every_finding():
    second = msgspec.structs.replace(FOUND, line=15)
    error = PolicyError(iter([FOUND, second]))

    assert error.diagnostics == (FOUND, second)
    assert str(error) == f"{FOUND}\n{second}"


def test_a_failure_of_the_surroundings_has_a_code_a_hint_and_an_exit_code():
    error = CalicodError("K010", "CAP_NET_ADMIN is missing", hint="run as root", exit_code=4)

    assert str(error) == "K010 CAP_NET_ADMIN is missing\n  hint: run as root"
    assert (error.code, error.exit_code, CalicodError("C001", "no").exit_code) == ("K010", 4, 1)
