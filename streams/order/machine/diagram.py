"""Writes the states of docs/orders.md from the transition table: `python -m streams.order.machine.diagram`."""

from __future__ import annotations

import ast
from enum import StrEnum
from pathlib import Path

import orjson

from streams.order.machine.transitions import MAKERS, TABLES
from streams.order.model.entities import Manifest, Order, Return
from streams.order.model.events import EventKind
from streams.order.model.meaning import DEFAULTS
from streams.order.model.states import ManifestState, OrderState, ReturnState

ROOT = Path(__file__).resolve().parents[3]
DOCUMENT = ROOT / "docs" / "orders.md"
SOURCE = ROOT / "streams" / "order" / "model" / "states.py"
PARTS = ("states", "diagram", "matrix")
BEGIN = "<!-- {} of {} -->"
DEFAULTS_BEGIN = "<!-- defaults -->"
END = "<!-- end -->"
STATES: dict[str, type[StrEnum]] = {Order.KIND: OrderState, Return.KIND: ReturnState, Manifest.KIND: ManifestState}


def states_table(kind: str) -> str:
    """One kind's states: what each means, and the states that may come next."""
    lines = ["| state | meaning | next |", "|---|---|---|"]
    for state, meaning in meanings(STATES[kind]).items():
        after = {to for (before, _), cell in TABLES[kind].items() if before == state for to in cell.to}
        lines.append(f"| {state} | {meaning} | {', '.join(to for to in STATES[kind] if to in after) or 'none'} |")
    return "\n".join(lines)


def meanings(states_of: type[StrEnum]) -> dict[str, str]:
    """State -> its docstring in the source, which the class does not keep."""
    tree = ast.parse(SOURCE.read_text(encoding="utf-8"))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == states_of.__name__)
    texts = [node.value.value for node in body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    return {state: str(text) for state, text in zip(states_of, texts, strict=True)}


def diagram(kind: str) -> str:
    """One kind's table as a mermaid state diagram: every cell that may lead to another state."""
    lines = ["```mermaid", "stateDiagram-v2"]
    for event, (made, _, begun) in MAKERS.items():
        lines += [f"    [*] --> {state}: {event}" for state in begun if kind == made.KIND]
    edges: dict[tuple[str, str], list[EventKind]] = {}
    for (state, event), cell in TABLES[kind].items():
        for to in sorted(cell.to):
            edges.setdefault((state, to), []).append(event)
    lines += [f"    {state} --> {to}: {', '.join(events)}" for (state, to), events in edges.items()]
    left = {state for state, _ in edges}
    lines += [f"    {state} --> [*]" for state in sorted({to for _, to in edges} - left)]
    return "\n".join([*lines, "```"])


def matrix(kind: str) -> str:
    """One kind's table as a table: `x` handled, `>` may lead to another state, blank: refused or early."""
    table = TABLES[kind]
    lines = [f"| event | {' | '.join(STATES[kind])} |", f"|---|{'---|' * len(STATES[kind])}"]
    for event in dict.fromkeys(event for _, event in table):
        marks = []
        for state in STATES[kind]:
            cell = table.get((state, event))
            marks.append(" " if cell is None else ">" if cell.to else "x")
        lines.append(f"| {event} | {' | '.join(marks)} |")
    return "\n".join(lines)


def defaults() -> str:
    """The members that mean the same left out as with their default."""
    lines = ["| in | left out, a member means |", "|---|---|"]
    for model, members in DEFAULTS.items():
        said = ", ".join(f"`{name}`: {orjson.dumps(default).decode()}" for name, default in members.items())
        lines.append(f"| {model.__name__} | {said} |")
    return "\n".join(lines)


def drawn(text: str) -> str:
    """The document with every generated part made anew."""
    text = _with_part(text, DEFAULTS_BEGIN, defaults())
    for kind in TABLES:
        for part, make in zip(PARTS, (states_table, diagram, matrix), strict=True):
            text = _with_part(text, BEGIN.format(part, kind), make(kind))
    return text


def _with_part(text: str, begin: str, part: str) -> str:
    before, _, rest = text.partition(begin)
    _, _, after = rest.partition(END)
    return f"{before}{begin}\n\n{part}\n\n{END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(drawn(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
