"""Every bound of an entity's state, with its reason. The topics keep the facts and requests that a state drops."""

from __future__ import annotations

from topics.schema_base import ITEMS_MAX

SEEN_MAX = 24
"""Recent event ids with their verdict, and the calls that were taken: a record produced twice comes within moments, and
a caller repeats a call that it got no verdict on before it makes two dozen others about the order."""
DELIVERIES_MAX = 50
"""Requests listed per entity: a usual order makes about ten, an order split into many shipments some dozens."""
ATTEMPTS_MAX = 10
"""Attempts listed per request; an attempt's number tells how many came before. `deliveries.attempts` has all."""
FACTS_MAX = 64
"""Facts listed per entity: an order of a few shipments fits whole; `orders.events` has all."""
WAITERS_MAX = 16
"""Callers that may wait for one answer: both sides ask again after 45 s at most, so a few are usual."""
DEFERRED_MAX = 8
"""Deferred calls per order: cancellations, labels and invoices behind a Pack. Each carries a body."""
EARLY_EVENTS_MAX = 8
"""Early events kept per order: an acknowledgement, a cancellation, a manifest and a handover of two sub-orders."""
EARLY_BYTES_MAX = 256 << 10
"""Bytes of their bodies per order: a cancellation of 2,500 items fits, and a state stays far below a record's limit."""
EARLY_KEPT_MS = 86_400_000
"""How long an early event is kept: the call before it is retried for a day by default, then that call is dead."""
DELIVERY_LOST_MS = 30 * 86_400_000
"""How long an entity that is over is kept for a request without an outcome: no request is tried for a month."""
TICK_ENTITIES_MAX = 40
"""Entities that one tick decides: some 4 ms of a worker. The next tick follows at once."""
TICK_BYTES_MAX = 128 << 10
"""Bytes of their states: one order of 2,500 lines, or the same number of usual ones."""
ALARMS_AT_ONCE = 10
"""Alarms of one order that a tick raises, and that one event withdraws once the order waits for nothing: each is a fact
with the order's lines. The next tick, which follows at once, goes on with the rest."""
RELAYS_MAX = 32
"""Requests of one entity whose answer is awaited: label and invoice of a dozen shipments at once."""
SHIPMENTS_MAX = 500
"""Shipments of one order: bounds the state; B2B orders of 2,500 items ship in far fewer."""
LINES_MAX = ITEMS_MAX
"""Lines of an adopted order: as many as a Create may name."""
LOCATIONS_MAX = 200
"""Locations that may acknowledge one order."""
RETURNS_MAX = 200
"""Returns listed at their forward order. A return that holds units is never dropped. One that holds none gives way to a
new one, because its questions were answered long before so many others came."""
RETURNED_SKUS_MAX = 5_000
"""SKUs over all returns of one order: each item of the largest order twice."""
QUESTION_BYTES_MAX = 3 << 20
"""Body of a return that waits for its forward order: it is kept in the state, which must fit a record."""
QUESTION_LOST_MS = 15_000
"""After this a repeat asks again: an answer comes within milliseconds, after a rebalance within seconds."""
QUESTION_ASKS_MAX = 8
"""How often ticks ask again, at pauses that double from 15 s. Then, two hours after the call, a fact reports it."""
MESSAGE_MAX = 500
"""Characters kept of the far side's message: enough for a person, bounded for the state."""
ANSWERS_MAX = 20_000
"""Recorded answers per partition: at 100 shipments a minute more than an hour of packs, labels and invoices. A repeat
after that asks the far side again, which the contract makes harmless."""
ANSWER_BYTES_MAX = 64 << 20
"""Bytes of recorded answers per partition: they are held in memory, and a label in base64 may have megabytes."""
ANSWER_SIZE_MAX = 4 << 20
"""A larger answer goes to its caller but is not recorded: it would not fit a record together with its key."""
REFUSED_CALLS_MAX = 10
"""Different refusals listed per entity: a caller that mends a body needs a few attempts. Equal ones are one entry."""
REFUSED_ENTITIES_MAX = 5_000
"""Entities per partition whose refused calls are kept: the orders of a marketplace's bad day. Each takes some 400
bytes, and any authenticated caller may name codes that no order has, so the oldest gives way."""
REFUSED_BYTES_MAX = 4 << 20
"""Bytes of refused calls per partition: they are held in memory, and the longest reasons are five times as long."""
REFUSED_KEPT_MS = 7 * 86_400_000
"""How long refused calls are kept, whether there is such an order or not: as long as orders.commands has commands.
Someone asks on Monday for the order that did not come in on Friday."""
NAMED_MAX = 10
"""Unknown items named in a refusal: enough to see what went wrong."""
RELAY_MARGIN_MS = 15_000
"""A request that is withdrawn at its deadline has its outcome within a few seconds after it, a rebalance included.
Later than this it got lost, and a repeat asks the far side again."""
RELAY_LOST_MS = 3 * 86_400_000
"""The same for a request that goes on past its deadline: by default it is tried for a day, behind others that are, too.
Asking again is harmless, but must be rare: each repeat is one more request behind the first."""
FACT_LINES_MAX = 200
"""Lines that a fact carries: an order of 2,500 would make each of its facts a third of a megabyte."""
