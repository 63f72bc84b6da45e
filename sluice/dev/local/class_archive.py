"""`make setup`: fetches Kafka's jars, and archives its classes as the JVM has loaded and checked them.

Finding and checking some six thousand classes is half the work of Kafka's start; with the archive it is done once. At
every start, the JVM checks that the archive is of this Java and these jars, and starts without it when it is not.
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
"""Writing takes five seconds after the end of Kafka; the rest is for a busy machine."""


def keep_classes(java: str, jars: Path) -> bool:
    """Write the archive, unless it exists, by starting and ending a Kafka. Return False when this Java cannot."""
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
        written.replace(final)  # in one step: another process may be starting a broker
    return True


def main() -> None:
    """Fill the cache, so that the first start does not wait for it."""
    try:
        java, jars = find_java(), ensure_jars(print)
        if not keep_classes(java, jars):
            print(f"{java} cannot archive the classes of Kafka, which will take twice the time to start")
    except StartError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
