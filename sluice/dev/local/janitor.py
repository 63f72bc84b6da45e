"""Process that cleans up after a killed `sluice up`: ends the roles left running and corrects status.json.

It is run as a file with the path of the status file. Its standard input closes when the supervisor is gone, for any
reason. It holds the lock of the data directory until it is done, so that the next `sluice up` finds a true status.
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
    """Kill the roles in the status file. After a clean end it has no pids."""
    try:
        status = json.loads(status_path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return  # `sluice up` ended before it wrote a status, or the file was changed by another program
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
