"""Generated documents: `python -m topics.documents.docs docs` writes touchpoints.md, topics.md, settings.md,
json.md, values.md, lost-answers.md, logs.md, metrics.md, traces.md, asyncapi.json.

They are committed for readers of the repository; a test fails when they are stale.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from topics.api.routes import full_path
from topics.configuration.budgets import SHAPES
from topics.configuration.channels import (
    Channel,
    Credentials,
    IncreffCredential,
    IncreffDestination,
    MarketplaceCredential,
    MarketplaceDestination,
    ReceivedCredentials,
)
from topics.configuration.settings import Settings
from topics.configuration.sla import Sla
from topics.configuration.stock import Buffer, Cap, LocationStock, ReadBack, Share, StockSettings
from topics.contract.definition import Direction, Touchpoint
from topics.contract.touchpoints import TOUCHPOINTS
from topics.documents import asyncapi, json_page, logs_page, lost_answers_page, metrics_page, traces_page, values_page
from topics.documents.markdown import GENERATED, document, table
from topics.kafka.catalogue import DAY_MS, TOPICS, Cleanup, Topic
from topics.kafka.channel_topics import answer_topic, reply_topic, request_topic
from topics.paths.bases import MARKETPLACE_BASES
from topics.schema_base import SPELLINGS

_HOUR_MS = 3_600_000
_SECRETS = """\
A secret may be written `env:NAME`; it is then read from the environment variable NAME. `file:PATH` is read from that
file, without the line break at its end; a relative PATH begins at the directory of channels.toml. At SIGHUP a process
reads channels.toml and these files again ([access.md](access.md)); its environment stays what it was."""

_PATHS = """\
## Paths

A marketplace calls Sluice as it calls Increff. The path in front of the calls differs between Increff's tenants, so
Sluice takes several at once: `SLUICE_MARKETPLACE_PATHS`, by default {bases}. Towards Increff that path is in the
`url` of `[increff]` in channels.toml.

A code in a path is one part of it, percent-encoded as UTF-8; it may have any character that the contract allows, and
may be a word of another path, as `outward`. Sluice encodes everything but letters, digits and `-._~`, and the dots of
`.` and `..`, too. A code that is no UTF-8 is answered 400, and so are a `#` and letters beyond ASCII
that are not encoded.

A slash too many at the end of a path is taken, and so is one before the path in front of a call or behind it. Between
two parts it stands for an empty code, which is no code: 404. So does one behind an action of `/api` that may name one
more part: `POST /api/inventory/pause/C/` does not pause the whole channel. A method that a path does not have is
answered 405 with `Allow`. The answer to an unknown path names the paths with which calls of marketplaces begin; the
access log has the method, the path without its query (200 characters at most) as `target`, and the caller's address.

Where a far side differs from the contract, its table in channels.toml says so: `far_paths`, `far_methods` and
`far_members`. A code for which a path of its own has no place travels in the body. For a tenant of Increff that
cancels returned items in the form of earlier versions of Sluice:

```toml
[increff.far_paths]
cancel-return-order-items = "/return/cancel-return-order/item"
[increff.far_members.cancel-return-order-items]
returnOrderItems = "returnLineItems"
returnOrderItemCode = "channelReturnItemCode"
```

## Other names of members

These names are taken over HTTP and Kafka, too; records and requests have the contract's."""


def touchpoints() -> str:
    parts = [
        GENERATED,
        "# Which calls does Sluice speak?",
        "The calls of Increff's contract. This page is made from their entries in `topics/contract/touchpoints.py`.",
    ]
    for direction in Direction:
        parts.append(f"## {str(direction.value).capitalize()}")
        entries = [touchpoint for touchpoint in TOUCHPOINTS if touchpoint.direction is direction]
        calls = table(
            ("touchpoint", "section", "at Sluice", "at the far side", "mode", "may be off"),
            ((t.name, str(t.section), _call(t), f"`{t.far_path}`", t.mode.value, _may_be_off(t)) for t in entries),
        )
        rules = table(
            ("touchpoint", "belongs to", "identity", "a repeat", "before the call it needs", "when given up"),
            ((t.name, _entity(t), _identity(t), t.repeat.value, t.early or "-", _given_up(t)) for t in entries),
        )
        parts += [calls, rules]
    parts.append(_PATHS.format(bases=" and ".join(f"`{base}`" for base in MARKETPLACE_BASES)))
    parts.append(table(("touchpoint", "name", "the contract's"), _other_names()))
    return document(parts)


def topics() -> str:
    text = (
        "`sluice topics create` makes the topics of `topics/kafka/catalogue.py`, and `sluice topics check` compares a "
        "cluster with it; nothing else creates topics. The name in Kafka is `<prefix>.<topic>.v1`, for example "
        "`sluice.orders.commands.v1`. Only the named roles may read topics with personal data. The records of each "
        "topic are in [asyncapi.json](asyncapi.json). [reading.md](reading.md) says how to read the topics, "
        "[analytics.md](analytics.md) how to use facts, and [producing.md](producing.md) how to write commands."
    )
    more = (
        "A channel adds these by its settings (`topics/kafka/channel_topics.py`). `NAME` is the name of the channel, "
        "or of one of its `reply_topics`. Both commands take `--channels`."
    )
    added = (request_topic("NAME"), answer_topic("NAME"), reply_topic("NAME"))
    return document(
        [
            GENERATED,
            "# Which topics are there, and who may read them?",
            text,
            _topic_table(TOPICS),
            "## Topics of channels",
            more,
            _topic_table(added),
        ]
    )


