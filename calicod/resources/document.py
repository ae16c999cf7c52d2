"""YAML and JSON text as documents of nodes that know their line and column.

Law: scalars mean what YAML 1.2 says (`1:10` and `no` are text). No input raises, recurses without bound or takes more
than linear time. What is malformed is a Diagnostic, and takes no other document of the file with it.
PyYAML is used here and nowhere else.
"""

import re
from collections.abc import Iterator

import yaml
from yaml._yaml import CParser

from calicod.errors import Diagnostic

Node = yaml.Node
Scalar = yaml.ScalarNode
Sequence = yaml.SequenceNode
Mapping = yaml.MappingNode

MAX_DEPTH = 64
"""Collections within collections; the deepest Calico resource has 9."""
MAX_TEXT = 64 << 20

PLAIN = ""
QUOTED = "'"
TAG = "tag:yaml.org,2002:"

_MARKER = re.compile(r"^(?:%[^\n]*\n)*---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_BLANK = re.compile(r"(?:[ \t]*(?:#[^\n]*)?(?:\r?\n|\Z))*\Z")
_SURROGATES = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")

_HINTS = {
    "found character that cannot start any token": "indent with spaces; text that begins with @ or ` needs quotes",
    "mapping values are not allowed in this context": "check the indentation, or quote text that contains `: `",
    "did not find expected key": "check the indentation of this line against those above",
    "did not find expected <document start>": "begin each further document with a line `---`",
    "found undefined alias": "text that begins with * needs quotes",
    "found unexpected end of stream": "close the quotes",
    "found unexpected document indicator": "close the quotes before the next document",
}


class Document:
    """The root node of one document and the number of lines before the text it was parsed from."""

    def __init__(self, root: Node, lines_before: int = 0) -> None:
        self.root = root
        self.lines_before = lines_before

    def position(self, node: Node) -> tuple[int, int]:
        """Line and column of a node, counted from 1."""
        mark = node.start_mark
        return self.lines_before + mark.line + 1, mark.column + 1


class _TooDeep(yaml.MarkedYAMLError):
    """Collections nested beyond `MAX_DEPTH`."""


class _Composer(CParser):
    """libyaml's parser; a node's tag is PLAIN, QUOTED or what the text says after `!`."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    def descend_resolver(self, parent: Node | None, index: object) -> None:  # the parser's signature
        self._depth += 1
        if self._depth > MAX_DEPTH:
            mark = parent.start_mark if parent else None
            raise _TooDeep(problem=f"nested more than {MAX_DEPTH} deep", problem_mark=mark)

    def ascend_resolver(self) -> None:
        self._depth -= 1

    def resolve(self, kind: type[Node], value: object, implicit: tuple[bool, bool] | bool) -> str:  # noqa: FBT001  # as above
        return PLAIN if implicit is True or (implicit and implicit[0]) else QUOTED


def _root(parser: _Composer) -> Node:
    node: Node | None = parser.get_node()
    assert node is not None  # noqa: S101  # asked only after check_node
    return node


class Unparsable(Exception):  # noqa: N818  # not an error by itself: the text is read again, document by document
    """The text as a whole is not a stream of documents."""


def stream(text: str) -> Iterator[Document]:
    """Every document of a text, as it is parsed. Raises Unparsable at the first syntax error."""
    try:
        parser = _Composer(text)
        while parser.check_node():
            yield Document(_root(parser))
    except yaml.YAMLError as error:
        raise Unparsable from error


def salvage(text: str, file: str) -> Iterator[Document | Diagnostic]:
    """Every document of a text that has syntax errors somewhere: each `---` begins anew (YAML 1.2, 9.1.2)."""
    for part, lines_before in _parts(text):
        documents: list[Document] = []
        try:
            parser = _Composer(part)
            while parser.check_node():
                documents.append(Document(_root(parser), lines_before))
        except yaml.YAMLError as error:
            yield _diagnostic(error, part, file, lines_before)
        else:
            yield from documents


def prepared(text: str, file: str) -> str | Diagnostic:
    """The text as the parser wants it, or why it cannot be had: too long, or not Unicode."""
    if len(text) > MAX_TEXT:
        return Diagnostic(code="Y002", message=f"longer than {MAX_TEXT >> 20} MiB", file=file)
    text = text.removeprefix("\ufeff")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        line, column = _line_column(text, error.start)
        message = f"character {error.start + 1} is half of a surrogate pair"
        return Diagnostic(code="Y002", message=message, file=file, line=line, column=column)
    # JSON writes characters beyond U+FFFF as two escapes, which YAML does not know.
    if text.lstrip()[:1] in {"{", "["} and "\\u" in text:
        text = _SURROGATES.sub(_joined_surrogates, text)
    return text


def _joined_surrogates(match: re.Match[str]) -> str:
    high, low = int(match[2], 16), int(match[3], 16)
    return f"{match[1]}\\U{0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00):08x}"


def _parts(text: str) -> Iterator[tuple[str, int]]:
    """The text cut before each document marker, with the number of lines before each part."""
    starts = [match.start() for match in _MARKER.finditer(text)]
    if not starts or not _BLANK.match(text[: starts[0]]):
        starts.insert(0, 0)
    else:
        starts[0] = 0
    lines_before = 0
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        yield text[start:end], lines_before
        lines_before += text.count("\n", start, end)


def _diagnostic(error: yaml.YAMLError, part: str, file: str, lines_before: int) -> Diagnostic:
    """What the parser complains about, in its words, at its place."""
    if isinstance(error, yaml.reader.ReaderError):
        encoded = part.encode()[: error.position]
        line, column = _line_column(encoded.decode(errors="ignore"), None)
        character = error.character if isinstance(error.character, int) else ord(error.character)
        message = f"character U+{character:04X}: {error.reason}"
        return Diagnostic(code="Y002", message=message, file=file, line=lines_before + line, column=column)
    if not isinstance(error, yaml.MarkedYAMLError):
        return Diagnostic(code="Y001", message=str(error), file=file, line=lines_before + 1, column=1)
    mark = error.problem_mark or error.context_mark
    problem = error.problem or "malformed YAML"
    message = problem
    if error.context:
        begun = f" that begins in line {lines_before + error.context_mark.line + 1}" if error.context_mark else ""
        message = f"{problem}, {error.context}{begun}" if error.problem else f"{error.context}{begun}"
    deep = isinstance(error, _TooDeep) or "nesting depth" in problem
    return Diagnostic(
        code="Y005" if deep else "Y001",
        message=message,
        hint=_tab_hint(part, mark) or _HINTS.get(problem),
        file=file,
        line=lines_before + (mark.line if mark else 0) + 1,
        column=(mark.column if mark else 0) + 1,
    )


def _tab_hint(part: str, mark: yaml.Mark | None) -> str | None:
    """The commonest mistake of all has no message of its own."""
    lines = part.split("\n") if mark else []
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    indent = line[: len(line) - len(line.lstrip())]
    return "YAML forbids tabs in the indentation: use spaces" if "\t" in indent else None


def _line_column(text: str, offset: int | None) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
