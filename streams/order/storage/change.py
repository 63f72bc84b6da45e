"""The form of a change of an entity, see `changes`. A module of its own, because mypyc compiles no structs."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from streams.order.model.parts import Delivery, Line, NotedFact, Shipment


class Change(Struct, array_like=True, kw_only=True, tag="c"):
    """Encoded by position: the first two members as those of an entity, a new member last. The head's members are as
    they became.

    `of`: the source offset of the base or change before it. `sections`: by number, those that changed. `facts_kept`,
    `seen_kept`: how many the list has with those that were appended. `gone`: ids of deliveries and shipments. `lines`:
    place and line.
    """

    due_ms: int
    stuck: dict[str, int]
    of: int
    state: str
    updated_ms: int
    fact_sequence: int
    sequences: dict[str, int]
    sections: dict[int, msgspec.Raw]
    facts_kept: int
    facts: list[NotedFact]
    seen_kept: int
    seen: list[list[str]]
    gone: list[str | int]
    deliveries: list[Delivery]
    lines: list[tuple[int, Line]]
    shipments: list[Shipment]