def _topic_table(listed: Iterable[Topic]) -> str:
    rows = (
        (
            f"`{topic.name}`",
            topic.key,
            topic.cleanup.value,
            _retention(topic),
            str(topic.partitions or "as configured"),
            ", ".join(topic.writers),
            ", ".join(topic.readers),
            "yes" if topic.personal_data else "no",
            topic.why,
        )
        for topic in listed
    )
    names = ("topic", "key", "cleanup", "kept", "partitions", "written by", "read by", "personal data", "why")
    return table(names, rows)


def settings() -> str:
    variables = (
        (f"`SLUICE_{name.upper()}`", _default(field), field.description or "")
        for name, field in Settings.model_fields.items()
    )
    text = (
        "Environment variables of every process. A value that cannot be used ends the process at its start, with the "
        "name of the variable and what was expected; all that is wrong, in channels.toml too, is said at once. A "
        "variable `SLUICE_...` that is none of these is warned about: in the log of a role, and by every command if it "
        "looks like one of them. `SLUICE_URL` is read by the commands that ask a gateway."
    )
    parts = [
        GENERATED,
        "# What can be set?",
        text,
        table(("variable", "default", "meaning"), variables),
        "# channels.toml",
        _SECRETS,
    ]
    sections: tuple[tuple[str, type[BaseModel]], ...] = (
        ("[increff]", IncreffDestination),
        ("[channels.NAME]", Channel),
        ("[channels.NAME.credentials]", ReceivedCredentials),
        ("[channels.NAME.increff_credentials]", Credentials),
        ("[channels.NAME.marketplace]", MarketplaceDestination),
        *(
            (f"[channels.NAME.marketplace.budget], [channels.NAME.stock.budget], [increff.budget]: {shape}", model)
            for shape, model in SHAPES.items()
        ),
        ("[channels.NAME.get_credential]", IncreffCredential),
        ("[channels.NAME.marketplace_credential]", MarketplaceCredential),
        ("[channels.NAME.sla]", Sla),
        ("[channels.NAME.stock]", StockSettings),
        ('[channels.NAME.stock.locations."CODE"]', LocationStock),
        ("[[channels.NAME.stock.buffers]]", Buffer),
        ("[[channels.NAME.stock.shares]]", Share),
        ("[[channels.NAME.stock.caps]]", Cap),
        ("[channels.NAME.stock.read_back]", ReadBack),
    )
    for title, model in sections:
        rows = (
            (f"`{name}`", _default(field), field.description or "")
            for name, field in model.model_fields.items()
            if name != "name"  # a channel's name is its table's
        )
        parts += [f"## `{title}`", table(("key", "default", "meaning"), rows)]
    return document(parts)


DOCUMENTS: dict[str, Callable[[], str]] = {
    "touchpoints.md": touchpoints,
    "topics.md": topics,
    "settings.md": settings,
    "values.md": values_page.text,
    "json.md": json_page.text,
    "lost-answers.md": lost_answers_page.text,
    "logs.md": logs_page.text,
    "metrics.md": metrics_page.text,
    "traces.md": traces_page.text,
    "asyncapi.json": asyncapi.text,
}


def write(directory: Path) -> None:
    for name, render in DOCUMENTS.items():
        (directory / name).write_text(render(), encoding="utf-8")


def _other_names() -> Iterator[tuple[str, str, str]]:
    for name, spellings in SPELLINGS.items():
        for other, member in spellings.members.items():
            yield name, f"`{other}`", f"`{member}`"
        for other, member in spellings.in_list.items():
            yield name, f"`{spellings.list_name}[].{other}`", f"`{spellings.list_name}[].{member}`"


def _call(touchpoint: Touchpoint) -> str:
    also = "".join(f"; also `{path}`" for path in touchpoint.former_paths)
    return f"`{touchpoint.method} {full_path(touchpoint)}`{also}"


def _may_be_off(touchpoint: Touchpoint) -> str:
    return "off by default" if touchpoint.off_by_default else "yes" if touchpoint.optional else "no"


def _entity(touchpoint: Touchpoint) -> str:
    split = f", one event per entry of `{touchpoint.split}`" if touchpoint.split else ""
    beside = ", beside its lane" if touchpoint.beside_lane else ""
    return f"{touchpoint.entity.value}{split}{beside}"


def _identity(touchpoint: Touchpoint) -> str:
    return ", ".join(f"`{member}`" for member in touchpoint.idempotency) or "-"


def _given_up(touchpoint: Touchpoint) -> str:
    return touchpoint.when_dead.value


def _retention(topic: Topic) -> str:
    if topic.cleanup is Cleanup.COMPACT:
        return "the last of each key"
    if topic.retention_ms < 0:
        return "for ever"
    if topic.retention_ms % DAY_MS == 0:
        return f"{topic.retention_ms // DAY_MS} d"
    return f"{topic.retention_ms // _HOUR_MS} h"


def _default(field: Any) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, MarketplaceDestination):
        return "as below"
    if isinstance(value, Sla | StockSettings):
        return "see its table"
    if isinstance(value, BaseModel):
        return ", ".join(f"{name} {member}" for name, member in value)
    if value is None or value == "" or value in ({}, frozenset()):
        return "-"
    return f"`{value}`"


if __name__ == "__main__":
    write(Path(sys.argv[1]))
