"""A subscriber in one file: answers the challenge, verifies every delivery, and prints the fact and its order.

    pip install standardwebhooks
    export SUBSCRIBER_SECRET=whsec_$(openssl rand -base64 32)
    python examples/subscriber.py [PORT]

`Receiver.receive` has all that your receiver needs: verify the bytes as they came, do the work (or store it safely)
before the answer, recognise a repeat by its `webhook-id`, and answer 2xx. See docs/subscriptions.md.
"""

from __future__ import annotations

import json
import os
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import quote

from standardwebhooks.webhooks import Webhook, WebhookVerificationError

PORT = 9000
SEEN_MAX = 100_000
"""Ids remembered to recognise repeats. A receiver in production keeps them beside its data."""


class Receiver:
    def __init__(self, secret: str) -> None:
        self._webhook = Webhook(secret)
        self._seen: dict[str, None] = {}

    def receive(self, headers: dict[str, str], raw: bytes) -> tuple[int, dict[str, Any] | None]:
        """Return status and answer of one request."""
        try:
            event = self._webhook.verify(raw, headers)
        except WebhookVerificationError as error:
            print(f"refused   {error}", flush=True)
            return 401, None
        if event["type"] == "subscription-verification":
            print("verified  the challenge of a subscription", flush=True)
            return 200, {"challenge": event["data"]["challenge"]}
        name = headers["webhook-id"]
        print(f"{'again    ' if name in self._seen else 'verified '} {describe(event)}", flush=True)
        self._seen[name] = None
        if len(self._seen) > SEEN_MAX:
            del self._seen[next(iter(self._seen))]
        return 204, None


def describe(event: dict[str, Any]) -> str:
    fact, delivery = event["data"], event["delivery"]
    line = f"#{delivery['sequence']} after {delivery['previousSequence']}  {event['type']}"
    line += f"  {delivery['order']} of {delivery['channel']}"
    if "state" in fact:
        line += f"  {fact['state']}"
    if delivery["watermark"] < delivery["previousSequence"]:
        code = quote(delivery["order"], safe="")
        line += f"  (a gap: GET /api/orders/{code}/events?after={delivery['watermark']} fills it)"
    return line


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept
    receiver: Receiver

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, answer = self.receiver.receive({name.lower(): value for name, value in self.headers.items()}, raw)
        body = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class names it
        """What is printed is what was verified."""


def main() -> None:
    secret = os.environ.get("SUBSCRIBER_SECRET", "")
    given = sys.argv[1] if len(sys.argv) > 1 else str(PORT)
    if not secret.startswith("whsec_") or not given.isdigit():
        print(
            "usage: SUBSCRIBER_SECRET=whsec_$(openssl rand -base64 32) python examples/subscriber.py [PORT]",
            file=sys.stderr,
        )
        sys.exit(2)
    Handler.receiver = Receiver(secret)
    port = int(given)
    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        print(f"http://127.0.0.1:{server.server_port}/ waits for facts; Ctrl-C ends it", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return


if __name__ == "__main__":
    main()
