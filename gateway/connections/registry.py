"""Everything that the connections of one server share."""

from __future__ import annotations

from gateway.connections.limits import Limits
from gateway.connections.refusal import Admission


class Registry:
    def __init__(self, limits: Limits, admission: Admission | None = None) -> None:
        self.limits = limits
        self.admission = admission
