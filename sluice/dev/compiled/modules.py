"""The one list of what is compiled: rooms, and the modules of them that are left out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOMS: Final = (
    "gateway/access/authentication.py",
    "gateway/access/brake.py",
    "gateway/access/control.py",
    "gateway/access/token_bucket.py",
    "gateway/admission/calls.py",
    "gateway/admission/door.py",
    "gateway/admission/limiter.py",
    "gateway/admission/shares.py",
    "gateway/admission/standstill.py",
    "gateway/connections/framing.py",
    "gateway/connections/peers.py",
    "gateway/http/answers.py",
    "gateway/http/call.py",
    "gateway/http/responder.py",
    "gateway/kafka/commands.py",
    "gateway/kafka/deadlines.py",
    "gateway/touchpoints/ingress.py",
    "topics/contract/entities.py",
    "topics/kafka/batches/open_batches.py",
    "topics/paths/patterns.py",
    "topics/records",
    "streams/order",
    "streams/runtime/decide.py",
    "streams/runtime/durability/group.py",
    "streams/runtime/durability/offset_ledger.py",
    "streams/runtime/durability/publisher.py",
    "streams/runtime/durability/rebuild.py",
    "streams/runtime/tables/parted_table.py",
    "streams/runtime/tables/partition_table.py",
)
"""Folders whose modules are compiled, those of folders in them included; a module of its own where it ends in `.py`.
Of the gateway those that every post goes through (8 to 10 us of a post's 100 in Python), but
`gateway/kafka/replies.py`, which waits in a `finally` (decision 0035)."""

STRUCTS: Final = "Structs: mypyc hands their options and the types of their members to no metaclass"
LEFT_OUT: Final = {
    "streams/order/machine/diagram.py": "a program: Python runs no compiled module by its name",
    "streams/order/machine/races.py": "a program: Python runs no compiled module by its name",
    "streams/order/model/parts.py": STRUCTS,
    "streams/order/model/entities.py": STRUCTS,
    "streams/order/model/entity.py": STRUCTS,
    "streams/order/model/effects.py": STRUCTS,
    "streams/order/model/events.py": STRUCTS,
    "streams/order/storage/change.py": STRUCTS,
    "streams/order/records/answer_table.py": STRUCTS,
    "streams/order/records/refused_calls.py": STRUCTS,
    "topics/records/envelope.py": STRUCTS,
    "topics/records/deliveries.py": "records that msgspec makes by the types of their members",
    "topics/records/json_record.py": "the base of records that msgspec makes by the types of their members",
    "topics/records/skips.py": "records that msgspec makes by the types of their members",
    "topics/records/verdicts.py": "records that msgspec makes by the types of their members",
    "topics/records/unreadable.py": "an interface of prometheus_client, and nothing that is called often",
    "topics/records/facts": "pydantic models: their classes are made by pydantic",
    "topics/records/models.py": "pydantic models: their classes are made by pydantic",
}
"""Modules and folders of ROOMS that stay interpreted, each with its reason."""


def compiled_modules(root: Path) -> Iterator[str]:
    """The paths of the modules to compile, relative to `root`, in an order that is always the same."""
    for room in ROOMS:
        for path in [root / room] if room.endswith(".py") else sorted((root / room).rglob("*.py")):
            name = path.relative_to(root).as_posix()
            if path.name != "__init__.py" and not any(
                name == left_out or name.startswith(left_out + "/") for left_out in LEFT_OUT
            ):
                yield name
