"""docs/lost-answers.md: what becomes of a call that a far side carried out, and whose answer was lost."""

from __future__ import annotations

from topics.contract.taken_before import STATUS, TAKEN_BEFORE
from topics.documents.markdown import GENERATED, document, table

_ABOUT = """\
A far side may carry out what Sluice asks, and its answer gets lost: a time-out, a cut connection, a 5xx of a proxy, or
Sluice's own process dies before it can record the answer. Sluice repeats the call. The contract promises success for
the repeat; some services refuse it, because they have the order already. This page says when Sluice takes such a
refusal for the success that it tells of."""
_DOUBT = """\
A request is in doubt when an attempt before may have been carried out:

- An attempt got no answer, a 5xx or 408, or an answer that could not be read. This is stored with the request.
- The request came before this worker took over its partition, or up to a minute later: its former owner may have sent
  it, and died before it could record that.
- It was given up before, and an operator sends it again.
- The order has an earlier request for the same without an answer: Increff repeats a Pack after its deadline. A Pack of
  another shipment is not the same.

A refusal of a request that is not in doubt stays one. If it says "exists" without any doubt, the far side has the order
from somebody else."""
_TAKEN = """\
A refusal of a request in doubt counts as a success if it is one of these. A caller that waits gets 200, with those
members of the refusal that the answer should have had (a `shipmentCode`). `sluice order CODE` and
`GET /api/orders/CODE` show the attempt with the status that came; `sluice_delivery_taken_before_total` counts it, and a
line `delivery.taken_before` is logged."""
_CONFIGURED = """\
Words are looked for in `message`, `description`, `errorMessage` and `code`, or in the text of an answer without any of
them, whatever their case; `_` stands for a space, too. They are regular expressions. `taken_before` of a far side in
channels.toml replaces those of a call:

```toml
[increff.taken_before]
create-outward-order = ["409", "order code is in use"]
```

A Create stays refused where the words say that something else exists already, as an item code, a serial number or an
AWB of another order: an order that counted as taken wrongly would be lost.

A status alone does not stand at cancellations: a 409 may mean there that the goods are packed. Updates, searches and
documents need no form: to repeat them changes nothing, and the contract has no refusal of a repeat."""
_REVIVED = """\
## What Increff says of an order counts more than a refusal

A refusal in other words makes the order REJECTED, and the fact `order-rejected` says so. If Increff names the order
afterwards, it has the order: by an acknowledgement, a Pack, a cancellation, a handover, a request for an invoice or a
label, or a manifest. So it has if it takes a customer's cancellation, or a Create that an operator redrives. Then the
order goes on as if the Create had been taken, the fact `order-revived` withdraws `order-rejected` and names the event
that shows it, and the event itself is decided. A Create that the marketplace repeats gets success from then on. A
return is revived by the acknowledgement of its inspection or by its Create's success (`return-revived`), and claims its
units again. [races.md](races.md) has the table of what crosses a refusal.

If Increff named the order before it refused, the order is not rejected: the refusal is the fact `delivery-refused`. A
call that names another location is about another order, and revives nothing. Nor does what the marketplace says."""


def text() -> str:
    rows = [
        (name, ", ".join(f"{text} alone" if STATUS.fullmatch(text) else f"`{text}`" for text in forms))
        for name, forms in TAKEN_BEFORE.items()
    ]
    return document(
        [
            GENERATED,
            "# What if an answer was lost?",
            _ABOUT,
            "## When a request is in doubt",
            _DOUBT,
            "## Which refusals are a success then",
            _TAKEN,
            table(("call", "status or words of the refusal"), rows),
            _CONFIGURED,
            _REVIVED,
        ]
    )
