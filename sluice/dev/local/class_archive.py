"""`make setup`: Kafka's jars, and its classes as the JVM has them once they are loaded and checked.

Finding and checking some six thousand classes is half the work of Kafka's start. With this archive it is done once. The
JVM looks at every start whether the archive is of this Java and these jars, and goes on without it when it is not.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from sluice.dev.local.broker import Broker
from sluice.dev.local.jars import class_archive, ensure_jars, find_java
from sluice.dev.local.ports import free_ports
from sluice.errors import StartError

_DUMP_TIMEOUT_S = 120.0
"""Writing takes five seconds after the end of Kafka; this is for a machine that is busy."""


def keep_classes(java: str, jars: Path) -> bool:
    """Starts and ends a Kafka to write what it has loaded; nothing is done when that is there. False: it cannot be."""
    final = class_archive(java, jars)
    if final.exists():
        return True
    with tempfile.TemporaryDirectory(dir=final.parent, prefix="classes-") as scratch:
        written = Path(scratch) / "classes.jsa"
        broker = Broker(Path(scratch) / "kafka", *free_ports(2))
        broker.spawn(jars, keep_classes=written)
        try:
            broker.wait_ready()
        finally:
            broker.stop(_DUMP_TIMEOUT_S)
        if not written.exists():
            return False
        written.replace(final)  # at once, whoever starts a broker now
    return True


def main() -> None:
    """Fills the cache, so that the first start does not wait for it."""
    try:
        java, jars = find_java(), ensure_jars(print)
        if not keep_classes(java, jars):
            print(f"{java} keeps no classes of Kafka; it starts without, in twice the time")
    except StartError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
