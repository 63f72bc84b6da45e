"""Rules of compiled modules: what breaks one of them works when it is interpreted, and does not when it is compiled."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache

import pytest

from sluice.dev.compiled.modules import compiled_modules
from topics.compiled import ROOT

MODULES = tuple(compiled_modules(ROOT))
ENUMS = {"Enum", "StrEnum", "IntEnum"}
INTERPRETED_BASES = {"NamedTuple", "Protocol", "Role"}
"""A class with such a base is none of mypyc's own, so what is in its body belongs to the class, as ever."""
FLOATS = {
    "gateway/access/brake.py": "the clock",
    "gateway/access/control.py": "a wait, of which whole seconds are told",
    "gateway/access/token_bucket.py": "the clock, and counts that grow with it",
    "gateway/admission/calls.py": "the clock",
    "gateway/admission/limiter.py": "the clock, and a limit that is given out as a whole number",
    "gateway/admission/shares.py": "the clock, and rates that are only compared",
    "gateway/admission/standstill.py": "the clock",
    "gateway/http/call.py": "the clock",
    "gateway/kafka/commands.py": "a time-out from the settings",
    "gateway/kafka/deadlines.py": "the clock",
    "gateway/touchpoints/ingress.py": "a time-out from the settings",
    "streams/order/model/canonical.py": "numbers of a body that is read for its digest alone, each a plain float",
    "streams/order/model/meaning.py": "as in canonical.py",
    "streams/order/records/ticks.py": "a time-out from the settings",
    "streams/runtime/decide.py": "the clock",
    "topics/records/json_text.py": "the class of the number itself, and a test of which it is",
}
"""Compiled modules that name `float`, and what is one there. A value that is typed so is made a plain float: an int and
a WrittenFloat are no more what they were."""


@cache
def tree(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), name)


def classes(name: str) -> Iterator[ast.ClassDef]:
    return (node for node in ast.walk(tree(name)) if isinstance(node, ast.ClassDef))


def names(nodes: list[ast.expr]) -> set[str]:
    return {node.id for each in nodes for node in ast.walk(each) if isinstance(node, ast.Name)}


@pytest.mark.parametrize("name", MODULES)
def test_a_generator_is_read_where_it_is_made(name: str) -> None:
    """mypyc reads a generator expression at once, so one that is kept for later would see what is there now."""
    read = {id(given) for node in ast.walk(tree(name)) if isinstance(node, ast.Call) for given in node.args}
    read |= {id(node.value) for node in ast.walk(tree(name)) if isinstance(node, ast.Starred)}
    found = [
        node.lineno for node in ast.walk(tree(name)) if isinstance(node, ast.GeneratorExp) and id(node) not in read
    ]
    assert found == [], "a generator expression is the argument of a call that reads it; else make a list"


@pytest.mark.parametrize("name", MODULES)
def test_nothing_is_looked_for_among_what_is_unpacked(name: str) -> None:
    compared = [each for node in ast.walk(tree(name)) if isinstance(node, ast.Compare) for each in node.comparators]
    found = [
        node.lineno
        for node in compared
        if isinstance(node, ast.Tuple | ast.List | ast.Set)
        for each in node.elts
        if isinstance(each, ast.Starred)
    ]
    assert found == [], "`x in (A, *B)` is not compiled: `x == A or x in B`"


@pytest.mark.parametrize("name", MODULES)
def test_classes_have_no_options(name: str) -> None:
    """mypyc drops `frozen=True` and the like, and types of members, so Structs and models of pydantic are left out."""
    assert [each.name for each in classes(name) if each.keywords] == []
    bases = {each.name: names(each.bases) for each in classes(name)}
    assert [made for made, of in bases.items() if of & {"Struct", "Value", "JsonRecord", "BaseModel"}] == []


@pytest.mark.parametrize("name", MODULES)
def test_what_belongs_to_a_class_is_a_classvar(name: str) -> None:
    """A member with a value is one of each object otherwise, and the class itself has a descriptor. A dataclass's are
    each object's in both forms: its constructor has the values."""
    found = [
        f"{each.name}:{member.lineno}"
        for each in classes(name)
        if not names(each.bases) & (ENUMS | INTERPRETED_BASES) and "dataclass" not in names(each.decorator_list)
        for member in each.body
        if (isinstance(member, ast.Assign) and names(member.targets) != {"__slots__"})
        or (
            isinstance(member, ast.AnnAssign)
            and member.value is not None
            and "ClassVar" not in names([member.annotation])
        )
    ]
    assert found == []


@pytest.mark.parametrize("name", MODULES)
def test_no_attribute_is_set_past_its_class(name: str) -> None:
    found = [
        node.lineno for node in ast.walk(tree(name)) if isinstance(node, ast.Attribute) and node.attr == "__setattr__"
    ]
    assert found == [], "object.__setattr__ does not know the attributes of a compiled class"


WAITS = (ast.Await, ast.Yield, ast.YieldFrom, ast.AsyncWith, ast.AsyncFor)
IMMEDIATE = {"asyncio.timeout", "asyncio.timeout_at"}
"""Asynchronous context managers that do not wait at their end."""


def waits(nodes: Iterable[ast.AST]) -> Iterator[int]:
    """The lines at which a coroutine or generator may stop among these statements, not in functions that they make."""
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, WAITS):
            yield node.lineno
        yield from waits(ast.iter_child_nodes(node))


@pytest.mark.parametrize("name", MODULES)
def test_nothing_waits_while_an_exception_is_handled(name: str) -> None:
    """A compiled coroutine keeps the exception that it handles in the thread. If it waits meanwhile, another takes that
    for its own, and raises it: a reader of a topic ended with the cancellation of another task."""
    handlers = [
        statements
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Try)
        for statements in (node.finalbody, *(handler.body for handler in node.handlers))
    ]
    found = [line for statements in handlers for line in waits(statements)]
    found += [
        item.context_expr.lineno
        for node in ast.walk(tree(name))
        if isinstance(node, ast.AsyncWith)
        for item in node.items
        if ast.unparse(item.context_expr).partition("(")[0] not in IMMEDIATE
    ]
    assert found == [], "await behind the `try`; an `async with` other than asyncio.timeout waits at its end"


def test_floats_are_few_and_known() -> None:
    found = {
        name for name in MODULES for node in ast.walk(tree(name)) if isinstance(node, ast.Name) and node.id == "float"
    }
    assert found == set(FLOATS)
