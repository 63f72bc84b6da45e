"""The built-in channel `demo`: both far sides are the sandboxes. What `sluice up` uses without `--channels`."""

from __future__ import annotations

from typing import Any

INCREFF_PORT = 8091
MARKETPLACE_PORT = 8092


def demo_channels(increff_port: int = INCREFF_PORT, marketplace_port: int = MARKETPLACE_PORT) -> dict[str, Any]:
    """The data of a `channels.toml`. The secrets are no secrets: the sandboxes listen on this machine only."""
    return {
        "increff": {"url": f"http://127.0.0.1:{increff_port}/assure-magic2"},
        "channels": {
            "demo": {
                "credentials": {"username": "demo", "password": "demo-secret", "domain": "demo"},
                "increff_credentials": {"username": "sluice", "password": "sluice-secret", "domain": "demo"},
                "increff_headers": {"X-Api-Key": "demo-increff"},
                "marketplace_headers": {"X-Channel-Key": "demo-channel"},
                "marketplace": {"url": f"http://127.0.0.1:{marketplace_port}"},
                "get_credential": {"bootstrap_headers": {"X-Bootstrap-Key": "demo-bootstrap"}},
                "reply_topics": ["demo"],
                # Who looks at the demo does not wait for minutes.
                "stock": {"refused_after": 3, "read_back": {"path": "/inventories"}},
                "locations": {"DXB-WH-01": "Warehouse", "AUH-ST-04": "Store"},
            }
        },
    }
