"""The handlers of all lists that operators read."""

from __future__ import annotations

from gateway.api.handler import Act
from gateway.api.journal.audit import AuditApi
from gateway.api.journal.deliveries import DeliveryListApi
from gateway.api.journal.destinations import Destinations, DestinationsApi
from gateway.api.journal.due import DueApi
from gateway.api.journal.incidents import IncidentsApi
from gateway.api.journal.opening import Opener
from gateway.api.journal.status import StatusApi
from gateway.dependencies import Dependencies
from topics.configuration.channels import Channels
from topics.configuration.settings import Settings


def list_acts(settings: Settings, channels: Channels, dependencies: Dependencies) -> dict[str, Act]:
    """The handlers, by the names of their routes."""
    journal, opener = dependencies.journal, Opener(settings)
    destinations = Destinations(channels, dependencies.subscriptions, dependencies.now_ms)
    return {
        **DeliveryListApi(channels, journal, opener).acts(),
        **AuditApi(channels, journal).acts(),
        **IncidentsApi(channels, journal, opener).acts(),
        **DestinationsApi(destinations, channels, journal).acts(),
        **DueApi(channels, journal, dependencies.now_ms).acts(),
        **StatusApi(dependencies, destinations).acts(),
    }
