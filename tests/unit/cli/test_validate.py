import json

import pytest

from tests.unit.cli.offline import EXAMPLES, OPEN, calicod, resources

SIMPLE = "apiVersion: projectcalico.org/v3\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {spec}\n"
WRONG = SIMPLE.format(
    kind="GlobalNetworkPolicy", name="wrong", spec="{ingress: [{action: Alow}], egress: [{action: X}]}"
)
WARNED = SIMPLE.format(kind="GlobalNetworkPolicy", name="ghost", spec="{tier: nowhere, ingress: [{action: Allow}]}")
KEYS = {"severity", "code", "message", "hint", "file", "line", "column", "kind", "namespace", "name", "path"}


def diagnostics(text: str) -> list[dict[str, object]]:
    listed: list[dict[str, object]] = json.loads(text)["diagnostics"]
    return listed


def test_valid_resources_exit_0_and_are_counted(tmp_path):
    result = calicod("validate", resources(tmp_path), "--json", "--strict")

    assert (result.exit_code, json.loads(result.stdout)) == (0, {"resources": 6, "diagnostics": []})


def test_every_error_is_told_with_its_place_on_stderr(tmp_path):
    file = tmp_path / "wrong.yaml"
    file.write_text(WRONG)

    result = calicod("validate", file)

    assert result.exit_code == 1
    assert [line.split(" ")[0] for line in result.stderr.splitlines() if line.startswith("/")] == [
        f"{file}:4:27:",
        f"{file}:4:53:",
    ]
    assert result.stdout == "0 resources accepted, 2 errors, 0 warnings\n"


def test_a_diagnostic_has_the_keys_that_scripts_rely_on(tmp_path):
    (tmp_path / "wrong.yaml").write_text(WRONG)

    first, second = diagnostics(calicod("validate", tmp_path, "--json").stdout)

    assert set(first) == set(second) == KEYS
    assert (first["severity"], first["kind"], first["name"]) == ("error", "GlobalNetworkPolicy", "wrong")
    assert (first["path"], second["path"]) == ("spec.ingress[0].action", "spec.egress[0].action")


@pytest.mark.parametrize(("options", "code"), [((), 0), (("--strict",), 1)])
def test_warnings_count_only_if_strict(tmp_path, options, code):
    (tmp_path / "warned.yaml").write_text(WARNED)

    result = calicod("validate", tmp_path, *options)

    assert result.exit_code == code
    assert "warning W050" in result.stderr


def test_directories_are_read_whole_and_sorted_and_several_paths_in_order(tmp_path):
    for name in ("b/z.yml", "b/a.json", "a/deep/x.yaml", "a/ignored.txt", "c.yaml"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a: [")

    result = calicod("validate", tmp_path / "c.yaml", tmp_path / "b", tmp_path / "a", "--json")

    files = [str(d["file"]).removeprefix(f"{tmp_path}/") for d in diagnostics(result.stdout)]
    assert list(dict.fromkeys(files)) == ["c.yaml", "b/a.json", "b/z.yml", "a/deep/x.yaml"]


def test_standard_input_is_a_path_among_others(tmp_path):
    (tmp_path / "warned.yaml").write_text(WARNED)

    result = calicod("validate", "-", tmp_path, stdin=OPEN)

    assert result.stdout == "2 resources accepted, 0 errors, 1 warnings\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.yaml", None, "Y019 no such file or directory"),
        ("binary.yaml", b"\x00\xff\xfe\x80", "Y0"),
        ("latin.yaml", "kind: \xe9".encode("latin-1"), "Y002"),
        ("deep.yaml", b"[" * 100_000, "Y0"),
        ("aliases.yaml", b"a: &a [x]\nb: &b [*a, *a]\nc: *c\n", "Y0"),
        ("tabs.yaml", b"a:\n\t- b\n", "Y0"),
    ],
)
def test_what_cannot_be_read_is_told_without_a_traceback(tmp_path, name, content, said):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)

    result = calicod("validate", path)

    assert result.exit_code == 1
    assert result.stderr.startswith(f"{path}")
    assert said in result.stderr


def test_a_directory_without_files_is_valid_and_says_that_nothing_was_read(tmp_path):
    result = calicod("validate", tmp_path)

    assert (result.exit_code, result.stdout) == (0, "0 resources accepted, 0 errors, 0 warnings\n")


def test_the_mistyped_example_says_where_the_name_belongs():
    result = calicod("validate", EXAMPLES / "10-mistyped")

    assert result.exit_code == 1
    assert "name belongs under metadata" in result.stderr
