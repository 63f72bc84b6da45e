"""The parts a gateway is built from: `make_app` is given them; tests and benchmarks give their own."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.http.access_log import AccessLog
from gateway.http.metrics import Metrics
from gateway.ports import Clock, Endpoints, Groups, Lags, Log, Pauses, Producer, Replies, Stock, StockOperations
from gateway.siblings import Siblings
from journal.queries.reader import JournalReader
from topics.subscriptions.index import SubscriptionIndex


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """The ports, the clock, and where calls are counted and logged."""

    producer: Producer
    replies: Replies
    stock: Stock
    stock_operations: StockOperations
    subscriptions: SubscriptionIndex
    endpoints: Endpoints
    facts: Log
    dead: Log
    actions: Log
    pauses: Pauses
    now_ms: Clock
    metrics: Metrics
    access_log: AccessLog
    siblings: Siblings
    journal: JournalReader
    lags: Lags
    groups: Groups
