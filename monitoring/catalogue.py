"""All alerts, in the order in which the rules and the runbooks have them."""

from __future__ import annotations

from monitoring.alert import Alert
from monitoring.delivery_causes import DELIVERY
from monitoring.objectives import OBJECTIVES
from monitoring.order_causes import CALLERS, ORDERS_AND_STOCK
from monitoring.process_causes import PROCESSES
from monitoring.record_causes import RECORDS

GROUPS: dict[str, tuple[Alert, ...]] = {
    "processes": PROCESSES,
    "records": RECORDS,
    "delivery": DELIVERY,
    "orders and stock": ORDERS_AND_STOCK,
    "callers": CALLERS,
}
BURNS: tuple[Alert, ...] = tuple(alert for objective in OBJECTIVES for alert in objective.alerts())
ALERTS: tuple[Alert, ...] = (*BURNS, *(alert for group in GROUPS.values() for alert in group))
