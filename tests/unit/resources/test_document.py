"""YAML and JSON text: what cannot be parsed, where, and the way out."""

import pytest

from calicod.errors import Severity
from calicod.resources import document
from calicod.resources.document import MAX_DEPTH, Unparsable, prepared, salvage, stream
from calicod.resources.load import load

HEAD = "apiVersion: projectcalico.org/v3\nkind: GlobalNetworkPolicy\nmetadata: {name: a}\nspec:\n"
SPACES = "YAML forbids tabs in the indentation: use spaces"
QUOTES = "check the indentation, or quote text that contains `: `"
STAR = "text that begins with * or & needs quotes"
CONTROL = "remove it; if there are more, the file is no UTF-8 text"
MARKER = "begin each further document with a line `---`"


def refusal(text):
    """The one finding of a text of which nothing could be read."""
    loaded = load(text, "f.yaml")
    (told,) = loaded.diagnostics
    assert (loaded.resources, loaded.rejected, loaded.broken) == ((), (), ("f.yaml",))
    assert (told.file, told.severity) == ("f.yaml", Severity.ERROR)
    return told.code, told.line, told.column, told.hint


@pytest.mark.parametrize(
    ("text", "code", "line", "column", "hint"),
    [
        (HEAD + "  order: 1\n\tselector: all()\n", "Y001", 6, 1, SPACES),
        (HEAD + "\torder: 1\n", "Y001", 5, 1, SPACES),
        (HEAD + "  selector: a: b\n", "Y001", 5, 14, QUOTES),
        (HEAD + "  selector: @a\n", "Y001", 5, 13, "indent with spaces; text that begins with @ or ` needs quotes"),
        (HEAD + "  interfaceName: *\n", "Y001", 5, 19, STAR),
        (HEAD + "  interfaceName: *eth\n", "Y001", 5, 18, "text that begins with * needs quotes"),
        (HEAD + '  selector: "a\n', "Y001", 6, 1, "close the quotes"),
        (HEAD + '  selector: "a\n...\n', "Y001", 6, 1, "close the quotes before the next document"),
        (HEAD + "  ingress: [{action: Allow}\n", "Y001", 6, 1, None),
        (HEAD + '  selector: "\\ud800"\n', "Y001", 5, 16, None),
        ('{"a": 1} x', "Y001", 1, 10, MARKER),
        ("%YAML 1.3\n---\na: 1\n", "Y001", 1, 1, None),
        (HEAD + '  selector: "a\0b"\n', "Y002", 5, 15, CONTROL),
        (HEAD + "  selector: a\x07\n", "Y002", 5, 14, CONTROL),
        (HEAD + "  selector: a\udc80\n", "Y002", 5, 14, None),
    ],
)
def test_text_that_cannot_be_parsed_is_told_with_place_and_remedy(text, code, line, column, hint):
    assert refusal(text) == (code, line, column, hint)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_nesting_is_bounded(opening):
    assert refusal(opening * 100_000)[0] == "Y005"


@pytest.mark.parametrize(("depth", "codes"), [(MAX_DEPTH, ["Y014"]), (MAX_DEPTH + 1, ["Y005"])])
def test_the_bound_of_nesting_is_sharp(depth, codes):
    text = "[" * depth + "]" * depth

    assert [told.code for told in load(text, "f.yaml").diagnostics] == codes


def test_a_file_has_a_bounded_number_of_values(monkeypatch):
    monkeypatch.setattr(document, "MAX_NODES", 30)
    monkeypatch.setattr(document._Composer.__init__, "__defaults__", (30,))
    tier = "apiVersion: projectcalico.org/v3\nkind: Tier\nmetadata: {name: %s}\n"

    assert [told.code for told in load("---\n".join(tier % name for name in "abc"), "f.yaml").diagnostics] == []
    loaded = load("---\n".join(tier % name for name in "abcdef"), "f.yaml")

    assert [(told.code, told.hint) for told in loaded.diagnostics] == [("Y002", "split the file")]
    assert loaded.broken == ("f.yaml",)


POD = """- apiVersion: v1
  kind: Pod
  metadata: {name: p%d, namespace: a, managedFields: [{a: [b, c, d, e, f]}]}
  spec: {nodeName: n, volumes: [a, b, c, d, e, f, g, h], containers: [{image: i, env: [a, b, c, d]}]}
  status: {podIP: 10.0.0.%d, conditions: [a, b, c, d]}
"""


