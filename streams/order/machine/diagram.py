"""Draws the state diagrams of the docs from the transition table: `python -m streams.order.machine.diagram`."""

from __future__ import annotations

from pathlib import Path

from streams.order.machine.transitions import MAKERS, TABLES
from streams.order.model.entities import Manifest, Order, Return
from streams.order.model.events import EventKind

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "orders.md"
BEGIN = "<!-- diagram: {} -->"
END = "<!-- end of diagram -->"


def diagram(kind: str) -> str:
    """One kind's table as a mermaid state diagram: every cell that may lead to another state."""
    lines = ["```mermaid", "stateDiagram-v2"]
    for event, (made, _, states) in MAKERS.items():
        lines += [f"    [*] --> {state}: {event}" for state in states if kind == made.KIND]
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
    states = list(dict.fromkeys(state for state, _ in table))
    lines = [f"| event | {' | '.join(states)} |", f"|---|{'---|' * len(states)}"]
    for event in dict.fromkeys(event for _, event in table):
        marks = [_mark(table.get((state, event)) is not None, _moves(kind, state, event)) for state in states]
        lines.append(f"| {event} | {' | '.join(marks)} |")
    return "\n".join(lines)


def drawn(text: str) -> str:
    """The document with every diagram drawn anew."""
    for kind in (Order.KIND, Return.KIND, Manifest.KIND):
        before, _, rest = text.partition(BEGIN.format(kind))
        _, _, after = rest.partition(END)
        text = f"{before}{BEGIN.format(kind)}\n\n{diagram(kind)}\n\n{matrix(kind)}\n\n{END}{after}"
    return text


def _moves(kind: str, state: str, event: EventKind) -> bool:
    cell = TABLES[kind].get((state, event))
    return cell is not None and bool(cell.to)


def _mark(handled: bool, moves: bool) -> str:
    return ">" if moves else "x" if handled else " "


if __name__ == "__main__":
    DOCUMENT.write_text(drawn(DOCUMENT.read_text(encoding="utf-8")), encoding="utf-8")
