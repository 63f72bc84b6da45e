"""Builds the delivery role of a process: the one place that chooses its clock, its senders and its views of Kafka."""

from __future__ import annotations

from random import Random

from streams.delivery.admission.gate_view import FollowedGates
from streams.delivery.clock import SystemClock
from streams.delivery.role import DeliveryRole
from streams.delivery.senders.router import SenderRouter
from streams.delivery.stock.sender import StockSender
from streams.delivery.tasks import Failure
from topics.configuration.channels import Channels
from topics.configuration.settings import Settings
from topics.destinations.view import PausesView
from topics.subscriptions.index import SubscriptionView


def delivery_role(settings: Settings, channels: Channels) -> DeliveryRole:
    failure, clock, subscriptions = Failure(), SystemClock(), SubscriptionView(settings)
    return DeliveryRole(
        settings,
        channels,
        subscriptions=subscriptions,
        gates=FollowedGates(settings, clock),
        pauses=PausesView(settings),
        sender=SenderRouter(settings, channels, subscriptions=subscriptions, clock=clock, crashed=failure.report),
        stock=StockSender(settings, channels, crashed=failure.report),
        clock=clock,
        random=Random(),
        failure=failure,
    )