@pytest.mark.parametrize(("droppable", "codes"), [(4000, []), (300, ["Y002"])])
def test_what_no_resource_keeps_counts_for_less(monkeypatch, droppable, codes):
    monkeypatch.setattr(document, "MAX_NODES", 2000)
    monkeypatch.setattr(document, "MAX_DROPPED", droppable)
    monkeypatch.setattr(document._Composer.__init__, "__defaults__", (2000,))
    pods = "".join(POD % (number, number) for number in range(50))
    alone = POD.replace("- ", "  ", 1).replace("\n  ", "\n").removeprefix("  ")

    for text in (f"items:\n{pods}kind: List\napiVersion: v1\n", pods):
        assert [told.code for told in load(text, "f.yaml").diagnostics] == codes
    assert [told.code for told in load("---\n".join(alone % (n, n) for n in range(50)), "f").diagnostics] == codes


def test_of_what_a_resource_keeps_all_counts(monkeypatch):
    monkeypatch.setattr(document, "MAX_NODES", 2000)
    monkeypatch.setattr(document._Composer.__init__, "__defaults__", (2000,))
    networks = "".join(
        f"- apiVersion: projectcalico.org/v3\n  kind: GlobalNetworkSet\n  metadata: {{name: s{number}}}\n"
        f"  spec: {{nets: [{', '.join(f'10.{number}.{other}.0/24' for other in range(50))}]}}\n"
        for number in range(50)
    )

    assert refusal(networks)[0] == "Y002"


def test_a_file_has_a_bounded_length(monkeypatch):
    monkeypatch.setattr(document, "MAX_TEXT", 1 << 20)

    assert load("#" * (1 << 20), "f.yaml").diagnostics == ()
    assert refusal("#" * ((1 << 20) + 1)) == ("Y002", 0, 0, "split the file")


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_lines_are_counted_whatever_ends_them(newline):
    (told,) = load((HEAD + "  order: 1\n  bogus: 2\n").replace("\n", newline), "f.yaml").diagnostics

    assert (told.code, told.line, told.column) == ("Y011", 6, 3)


def test_a_byte_order_mark_may_stand_at_the_beginning_alone():
    told = load("\ufeff" + HEAD + "  bogus: 1\n", "f.yaml").diagnostics[0]
    joined = load(HEAD + "  order: 1\n---\n\ufeff" + HEAD + "  order: 2\n", "f.yaml")

    assert (told.code, told.line, told.column) == ("Y011", 5, 3)
    assert len(joined.resources) == 1
    assert (
        joined.diagnostics[0].hint
        == "remove the byte order mark (U+FEFF): it may stand only at the beginning of a file"
    )


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ("a: 1", 1),
        ("a: 1\n---\nb: 2", 2),
        ("--- 1\n--- 2\n", 2),
        ("a: '\n--- b'", None),
        ("# c\n", 0),
        ("", 0),
        ("---", 1),
    ],
)
def test_a_stream_is_all_documents_or_unparsable(text, documents):
    if documents is None:
        with pytest.raises(Unparsable):
            tuple(stream(text))
    else:
        assert len(tuple(stream(text))) == documents


def test_what_is_saved_from_a_broken_stream_knows_its_lines():
    text = "# head\n%YAML 1.1\n---\na: 1\n---\nb: [\n---\nc: 3\n"
    first, broken, last = salvage(text, "f.yaml")

    assert [part.position(part.root) for part in (first, last)] == [(4, 1), (8, 1)]
    assert (broken.code, broken.line) == ("Y001", 7)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        (r'{"a": "\ud83d\ude00"}', "\N{GRINNING FACE}"),
        (r'["\\ud83d\\ude00"]', r"\ud83d\ude00"),
        (r'{"a": "\u00e9"}', "é"),
    ],
)
def test_json_escapes_of_characters_beyond_the_basic_plane_are_understood(written, value):
    (read,) = stream(prepared(written, "f.json"))
    inner = read.root.value[0]

    assert (inner[1] if isinstance(inner, tuple) else inner).value == value


@pytest.mark.parametrize(
    "text",
    [
        "'" * 100_001,
        "&" * 100_000,
        "- |\n" * 20_000,
        "---\n[\n" * 10_000,
        "#\n" * 300_000,
        " " * 300_000 + "x: [",
        "a:\n" + " \n" * 100_000 + "\t[",
        "!" * 100_000,
    ],
    ids=["quotes", "anchors", "block scalars", "broken documents", "comments", "blanks", "blank lines", "tags"],
)
@pytest.mark.timeout(20)
def test_no_text_takes_more_than_linear_time(text):
    assert load(text, "f.yaml").resources == ()
