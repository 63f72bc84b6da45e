"""The job on quixstreams (RocksDB state with a changelog, at least once), as a process.

Arguments: bootstrap, source topic, output topic, consumer group, state directory.
"""

from __future__ import annotations

import sys
from typing import Any

from quixstreams import Application

COMMIT_INTERVAL_S = 1.0


def run(bootstrap: str, source: str, out: str, group: str, state_dir: str) -> None:
    app = Application(
        broker_address=bootstrap,
        consumer_group=group,
        auto_offset_reset="earliest",
        state_dir=state_dir,
        auto_create_topics=True,
        processing_guarantee="at-least-once",
        commit_interval=COMMIT_INTERVAL_S,
        loglevel="WARNING",
    )
    orders = app.dataframe(app.topic(source, value_deserializer="json", key_deserializer="str"))
    verdicts = orders.apply(_count, stateful=True)
    verdicts.to_topic(app.topic(out, value_serializer="json", key_serializer="str"))
    app.run()


def _count(order: dict[str, Any], state: Any) -> dict[str, Any]:
    old = state.get("order") or {"n": 0}
    n = old["n"] + 1
    state.set("order", {"n": n, "last": order["id"], "body": order})
    return {"id": order["id"], "v": "APPLIED", "n": n}


if __name__ == "__main__":
    run(*sys.argv[1:6])
