"""Tables of text that fit the terminal, and ages in words."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

GAP = "  "
LEAST = 8
"""Characters that a column keeps when a table is made to fit."""


def table(rows: Sequence[Sequence[str]], sides: str, width: int | None = None) -> Iterator[str]:
    """Yield the lines of a table. `sides`: of each column, `l` or `r`; `L`: as `l`, and cut where the table is wider
    than `width`, the widest column first. A row is one line, whatever its texts have in them."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(sides))]
    _fit(widths, sides, width)
    for row in cells:
        shown = [
            cut(cell, size).rjust(size) if side == "r" else cut(cell, size).ljust(size)
            for cell, size, side in zip(row, widths, sides, strict=True)
        ]
        yield GAP.join(shown).rstrip()


def _fit(widths: list[int], sides: str, width: int | None) -> None:
    """Narrow the columns that may be cut until the table fits, or none can be narrower."""
    room = terminal_width() if width is None else width
    while room is not None and sum(widths) + len(GAP) * (len(widths) - 1) > room:
        widest = max(
            (column for column, side in enumerate(sides) if side == "L"), key=lambda one: widths[one], default=None
        )
        if widest is None or widths[widest] <= LEAST:
            return
        widths[widest] -= 1


def terminal_width() -> int | None:
    """Return the columns of the terminal; None: the output goes elsewhere, and nothing is cut."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def cut(text: str, size: int) -> str:
    return text if len(text) <= size else f"{text[: max(size - 1, 0)]}…"


def printable(text: str) -> str:
    """Replace what a caller or a far side may have sent to steer a terminal."""
    return "".join(one if one.isprintable() else " " if one.isspace() else "?" for one in text)


def age(age_ms: int | None) -> str:
    """Return an age in one unit; `-`: there is none."""
    if age_ms is None:
        return "-"
    seconds = age_ms / 1000
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours = minutes / 60
    return f"{hours:.1f} h" if hours < 48 else f"{hours / 24:.1f} d"


def more_of(document: Mapping[str, Any], shown: int) -> list[str]:
    """Return a line where there is more than is shown."""
    return [f"the first {shown}; there are more: --limit N shows more"] if document["next"] else []
