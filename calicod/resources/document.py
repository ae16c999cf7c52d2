"""YAML and JSON text as documents of nodes that know their line and column.

Law: scalars mean what YAML 1.2 says (`1:10` and `no` are text). No input raises, recurses without bound or takes more
than linear time. What is malformed is a Diagnostic, and takes no other document of the file with it.
A long list of resources need not be in memory as a whole: each may be taken as soon as it is complete.
PyYAML is used here and nowhere else.
"""

import re
from collections.abc import Callable, Iterator
from typing import NoReturn

import yaml
from yaml._yaml import CParser

from calicod.errors import Diagnostic

Node = yaml.Node
Scalar = yaml.ScalarNode
Sequence = yaml.SequenceNode
Mapping = yaml.MappingNode

MAX_DEPTH = 64
"""Collections within collections; the deepest Calico resource has 9."""
MAX_TEXT = 128 << 20
MAX_NODES = 1_200_000
"""Values of one file that are kept at a time, so that a network set of a million fits in: some 650 MB and seconds,
where the text alone would allow sixty times as many."""
MAX_DROPPED = 10_000_000
"""Values of one file beside these, of which nothing stays: a dump of ten thousand pods has half as many."""
ITEMS, ITEM_DEPTH = "items", 3
"""Where resources stand in a list of them, as kubectl prints it."""
LONG = 256
"""Items of a list behind which scalars know only where they begin: 150 bytes less, of a million."""

PLAIN = ""
QUOTED = "'"
TAG = "tag:yaml.org,2002:"

_MARKER = re.compile(r"^(?:%[^\n]*\n)*---(?=[ \t\r\n]|\Z)", re.MULTILINE)
_BLANK = re.compile(r"(?:[ \t]*(?:#[^\n]*)?(?:\r?\n|\Z))*\Z")
_SURROGATES = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")

_TOO_MANY = f"the file has more than {MAX_NODES:,} values, or {MAX_DROPPED:,} with all that policy does not need"
_SPLIT = "split the file"
_HINTS = {
    _TOO_MANY: _SPLIT,
    "found character that cannot start any token": "indent with spaces; text that begins with @ or ` needs quotes",
    "mapping values are not allowed in this context": "check the indentation, or quote text that contains `: `",
    "did not find expected key": "check the indentation of this line against those above",
    "did not find expected <document start>": "begin each further document with a line `---`",
    "found undefined alias": "text that begins with * needs quotes",
    "did not find expected alphabetic or numeric character": "text that begins with * or & needs quotes",
    "control characters are not allowed": "remove it; if there are more, the file is no UTF-8 text",
    "found unexpected end of stream": "close the quotes",
    "found unexpected document indicator": "close the quotes before the next document",
}


class Document:
    """The root node of one document and the number of lines before the text it was parsed from.

    `nodes`: how many were made of it; `kept`: how many of them count for as long as the file is read.
    """

    def __init__(self, root: Node, lines_before: int = 0, nodes: int = 0) -> None:
        self.root = root
        self.lines_before = lines_before
        self.nodes = self.kept = nodes

    def position(self, node: Node) -> tuple[int, int]:
        """Line and column of a node, counted from 1."""
        mark = node.start_mark
        return self.lines_before + mark.line + 1, mark.column + 1


class Taken(yaml.ScalarNode):
    """Stands in a list for an item that was taken out of it, with what came of that."""

    def __init__(self, item: Node, outcome: object) -> None:
        super().__init__(QUOTED, "", item.start_mark, item.start_mark)
        self.outcome = outcome


Take = Callable[[Document], Taken | None]
"""Looks at an item of a list of resources as at a document of its own; None leaves it where it is."""


class _TooDeep(yaml.MarkedYAMLError):
    """Collections nested beyond `MAX_DEPTH`."""


class _TooMany(yaml.MarkedYAMLError):
    """More than `MAX_NODES` values."""


