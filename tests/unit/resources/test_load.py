"""From the text of a file to resources: documents, lists, and what is told of what was refused."""

import pytest

from calicod.errors import Place, Severity
from calicod.resources.load import Loaded, load, together
from tests.unit.resources.reading import Finding, errors, found

HEAD = "apiVersion: projectcalico.org/v3\n"


def tier(name, spec="{}"):
    return f"{HEAD}kind: Tier\nmetadata: {{name: {name}}}\nspec: {spec}\n"


def names(loaded: Loaded):
    return [resource.metadata.name for resource in loaded.resources]


LIST = f"""{HEAD}kind: TierList
metadata: {{resourceVersion: "5"}}
items:
- metadata: {{name: a}}
- {{apiVersion: projectcalico.org/v3, kind: Tier, metadata: {{name: b}}}}
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (tier("a"), ["a"]),
        (tier("a") + "---\n" + tier("b"), ["a", "b"]),
        ("---\n" + tier("a") + "...\n---\n# nothing but a comment\n---\n" + tier("b"), ["a", "b"]),
        (LIST, ["a", "b"]),
        (
            LIST.replace("TierList", "List").replace(
                "- metadata", "- apiVersion: projectcalico.org/v3\n  kind: Tier\n  metadata"
            ),
            ["a", "b"],
        ),
        ("- {apiVersion: projectcalico.org/v3, kind: Tier, metadata: {name: a}}\n" * 1, ["a"]),
        ('{"apiVersion": "projectcalico.org/v3", "kind": "Tier", "metadata": {"name": "a"}}', ["a"]),
        ("", []),
        ("# only a comment\n", []),
        ("---\n---\n", []),
        (f"{HEAD}kind: TierList\nitems: []\n", []),
        ("\ufeff" + tier("a"), ["a"]),
        (tier("a").replace("\n", "\r\n"), ["a"]),
    ],
)
def test_several_documents_and_lists_are_one_input(text, expected):
    loaded = load(text, "f.yaml")

    assert (names(loaded), loaded.diagnostics, loaded.broken) == (expected, (), ())


def item(name, spec="{}"):
    return "- " + tier(name, spec).replace("\n", "\n  ").removesuffix("  ")


LATE = f"items:\n{item('a')}{item('b', '{bogus: 1}')}{item('c')}"


@pytest.mark.parametrize("tail", ["kind: List\napiVersion: v1\n", "kind: TierList\n" + HEAD, None])
def test_a_list_may_say_last_that_it_is_one(tail):
    text = LATE + tail if tail else LATE.removeprefix("items:\n")
    loaded = load(text, "f.yaml")
    line = text[: text.index("bogus")].count("\n") + 1

    assert (names(loaded), loaded.rejected, loaded.broken) == (["a", "c"], (("Tier", "", "b"),), ())
    assert [(told.code, told.line, told.column) for told in loaded.diagnostics] == [("Y011", line, 10)]


def test_items_of_what_turns_out_to_be_no_list_are_not_read():
    loaded = load(LATE + HEAD + "kind: Tier\nmetadata: {name: t}\n", "f.yaml")

    assert (names(loaded), loaded.rejected) == ([], (("Tier", "", "t"),))
    assert [(told.code, told.path) for told in loaded.diagnostics] == [("Y011", "items")]


def test_of_a_list_that_breaks_off_nothing_is_read_and_the_rest_of_the_file_is():
    text = f"---\n{LATE}kind: [\n---\n{tier('d')}---\n{LATE}{HEAD}kind: List\n"
    loaded = load(text, "f.yaml")
    line = text[: text.rindex("bogus")].count("\n") + 1

    assert (names(loaded), loaded.rejected, loaded.broken) == (["d", "a", "c"], (("Tier", "", "b"),), ("f.yaml",))
    assert [told.code for told in loaded.diagnostics] == ["Y001", "Y011"]
    assert loaded.diagnostics[1].line == line


@pytest.mark.parametrize(
    ("text", "code", "path", "hint"),
    [
        ("«hello", "Y014", "", "write each resource as a mapping with apiVersion, kind, metadata and spec"),
        ("- «5", "Y014", "", "write each resource as a mapping with apiVersion, kind, metadata and spec"),
        ("- «null", "Y014", "", "write each resource as a mapping with apiVersion, kind, metadata and spec"),
        (f"{HEAD}kind: TierList\nitems: «{{}}\n", "Y010", "items", None),
        (f"{HEAD}kind: TierList\n«item: []\n", "Y011", "item", "did you mean items?"),
        (LIST.replace("- metadata", "- «kind: Profil\n  metadata"), "Y016", "kind", "did you mean Profile?"),
    ],
)
def test_what_is_no_resource_is_refused_at_its_place(text, code, path, hint):
    if code == "Y016":
        text = text.replace("«kind: Profil", "kind: «Profil")
    assert found(text) == [Finding(code, path, hint)]


def test_what_is_broken_takes_no_other_document_with_it():
    loaded = load(tier("a") + "---\nspec: [\n---\n" + tier("b", "{order: x}") + "---\n" + tier("c"), "f.yaml")

    assert names(loaded) == ["a", "c"]
    assert [(told.code, told.line) for told in loaded.diagnostics] == [("Y001", 7), ("P009", 11)]
    assert (loaded.rejected, loaded.broken) == ((("Tier", "", "b"),), ("f.yaml",))


@pytest.mark.parametrize(
    ("text", "rejected", "broken"),
    [
        (tier("a", "{order: x}"), (("Tier", "", "a"),), ()),
        (
            f"{HEAD}kind: NetworkPolicy\nmetadata: {{name: a}}\nspec: {{x: 1}}\n",
            (("NetworkPolicy", "default", "a"),),
            (),
        ),
        (f"{HEAD}kind: Tier\nmetadata: {{name: [a]}}\n", (), ("f.yaml",)),
        (f"{HEAD}kind: Tier\nmetadata: {{}}\n", (), ("f.yaml",)),
        ("a: [\n", (), ("f.yaml",)),
        ("hello\n", (), ("f.yaml",)),
    ],
)
def test_what_was_refused_is_told_by_identity_or_by_file(text, rejected, broken):
    loaded = load(text, "f.yaml")

    assert (loaded.rejected, loaded.broken) == (rejected, broken)


def test_a_finding_says_whose_it_is():
    (told,) = load(
        f"{HEAD}kind: NetworkPolicy\nmetadata: {{name: a, namespace: b}}\nspec: {{order: x}}\n", "f.yaml"
    ).diagnostics

    assert (told.kind, told.namespace, told.name, told.file) == ("NetworkPolicy", "b", "a", "f.yaml")


def test_the_second_resource_of_one_identity_is_refused_and_both_places_named():
    one, two = load(tier("a"), "one.yaml"), load("\n" + tier("a", "{order: 5}"), "two.yaml")
    both = together([one, two])
    (told,) = both.diagnostics

    assert both.resources == one.resources
    assert (told.code, str(told.place), told.path) == ("Y018", "two.yaml:2:1", "metadata.name")
    assert told.message == "Tier a is given twice, first at one.yaml:1:1"
    assert load(tier("a") + "---\n" + tier("a"), "f.yaml").diagnostics[0].code == "Y018"


def test_one_name_in_two_namespaces_or_kinds_is_two_resources():
    policy = f"{HEAD}kind: NetworkPolicy\nmetadata: {{name: a, namespace: %s}}\n---\n"

    assert len(load(policy % "x" + policy % "y" + tier("a"), "f.yaml").resources) == 3


def test_many_files_are_told_in_their_order_and_each_broken_one_once():
    parts = [load("a: [\n---\nb: [\n", "b.yaml"), load(tier("t"), "a.yaml"), load("x", "c.yaml")]
    both = together(parts)

    assert [told.file for told in both.diagnostics] == ["b.yaml", "b.yaml", "c.yaml"]
    assert (both.broken, len(both.resources)) == (("b.yaml", "c.yaml"), 1)


def test_a_resource_knows_where_it_was_written():
    loaded = load("# first line\n---\n" + tier("a") + "---\n" + tier("b"), "f.yaml")

    assert [resource.place for resource in loaded.resources] == [Place("f.yaml", 3, 1), Place("f.yaml", 8, 1)]


def test_a_resource_with_warnings_alone_is_accepted():
    loaded = load(tier("a", "{order: 010}"), "f.yaml")

    assert [(told.code, told.severity) for told in loaded.diagnostics] == [("W008", Severity.WARNING)]
    assert (names(loaded), errors(loaded)) == (["a"], [])
