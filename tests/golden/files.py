"""The recorded files: effects and states as compressed lines of JSON, and the digests of the stored bytes."""

from __future__ import annotations

import json
import lzma
from pathlib import Path
from typing import Any

from tests.golden.recording import Line

HERE = Path(__file__).parent
EFFECTS = HERE / "effects.ndjson.xz"
STORED = HERE / "stored_bytes.json"


def read_effects() -> list[Line]:
    lines = lzma.decompress(EFFECTS.read_bytes()).splitlines() if EFFECTS.exists() else []
    return [json.loads(line) for line in lines]


def write_effects(lines: list[bytes]) -> None:
    EFFECTS.write_bytes(lzma.compress(b"\n".join(lines), preset=9 | lzma.PRESET_EXTREME))


def read_stored() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(STORED.read_text(encoding="utf-8")) if STORED.exists() else {}
    return found


def write_stored(digests: dict[str, str]) -> None:
    STORED.write_text(json.dumps(digests, indent=2) + "\n", encoding="utf-8")