class _Composer(CParser):
    """libyaml's parser; a node's tag is PLAIN, QUOTED or what the text says after `!`. `left`: nodes it may make.

    `ascend_resolver` is what the parser calls when a node is complete: it forgets the last of `_open`.
    """

    __slots__ = ("_left_before", "_open", "ascend_resolver", "droppable", "left", "lines_before", "take")

    def __init__(self, text: str, left: int = MAX_NODES) -> None:
        super().__init__(text)
        self.left = self._left_before = left
        self.lines_before = 0
        self.take: Take | None = None
        self.droppable = MAX_DROPPED
        # Of each node that is being made its key or number within its parent.
        self._open: list[object] = []
        self.ascend_resolver = self._open.pop

    def descend_resolver(self, parent: Node | None, index: object) -> None:  # the parser's signature
        opened = self._open
        opened.append(index)
        self.left = left = self.left - 1
        if left < 0 or len(opened) > MAX_DEPTH:
            self._refuse(parent)
        # A class is compared, where `isinstance` would cost as much as all the rest of this.
        if index.__class__ is int and index and parent is not None:
            if index > LONG:
                last = parent.value[-1]
                last.end_mark = last.start_mark
            if len(opened) <= ITEM_DEPTH and self.take is not None:
                self._offer(parent.value, self.take)

    def _offer(self, items: list[Node], take: Take) -> None:
        """The last item so far of a list is complete: if the list may be one of resources, it may be taken out."""
        if len(self._open) == ITEM_DEPTH and getattr(self._open[1], "value", None) != ITEMS:
            return
        # The node that follows is counted already.
        self.left += 1
        document = Document(items[-1], self.lines_before, self._left_before - self.left)
        taken = take(document)
        if taken is not None:
            items[-1] = taken
        self.settle(document)
        self.left -= 1

    def settle(self, document: Document) -> None:
        """What is not kept of a document may be made again."""
        dropped = min(document.nodes - document.kept, self.droppable)
        self.droppable -= dropped
        self.left += dropped
        self._left_before = self.left

    def document(self) -> Document:
        """The next one, asked for only after check_node."""
        node: Node | None = self.get_node()
        assert node is not None  # noqa: S101  # as said
        nodes = self._left_before - self.left
        self._left_before = self.left
        return Document(node, self.lines_before, nodes)

    def _refuse(self, parent: Node | None) -> NoReturn:
        mark = parent.start_mark if parent else None
        if self.left < 0:
            raise _TooMany(problem=_TOO_MANY, problem_mark=mark)
        raise _TooDeep(problem=f"nested more than {MAX_DEPTH} deep", problem_mark=mark)

    def resolve(self, kind: type[Node], value: object, implicit: tuple[bool, bool] | bool) -> str:  # noqa: FBT001  # as above
        return PLAIN if implicit is True or (implicit and implicit[0]) else QUOTED


class Unparsable(Exception):  # noqa: N818  # not an error by itself: the text is read again, document by document
    """The text as a whole is not a stream of documents."""


def stream(text: str, take: Take | None = None) -> Iterator[Document]:
    """Every document of a text, as it is parsed. Raises Unparsable at the first syntax error.

    `take` is offered the items of lists of resources, the last one apart, before the document is complete.
    """
    try:
        parser = _Composer(text)
        parser.take = take
        while parser.check_node():
            document = parser.document()
            yield document
            parser.settle(document)
    except yaml.YAMLError as error:
        raise Unparsable from error


def salvage(text: str, file: str, take: Take | None = None) -> Iterator[Document | Diagnostic]:
    """Every document of a text that has syntax errors somewhere: each `---` begins anew (YAML 1.2, 9.1.2).

    `take` as of `stream`; what it took of a document that turns out to be broken is gone with it.
    """
    left, droppable = MAX_NODES, MAX_DROPPED
    for part, lines_before in _parts(text):
        documents: list[Document] = []
        parser = _Composer(part, left)
        parser.take, parser.lines_before, parser.droppable = take, lines_before, droppable
        try:
            while parser.check_node():
                documents.append(parser.document())
        except yaml.YAMLError as error:
            yield _diagnostic(error, part, file, lines_before)
            if isinstance(error, _TooMany):
                return
        else:
            for document in documents:
                yield document
                parser.settle(document)
        left, droppable = parser.left, parser.droppable


def prepared(text: str, file: str) -> str | Diagnostic:
    """The text as the parser wants it, or why it cannot be had: too long, or not Unicode."""
    if len(text) > MAX_TEXT:
        return Diagnostic(code="Y002", message=f"longer than {MAX_TEXT >> 20} MiB", hint=_SPLIT, file=file)
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
        hint = _HINTS.get(error.reason)
        return Diagnostic(code="Y002", message=message, hint=hint, file=file, line=lines_before + line, column=column)
    if not isinstance(error, yaml.MarkedYAMLError):
        return Diagnostic(code="Y001", message=str(error), file=file, line=lines_before + 1, column=1)
    mark = error.problem_mark or error.context_mark
    problem = error.problem or "malformed YAML"
    message = problem
    if error.context:
        begun = f" that begins in line {lines_before + error.context_mark.line + 1}" if error.context_mark else ""
        message = f"{problem}, {error.context}{begun}" if error.problem else f"{error.context}{begun}"
    return Diagnostic(
        code=_code(error, problem),
        message=message,
        hint=_line_hint(part, mark) or _HINTS.get(problem),
        file=file,
        line=lines_before + (mark.line if mark else 0) + 1,
        column=(mark.column if mark else 0) + 1,
    )


def _code(error: yaml.MarkedYAMLError, problem: str) -> str:
    if isinstance(error, _TooMany):
        return "Y002"
    return "Y005" if isinstance(error, _TooDeep) or "nesting depth" in problem else "Y001"


def _line_hint(part: str, mark: yaml.Mark | None) -> str | None:
    """The commonest mistakes of all have no messages of their own."""
    if "\ufeff" in part:
        return "remove the byte order mark (U+FEFF): it may stand only at the beginning of a file"
    lines = part.split("\n") if mark else []
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    indent = line[: len(line) - len(line.lstrip())]
    return "YAML forbids tabs in the indentation: use spaces" if "\t" in indent else None


def _line_column(text: str, offset: int | None) -> tuple[int, int]:
    before = text[:offset]
    return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
