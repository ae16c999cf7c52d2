"""The parse tree of a selector, its canonical text, and what it means for a set of labels.

Law: a tree is a value: equal meaning by canonical text (semantics 3.5), no evaluation state.
A missing label makes `==`, `in`, `contains`, `starts with`, `ends with` false and `!=`, `not in` true (semantics 3.4).
"""

from collections.abc import Mapping

import msgspec


class All(msgspec.Struct, frozen=True, tag=True):
    """`all()`."""

    def __str__(self) -> str:
        return "all()"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Always true."""
        return True


class Global(msgspec.Struct, frozen=True, tag=True):
    """`global()`: meaningful only as a rule's namespaceSelector, where the compiler rewrites it (semantics 2.10)."""

    def __str__(self) -> str:
        return "global()"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """True when evaluated literally (semantics 3.4)."""
        return True


class Has(msgspec.Struct, frozen=True, tag=True):
    """`has(label)`."""

    label: str

    def __str__(self) -> str:
        return f"has({self.label})"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """The label is present, also with an empty value."""
        return self.label in labels


class Equals(msgspec.Struct, frozen=True, tag=True):
    """`label == "value"`."""

    label: str
    value: str

    def __str__(self) -> str:
        return f"{self.label} == {quoted(self.value)}"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Present and equal."""
        return labels.get(self.label) == self.value


class NotEquals(msgspec.Struct, frozen=True, tag=True):
    """`label != "value"`."""

    label: str
    value: str

    def __str__(self) -> str:
        return f"{self.label} != {quoted(self.value)}"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Absent or different."""
        return labels.get(self.label) != self.value


class Contains(msgspec.Struct, frozen=True, tag=True):
    """`label contains "text"`."""

    label: str
    value: str

    def __str__(self) -> str:
        return f"{self.label} contains {quoted(self.value)}"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Present with the text inside."""
        return self.label in labels and self.value in labels[self.label]


class StartsWith(msgspec.Struct, frozen=True, tag=True):
    """`label starts with "text"`."""

    label: str
    value: str

    def __str__(self) -> str:
        return f"{self.label} starts with {quoted(self.value)}"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Present with the text at its head."""
        return self.label in labels and labels[self.label].startswith(self.value)


class EndsWith(msgspec.Struct, frozen=True, tag=True):
    """`label ends with "text"`."""

    label: str
    value: str

    def __str__(self) -> str:
        return f"{self.label} ends with {quoted(self.value)}"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Present with the text at its tail."""
        return self.label in labels and labels[self.label].endswith(self.value)


class In(msgspec.Struct, frozen=True, tag=True):
    """`label in {"a", "b"}`; `values` sorted and unique."""

    label: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.label} in {braced(self.values)}"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Present with one of the values."""
        return labels.get(self.label) in self.values


class NotIn(msgspec.Struct, frozen=True, tag=True):
    """`label not in {"a", "b"}`; `values` sorted and unique."""

    label: str
    values: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.label} not in {braced(self.values)}"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Absent or with none of the values."""
        return labels.get(self.label) not in self.values


class Not(msgspec.Struct, frozen=True, tag=True):
    """`!operand`; the parser folds an even number of `!` away."""

    operand: "Selector"

    def __str__(self) -> str:
        return f"!{self.operand}"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """The operand does not match."""
        return not self.operand.matches(labels)


class And(msgspec.Struct, frozen=True, tag=True):
    """Two or more operands joined by `&&`, flattened as written."""

    operands: tuple["Selector", ...]

    def __str__(self) -> str:
        return f"({' && '.join(str(o) for o in self.operands)})"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Every operand matches."""
        return all(o.matches(labels) for o in self.operands)


class Or(msgspec.Struct, frozen=True, tag=True):
    """Two or more operands joined by `||`, flattened as written."""

    operands: tuple["Selector", ...]

    def __str__(self) -> str:
        return f"({' || '.join(str(o) for o in self.operands)})"

    def matches(self, labels: Mapping[str, str]) -> bool:
        """At least one operand matches."""
        return any(o.matches(labels) for o in self.operands)


Selector = All | Global | Has | Equals | NotEquals | Contains | StartsWith | EndsWith | In | NotIn | Not | And | Or


def quoted(value: str) -> str:
    """A value in double quotes, or in single quotes when it holds a double one (semantics 3.5)."""
    return f"'{value}'" if '"' in value else f'"{value}"'


def braced(values: tuple[str, ...]) -> str:
    """A set of values as Calico prints it."""
    return "{" + ", ".join(quoted(v) for v in values) + "}"
