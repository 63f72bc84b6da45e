"""The built-in channel `demo`, and the ports on this machine; roles use it when no channels.toml is given."""

from __future__ import annotations

from typing import Any

GATEWAY_PORT = 8080
GATEWAY_URL = f"http://127.0.0.1:{GATEWAY_PORT}"
ADMIN_PORT = 8081
ADMIN_URL = f"http://127.0.0.1:{ADMIN_PORT}"
"""Where commands find the gateway's /api (topics.configuration.settings.GATEWAY_ADMIN_PORT)."""
INCREFF_PORT = 8091
MARKETPLACE_PORT = 8092


def demo_channels(increff_port: int = INCREFF_PORT, marketplace_port: int = MARKETPLACE_PORT) -> dict[str, Any]:
    """Return the data of a `channels.toml` whose far sides are the sandboxes.

    Its secrets need no protection: the sandboxes listen on this machine only.
    """
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
                # In a demo, nobody wants to wait minutes for a refusal to be reported.
                "stock": {"refused_after": 3, "read_back": {"path": "/inventories"}},
                "locations": {"DXB-WH-01": "Warehouse", "AUH-ST-04": "Store"},
            }
        },
    }
