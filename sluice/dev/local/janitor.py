"""Outlives a killed `sluice up` by a moment: ends what it left running and makes status.json say so.

Run as a file with the path of the status file. Its standard input closes when the supervisor is gone, however that
happened. It holds the lock of the data directory until it is done, so that the next `sluice up` finds a true status.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path


def main(status_path: Path) -> None:
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    sys.stdin.buffer.read()
    clean(status_path)


def clean(status_path: Path) -> None:
    """After a clean end there is nothing to do: no role has a pid then."""
    try:
        status = json.loads(status_path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return  # it ended before its first status, or in another's hands
    for role in status["roles"].values():
        if role["pid"] is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(role["pid"], signal.SIGKILL)
    roles = {name: {"pid": None, "ready": False} for name in status["roles"]}
    scratch = status_path.with_suffix(".json.last")
    scratch.write_text(json.dumps({"ready": False, "roles": roles}, indent=2) + "\n", encoding="utf-8")
    scratch.replace(status_path)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
