"""What a newcomer may forget: the test beside a module, the page of a code, the size of a core module."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from calicod.compiler.compile import compile
from calicod.daemon.settings import parse_settings
from calicod.errors import Diagnostic, PolicyError
from calicod.resources.load import load
from calicod.resources.snapshot import snapshot

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "calicod"
UNIT = ROOT / "tests" / "unit"
PAGES = ROOT / "docs" / "diagnostics"
CORE = ("compiler", "engine", "fields", "model", "packet", "resources", "ruleset", "selector")
CODE = re.compile(r"[YPRNWCKT]\d{3}|http-not-enforced")
EXAMPLE = re.compile(r"^```ya?ml\n(.*?)^```", re.MULTILINE | re.DOTALL)
NAMED_TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")
PAGE_LINES = 25
MODULE_LINES = 300
FUNCTION_LINES = 40

MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name not in {"__init__.py", "__main__.py"})
SOURCES = {path: ast.parse(path.read_text()) for path in MODULES}

LONG_MODULES: dict[str, str] = {}
"""Core modules above 300 lines, with the reason; a list to be emptied, not to grow."""

LONG_FUNCTIONS: dict[str, str] = {}
"""Core functions above 40 lines, with the reason; a list to be emptied, not to grow."""


def mirror(module: Path) -> Path:
    part = module.relative_to(PACKAGE)
    return UNIT / part.parent / f"test_{part.name}"


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def codes() -> set[str]:
    """Every code that the package can tell: whole string constants, so that prose does not count."""
    constants = (node.value for tree in SOURCES.values() for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {value for value in constants if isinstance(value, str) and CODE.fullmatch(value)}


def pages() -> dict[str, str]:
    return {path.stem: path.read_text() for path in sorted(PAGES.glob("*.md")) if CODE.fullmatch(path.stem)}


CODES = sorted(codes())
WRITTEN = pages()


# Modules and their tests


def test_every_module_has_its_test():
    assert [name(module) for module in MODULES if not mirror(module).is_file()] == []


def test_every_unit_test_has_its_module():
    mirrors = {mirror(module) for module in MODULES}

    assert [name(test) for test in sorted(UNIT.rglob("test_*.py")) if test not in mirrors] == []


@pytest.mark.parametrize("test", sorted(UNIT.rglob("test_*.py")), ids=name)
def test_a_unit_test_asserts_something(test):
    functions = [
        node
        for node in ast.walk(ast.parse(test.read_text()))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]

    assert functions, "a test file without a test"
    assert [function.name for function in functions if not asserts(function)] == []


def asserts(function: ast.FunctionDef) -> bool:
    """A statement that can fail: assert, `pytest.raises`, or a call of a helper that is named for it."""
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in {"raises", "fail"} or called.lstrip("_").startswith(("assert", "check", "expect", "refuse")):
                return True
    return False


# Sizes


def core() -> Iterator[Path]:
    return (module for module in MODULES if module.relative_to(PACKAGE).parts[0] in (*CORE, "errors.py"))


def test_core_modules_have_at_most_300_lines():
    long = {name(module) for module in core() if len(module.read_text().splitlines()) > MODULE_LINES}

    assert long == set(LONG_MODULES)


def test_core_functions_have_at_most_40_lines():
    long = {
        f"{name(module)}::{node.name}"
        for module in core()
        for node in ast.walk(SOURCES[module])
        if isinstance(node, ast.FunctionDef) and lines(node) > FUNCTION_LINES
    }

    assert long == set(LONG_FUNCTIONS)


def lines(function: ast.FunctionDef) -> int:
    """From `def` to the last line, decorators not counted."""
    return (function.end_lineno or 0) - function.lineno + 1


@pytest.mark.parametrize("module", MODULES, ids=name)
def test_a_module_says_what_it_holds(module):
    assert ast.get_docstring(SOURCES[module])


# Diagnostics


def test_every_code_has_a_page_and_every_page_a_code():
    assert sorted(WRITTEN) == CODES


@pytest.mark.parametrize("code", WRITTEN)
def test_a_page_is_short_and_titled_with_its_code(code):
    text = WRITTEN[code]

    assert text.startswith(f"# {code}: ")
    assert len(text.splitlines()) <= PAGE_LINES
    assert "**The way out.**" in text


@pytest.mark.parametrize("code", WRITTEN)
def test_the_example_of_a_page_triggers_its_code(code):
    """Where no text of a file can trigger it (bytes, kernel, permissions), the page names the test that does."""
    text = WRITTEN[code]
    examples = EXAMPLE.findall(text)
    named = NAMED_TEST.findall(text)

    assert examples or named, "neither a yaml example nor the test that provokes it"
    if examples and not named:
        assert code in found_in(code, examples[0])
    for file, test in named:
        assert code in function_source(ROOT / file, test)


def function_source(file: Path, function: str) -> str:
    """The text of a test, its decorators included."""
    source = file.read_text()
    node = next(n for n in ast.parse(source).body if isinstance(n, ast.FunctionDef) and n.name == function)
    first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
    return "\n".join(source.splitlines()[first - 1 : node.end_lineno])


def found_in(code: str, example: str) -> set[str]:
    """The codes that the first example of a page triggers: as configuration, or as resources, compiled too."""
    if code.startswith("C"):
        return set(refused_settings(example))
    loaded = load(example, "example.yaml")
    whole = snapshot(loaded.resources)
    nodes = {getattr(resource, "node", None) for resource in loaded.resources} | {None}
    compiled = (diagnostic for node in nodes for diagnostic in compile(whole, node).diagnostics)
    return {diagnostic.code for diagnostic in (*loaded.diagnostics, *compiled)} | set(refused_settings(example))


def refused_settings(example: str) -> Iterator[str]:
    try:
        parse_settings(example, "example.yaml")
    except PolicyError as error:
        yield from (diagnostic.code for diagnostic in error.diagnostics)


@pytest.mark.parametrize("code", [c for c in WRITTEN if c[0] in "YPRNW" and EXAMPLE.search(WRITTEN[c])])
def test_what_an_example_triggers_is_told_with_its_place(code):
    told = [d for d in load(EXAMPLE.findall(WRITTEN[code])[0], "example.yaml").diagnostics if d.code == code]

    assert all(placed(diagnostic) for diagnostic in told)


def placed(diagnostic: Diagnostic) -> bool:
    return diagnostic.file == "example.yaml" and diagnostic.line > 0
