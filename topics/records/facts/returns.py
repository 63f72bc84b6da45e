"""Facts of returns and manifests on `orders.events`. To add one: see topics/records/facts/orders.py."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from topics.records.facts.base import Fact, Part, Status, known

RETURN_STATES = ("RECEIVED", "SUBMITTED", "REJECTED", "ACKNOWLEDGED", "CANCELLED", "REFUSED", "COMPLETED", "ASKED")
MANIFEST_STATES = ("REQUESTED", "MANIFESTED", "REFUSED")


class ReturnQuantities(Part):
    """Units of a return by what became of them; together they are all of its units."""

    expected: int
    cancelled: int
    passed: int
    failed: int


class ReturnFact(Fact):
    """A fact of a return."""

    returnOrderCode: str
    forwardOrderCode: str
    state: Annotated[str, known(RETURN_STATES)] = Field(description="The return's state after this fact")
    locationCode: str | None
    quantities: ReturnQuantities | None = Field(default=None, description="Its units after this fact")


class ReturnUnit(Part):
    itemCode: str
    channelSkuCode: str


class InspectedUnit(ReturnUnit):
    qcStatus: str = Field(description="PASS or FAIL")
    qcReason: str | None = Field(description="The warehouse's")


class ReturnCreated(ReturnFact):
    """Sluice took a return: its forward order has admitted the units."""

    orderType: str | None
    items: list[ReturnUnit] = Field(description="One entry per unit")
    forwardKnown: bool | None = Field(
        default=None,
        description="Whether Sluice knew what was shipped of the forward order; otherwise nothing was counted",
    )


class ReturnAdopted(ReturnFact):
    """A return was first met midway and adopted: its units are those that calls name."""

    by: str = Field(description="The event by which it was met: acknowledge return, update return, ..")


class ReturnRefused(ReturnFact):
    """The forward order denied a return: it has more units than were shipped. Another Create is a new attempt."""

    reason: str
    items: list[ReturnUnit] = Field(description="One entry per unit")


class ReturnUnanswered(ReturnFact):
    """The forward order has given a return no answer, however often it was asked. A repeat of the call asks again."""

    touchpoint: str = Field(description="The call that waits for it")


class ReturnItemsAdded(ReturnFact):
    """More units come back with a return; its forward order has admitted them."""

    items: list[ReturnUnit] = Field(description="Those that are new")


class ReturnItemsRefused(ReturnFact):
    """Units do not come back with a return: its forward order denied them, or Increff did not take them."""

    reason: str | None = Field(default=None, description="The forward order's")
    status: Status = Field(default=None, description="Increff's answer")
    items: list[ReturnUnit]


class ReturnSubmitted(ReturnFact):
    """Increff took the return."""


class ReturnRejected(ReturnFact):
    """Increff refused the return."""

    status: Status


class ReturnRevived(ReturnFact):
    """Increff has the return after all, so `return-rejected` does not hold: the return goes on."""

    by: str = Field(description="The event that shows it, as in docs/orders.md")


class ReturnUpdated(ReturnFact):
    """The marketplace changed a return's courier, tracking number, status or date: the members that are present."""

    transporter: str | None = None
    trackingCode: str | None = None
    returnOrderStatus: str | None = None
    expectedDate: str | None = None


class ReturnItemsCancelled(ReturnFact):
    """Units of a return will not come."""

    itemCodes: list[str]


class ReturnCancelled(ReturnFact):
    """Every unit is cancelled. Follows the cancellation of the last unit."""


class ReturnCompleted(ReturnFact):
    """Every unit that is not cancelled is inspected. Follows the fact that brought this about."""


class ReturnAcknowledged(ReturnFact):
    """Increff inspected units of a return."""

    inspected: list[InspectedUnit] = Field(description="The new inspections; they add up over several facts")


class ManifestFact(Fact):
    """A fact of a manifest."""

    manifestId: str


class ManifestedShipment(Part):
    orderCode: str
    shipmentCode: str


class ManifestCreated(ManifestFact):
    """The marketplace made a manifest."""

    manifestCode: str | None
    locationCode: str | None
    transporter: str
    items: list[ManifestedShipment]


class ManifestRefused(ManifestFact):
    """The marketplace refused a manifest, or gave no answer in time."""

    status: Status


class ManifestDiffered(ManifestFact):
    """Increff repeated a manifest with other content. It got the answer of the first."""

    locationCode: str | None
