"""Keys, merge keys, tags and aliases: what must hold before anybody reads."""

import pytest

from calicod.resources.load import load
from tests.unit.resources.reading import Finding, found, taken, text

HEAD = "apiVersion: projectcalico.org/v3\n"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join(10 * [f'*{old}'])}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
MERGES = f"x: &x {{{', '.join(f'k{number}: 1' for number in range(1000))}}}\n<<: [{', '.join(10_000 * ['*x'])}]\n"


@pytest.mark.parametrize(
    ("spec", "finding"),
    [
        ("order: 1\n«order: 2", Finding("Y003", "spec.order", "remove one of them")),
        ("order: 1\n«'order': 2", Finding("Y003", "spec.order", "remove one of them")),
        ("? «{a: b}\n: 1", Finding("Y007", "spec.?")),
        ("? «[a]\n: 1", Finding("Y007", "spec.?")),
        ("ingress: «!foo []", Finding("Y006", "spec.ingress", "remove the tag")),
        ("<<: «5", Finding("Y010", "spec.<<")),
        ("<<: «[a]", Finding("Y010", "spec.<<")),
    ],
)
def test_a_malformed_structure_is_refused_at_its_place(spec, finding):
    assert found(text("GlobalNetworkPolicy", spec)) == [finding]


def test_two_resources_without_a_line_between_them_are_told_how_to_part_them():
    told = found(f"{HEAD}kind: Tier\nmetadata: {{name: a}}\n\n«{HEAD}kind: Tier\nmetadata: {{name: b}}\n")

    assert told[:2] == [
        Finding("Y003", "apiVersion", "begin each further resource with a line `---`"),
        Finding("Y003", "kind", "begin each further resource with a line `---`"),
    ]


def test_the_first_of_equal_keys_is_told_with_its_place():
    (told,) = load(text("Tier", "order: 1\norder: 2"), "f.yaml").diagnostics

    assert told.message == 'key "order" is given twice, first at line 7, column 3'


def test_a_merge_key_takes_over_what_is_not_given_here():
    tier = taken("Tier", "<<: {order: 5, defaultAction: Pass}\norder: 6")

    assert (tier.order, tier.default_action.value) == (6.0, "Pass")


def test_of_several_merged_mappings_the_first_wins():
    assert taken("Tier", "<<: [{order: 5}, {order: 6}]").order == 5.0


FLAWS = ("selector: all(), selector: has(x)", "selector: all(), [x]: y")
POLICY = HEAD.replace("\n", ", ") + "kind: GlobalNetworkPolicy, metadata: {{name: {name}}}, spec: {spec}"


@pytest.mark.parametrize("flaw", [*FLAWS, "selector: all(), <<: 5", "selector: all(), <<: *s"])
@pytest.mark.parametrize("again", ["*s", "{<<: *s}"])
def test_what_is_wrong_with_a_mapping_refuses_each_resource_that_has_it(flaw, again):
    first, second, third = (
        POLICY.format(name=name, spec=spec) for name, spec in (("a", f"&s {{{flaw}}}"), ("b", again), ("c", "{}"))
    )
    loaded = load(f"- {{{first}}}\n- {{{second}}}\n- {{{third}}}\n", "f.yaml")

    assert [name for _, _, name in loaded.rejected] == ["a", "b"]
    assert [resource.metadata.name for resource in loaded.resources] == ["c"]


@pytest.mark.parametrize("flaw", FLAWS)
def test_what_is_merged_from_where_nobody_looks_is_looked_at(flaw):
    policy = POLICY.format(name="a", spec="{<<: *s}")
    loaded = load(f"{{apiVersion: v1, kind: List, metadata: &s {{{flaw}}}, items: [{{{policy}}}]}}", "f.yaml")

    assert loaded.rejected == (("GlobalNetworkPolicy", "", "a"),)


@pytest.mark.parametrize("flaw", FLAWS)
def test_of_one_resource_a_flaw_is_told_once(flaw):
    told = found(text("Tier", f"x: &s {{{flaw}}}\ny: *s\n<<: *s"))

    assert len([each for each in told if each.code in {"Y003", "Y007"}]) == 1


def test_a_quoted_merge_key_is_a_field_like_any_other():
    assert [told.code for told in found(text("Tier", "'<<': {order: 5}"))] == ["Y011"]


def test_an_alias_stands_for_what_it_names():
    policy = taken("NetworkPolicy", "ingress: &r [{action: Allow}]\negress: *r")

    assert policy.ingress == policy.egress


@pytest.mark.parametrize(
    "written",
    [
        f"{HEAD}kind: Tier\nmetadata: {{name: a}}\nspec: &s {{<<: *s}}\n",
        f"&r\n{HEAD}kind: Tier\nmetadata: {{name: a}}\nspec: *r\n",
        f"{HEAD}kind: Tier\nmetadata: {{name: a, managedFields: &m [*m]}}\n",
        f"{HEAD}kind: Tier\nmetadata: {{name: a}}\n{BOMB}",
        f"{HEAD}kind: Tier\nmetadata: {{name: a}}\n{MERGES}",
        f"{HEAD}kind: TierList\nitems: []\n{MERGES}",
    ],
    ids=["merged into itself", "root within itself", "where nobody looks", "a billion values", "merges", "in a list"],
)
def test_an_alias_without_end_is_refused(written):
    loaded = load(written, "f.yaml")

    assert "Y004" in {told.code for told in loaded.diagnostics}
    assert loaded.resources == ()


def test_the_aliases_of_all_documents_of_a_file_share_one_allowance():
    part = BOMB[: BOMB.index("f:")] + "---\n"

    assert "Y004" not in {told.code for told in load(part, "f.yaml").diagnostics}
    assert "Y004" in {told.code for told in load(part * 12, "f.yaml").diagnostics}
