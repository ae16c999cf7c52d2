"""Whatever text comes in: resources, or findings that say where and why; never both lost, never an exception."""

import json
from pathlib import Path
from random import Random

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from calicod.compiler.compile import compile
from calicod.errors import Severity
from calicod.resources.load import Loaded, _read, load, together
from calicod.resources.snapshot import snapshot
from tests.property import hostile, mutations

PAGES = {page.stem for page in (Path(__file__).parents[2] / "docs" / "diagnostics").glob("*.md")}
FREE = {"labels", "annotations", "labelsToApply", "matchLabels"}
"""Mappings whose keys are the user's own."""

seeds = st.integers(0, 2**64).map(Random)


def check_told(loaded: Loaded, text: str) -> None:
    """Every finding has a page, a place within the text, and words that can be read on a terminal."""
    lines = text.count("\n") + text.count("\r") + text.count("\x85") + text.count("\u2028") + 1
    for told in loaded.diagnostics:
        assert told.code in PAGES
        assert told.file == "f.yaml"
        assert 1 <= told.line <= lines + 1
        assert told.column >= 1
        assert told.message
        assert not told.message.endswith(".")
        assert len(str(told)) < 1000
        assert str(told).replace("\n  hint:", "").isprintable()


def check_nothing_lost(loaded: Loaded) -> None:
    """What is refused is told by identity or by file; what is not refused leaves no mark."""
    errors = [told for told in loaded.diagnostics if told.severity is Severity.ERROR and told.code != "Y018"]

    assert bool(errors) is bool(loaded.rejected or loaded.broken)


@given(seeds)
def test_any_text_gives_resources_or_findings_and_compiles(random):
    text = mutations.text(random)
    loaded = load(text, "f.yaml")

    check_told(loaded, text)
    check_nothing_lost(loaded)
    assert compile(snapshot(loaded.resources), "n1").ruleset


@settings(deadline=None, max_examples=50)  # a bomb of aliases takes its second; `benchmarks/fuzz.py` runs many
@given(seeds)
def test_a_text_that_is_meant_to_hurt_gives_resources_or_findings(random):
    text = hostile.document(random)
    loaded = load(text, "f.yaml")

    check_told(loaded, text)
    check_nothing_lost(loaded)


@given(st.text(st.sampled_from(mutations.CHARACTERS + "abkindnamespec"), max_size=60))
def test_any_characters_give_findings_or_nothing(text):
    loaded = load(text, "f.yaml")

    check_told(loaded, text)
    check_nothing_lost(loaded)
    assert loaded.resources == ()


@given(seeds)
def test_a_field_that_nobody_knows_is_refused_wherever_it_stands(random):
    resource = mutations.closed(random)
    mappings = [
        path
        for path in ((), *mutations.paths(resource))
        if isinstance(mutations.at(resource, path), dict) and not FREE & set(path)
    ]
    path = random.choice(mappings)
    mutations.at(resource, path)[mutations.UNKNOWN] = mutations.odd(random)
    loaded = load(json.dumps(resource), "f.yaml")

    # Of a list, the good items are accepted all the same.
    assert loaded.resources == () or path == ()
    assert "Y011" in {told.code for told in loaded.diagnostics}


def listed(random: Random) -> str:
    """Some resources as a list, most of them mutated, some the same node as an earlier one; now and then no list."""
    items = [mutations.mutated(random) if random.random() < 0.7 else mutations.closed(random) for _ in range(4)]
    items += random.choices(items, k=random.randrange(2))
    random.shuffle(items)
    kind = random.choice(["List", "List", "List", "TierList", "NetworkPolicyList", "Tier", "", None])
    head = {"apiVersion": random.choice(["v1", mutations.CALICO])} | ({} if kind is None else {"kind": kind})
    parts = [("items", items), *head.items()]
    random.shuffle(parts)
    root = items if random.random() < 0.1 else dict(parts)
    written = yaml.dump(root, Dumper=yaml.SafeDumper, allow_unicode=True, sort_keys=False)
    cut = random.randrange(len(written)) if random.random() < 0.1 else len(written)
    return written[:cut] + random.choice(["", "", "", "]\n---\n" + written])


@given(seeds)
def test_a_list_that_is_read_item_by_item_is_read_as_if_it_was_whole(random):
    text = listed(random)

    assert load(text, "f.yaml") == together([_read(text, "f.yaml", early=False).loaded()])


@given(seeds)
def test_json_and_yaml_of_one_resource_are_read_alike(random):
    resource = mutations.mutated(random)
    written = yaml.safe_dump(resource, allow_unicode=True, sort_keys=False)
    as_json, as_yaml = load(json.dumps(resource), "f"), load(written, "f")

    assert {(told.code, told.path) for told in as_json.diagnostics} == {(t.code, t.path) for t in as_yaml.diagnostics}
    assert len(as_json.resources) == len(as_yaml.resources)
