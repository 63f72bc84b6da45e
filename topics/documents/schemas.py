"""JSON Schemas of facts: `python -m topics.documents.schemas` writes schemas/facts, with `release` schemas/released
too.

`schemas/facts` describes the facts that are written now, `schemas/released` those that readers may rely on. A test
compares them by the rules of topics.documents.compatibility, and a release refuses changes that break them.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from topics.documents.compatibility import breaks
from topics.documents.json_schema import Untitled
from topics.records.facts.catalogue import EVERY_FACT

DIRECTORY = Path("schemas")
PRESENT = "facts"
RELEASED = "released"


def render() -> dict[str, dict[str, Any]]:
    """The schema of each fact as it is written now, by name."""
    return {name: _schema(name) for name in EVERY_FACT}


def _schema(name: str) -> dict[str, Any]:
    schema = EVERY_FACT[name].model_json_schema(schema_generator=Untitled)
    return {"$schema": Untitled.schema_dialect, "$id": f"urn:sluice:fact:{name}:v1", **schema}


def text(schema: Mapping[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def read(directory: Path) -> dict[str, dict[str, Any]]:
    """The schemas in a directory, by fact name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(directory.glob("*.json"))}


def write(directory: Path) -> None:
    """Writes the schemas of `render` to a directory, and deletes all others there."""
    directory.mkdir(parents=True, exist_ok=True)
    schemas = render()
    for path in directory.glob("*.json"):
        if path.stem not in schemas:
            path.unlink()
    for name, schema in schemas.items():
        (directory / f"{name}.json").write_text(text(schema), encoding="utf-8")


def release(root: Path) -> list[str]:
    """Makes the present schemas the released ones, unless they would break readers. Returns what would."""
    found = list(breaks(read(root / RELEASED), render()))
    if not found:
        write(root / RELEASED)
    return found


def main(arguments: list[str]) -> int:
    write(DIRECTORY / PRESENT)
    found = release(DIRECTORY) if arguments == ["release"] else []
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
