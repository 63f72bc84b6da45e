"""Kafka clients are made in one place, and libraries' private attributes are touched in few."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import MagicMock

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.fetcher import Fetcher

from topics.configuration.settings import load_settings
from topics.kafka import clients

ROOT = Path(__file__).parents[4]
PACKAGES = ("topics", "journal", "gateway", "streams", "sluice")
FACTORY = "topics/kafka/clients.py"
OVERRIDES = {
    FACTORY,
    "topics/kafka/fetched_records.py",
    "topics/kafka/prompt_fetches.py",
    "topics/kafka/time_outs.py",
    "gateway/http/whole_response.py",
    "topics/http_faults.py",
    "topics/paths/resources.py",
    "streams/runtime/transport/chunk_transport.py",
    "streams/runtime/durability/changelog.py",
}
OVERRIDES |= {"streams/runtime/durability/publisher.py"}
"""Modules that may touch private attributes of a library; each has a test against the stock behaviour."""
CLIENTS = ("AIOKafkaConsumer", "AIOKafkaProducer", "AIOKafkaAdminClient", "AIOKafkaClient")

MODULES = {
    str(path.relative_to(ROOT)): ast.parse(path.read_text())
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}


def last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def constructions(tree: ast.Module) -> Iterator[str]:
    """Calls of a client's class, and classes made from one."""
    for node in ast.walk(tree):
        called = [node.func] if isinstance(node, ast.Call) else node.bases if isinstance(node, ast.ClassDef) else []
        yield from (f"line {one.lineno}: {last_name(one)}" for one in called if last_name(one) in CLIENTS)


def imported(tree: ast.Module) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def own_private_names(tree: ast.Module) -> set[str]:
    """Names that the module itself gives to functions, classes, or attributes of `self`."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and last_name(node.value) == "self":
            found.add(node.attr)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)  # __slots__
    return found


DOCUMENTED = {"_exit"}
"""Functions of Python itself that its documentation names, although they look private."""


def foreign_private(tree: ast.Module) -> Iterator[str]:
    """Private attributes of what is neither `self` nor of this module's making."""
    own = own_private_names(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not node.attr.startswith("_") or node.attr.endswith("__"):
            continue
        if last_name(node.value) in {"self", "cls"} or node.attr in own | DOCUMENTED:
            continue
        yield f"line {node.lineno}: {ast.unparse(node)}"


def test_kafka_clients_are_made_only_by_the_factory() -> None:
    made = {name: list(constructions(tree)) for name, tree in MODULES.items() if name != FACTORY}
    assert {name: found for name, found in made.items() if found} == {}
    assert sum(1 for _ in constructions(MODULES[FACTORY])) >= 3, "the test knows a construction when it sees one"


def test_private_attributes_of_libraries_are_touched_only_where_overrides_live() -> None:
    """Nor are those of our own modules elsewhere."""
    touched = {name: list(foreign_private(tree)) for name, tree in MODULES.items() if name not in OVERRIDES}
    assert {name: found for name, found in touched.items() if found} == {}
    assert all(list(foreign_private(MODULES[name])) for name in OVERRIDES), "the test knows one when it sees one"


def test_only_the_transport_extends_or_imports_faust() -> None:
    users = {name for name, tree in MODULES.items() if imported(tree) & {"faust", "mode"}}
    assert users == {"streams/runtime/transport/chunk_transport.py"}


def test_stock_fetcher_holds_the_next_fetch_back_for_a_tenth_of_a_second() -> None:
    """It waits for the unread data of any partition of the node; that stalls one verdict in a hundred."""
    backoff = inspect.signature(Fetcher.__init__).parameters["prefetch_backoff"].default
    assert backoff == 0.1
    assert backoff / clients.FETCH_BACKOFF_S >= 10
    assert "self._prefetch_backoff" in inspect.getsource(Fetcher._proc_fetch_request), "our override sets this name"


async def test_a_prompt_consumer_fetches_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(consumer: AIOKafkaConsumer) -> None:
        consumer._fetcher = MagicMock(_prefetch_backoff=0.1)

    monkeypatch.setattr(AIOKafkaConsumer, "start", start)
    settings = load_settings(kafka="nowhere:9")
    for prompt, backoff in ((True, clients.FETCH_BACKOFF_S), (False, 0.1)):
        consumer = clients.consumer(settings, "a-test", prompt=prompt)
        await consumer.start()
        assert consumer._fetcher._prefetch_backoff == backoff
