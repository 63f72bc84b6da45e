"""Generated pages: `python -m journal.documents docs` writes docs/journal-tables.md and docs/story.md."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from sqlalchemy import Table

from journal.story.account import PARTS
from journal.story.causes import CAUSES, PRECEDENCE
from journal.tables.catalogue import MONTHLY_TABLES, TABLES
from topics.documents.markdown import document, table

NAME: Final = "journal-tables.md"
_GENERATED: Final = "<!-- Made by `python -m journal.documents docs`; do not edit. -->"
_INTRODUCTION: Final = (
    "[journal.md](journal.md) says what the journal is. Here are its tables, the same in SQLite and PostgreSQL. "
    "A column whose name ends in `_ms` has epoch milliseconds. `partition` and `record_offset` say where the record of "
    "a row is: its proof. A column may be null where its meaning says so."
)


def tables_page() -> str:
    return document(
        [
            _GENERATED,
            "# Which tables has the journal?",
            _INTRODUCTION,
            *(part for one in TABLES for part in _section(one)),
        ]
    )


def _section(one: Table) -> tuple[str, ...]:
    key = ", ".join(f"`{column.name}`" for column in one.primary_key)
    monthly = " PostgreSQL keeps its rows by the month of `received_ms`." if one in MONTHLY_TABLES else ""
    rows = ([f"`{column.name}`", _type_of(column.type), column.comment or ""] for column in one.columns)
    return (
        f"## {one.name}",
        f"{one.comment}. Key: {key}.{monthly}",
        table(("column", "type", "meaning"), rows),
    )


def _type_of(kind: object) -> str:
    return {"BIGINT": "number", "INTEGER": "number", "BOOLEAN": "yes or no", "TEXT": "text", "BLOB": "bytes"}[str(kind)]


_STORY: Final = """\
One function, `journal.story.story`, tells the story of an order, a return or a manifest from the rows of the
[journal](journal.md): what it is, what it waits for, and where its time went. It has a clock as its argument, and
asks nobody. API and command line show it, so that both say the same.

```console
$ sluice order CODE            # the story first, then all that the orders role knows
$ sluice order CODE --watch    # goes on until it waits for nothing
$ sluice orders --cause given-up --channel demo
```

`GET /api/orders/{code}/story` is the story alone, from the journal, so also while the orders role stands still; so
are those of `/api/returns` and `/api/manifests`. `GET /api/orders/{code}` has it as `story`, `/timeline` every record
with its topic, partition and offset, and `/api/search?q=` says where any id leads. How far the orders role is behind
is asked of Kafka; if Kafka does not say, the story is told without it. `journalBehindMs` says how old the story may
be."""
_CAUSES: Final = """\
## What an order waits for

Each request that waits has one cause, and the order that of its waits which comes first in the sequence below. A wait
has a sentence, its proof (the record that shows it, as topic, partition and offset), since when it lasts, until when
(if anybody knows), and what an operator may do, with the command. Facts for subscribers hold up no order, and are no
wait of it."""
_PRECEDENCE: Final = """\
Of several causes the first in this sequence counts: {names}. First is what makes all else uncertain, then what only a
person ends, then what holds up requests, then what the other sides owe. A request behind another has no cause of its
own: what holds up the first of its lane is told with it."""
_ACCOUNT: Final = """\
## Where its time went

The time account splits the life of an order, from its first record to its end or until now, into parts that add up to
the whole. Each moment belongs to one part: of those that hold it to the first of this table. So a lane that is held
while its destination is down counts as the operator's: when the destination is up again, it would wait all the same."""
_LISTS: Final = """\
## Which orders wait for that?

`GET /api/orders?cause=` and `sluice orders --cause` list the orders that have a wait of this cause, whether it is the
first of their waits or not. An index finds candidates, and the story of each says whether it has the cause. So a page
costs the same at a thousand orders and at ten million, with these limits:

- A page tells 200 stories at most, so it may be short, or empty, and still have a next one.
- Causes of requests (`budget`, `quiet`, `down`, `back-off`, `paused`, `behind-request`) list what was queued first
  first, `back-off` what is tried first; the others list the newest first. An order with two such waits may be on two
  pages.
- `budget` and `back-off` look through the requests of a destination. Where hundreds of thousands wait, and few of
  them for this cause, a page may take longer than `SLUICE_JOURNAL_TIME_OUT_S`, and is a 503 that says so.
- `on-hold` finds orders whose hold was told since the journal has the column `on_hold`, and all in the state `HELD`;
  a journal that is made anew has all."""
_LIMITS: Final = """\
How long a far side asked for quiet is known of the last time alone; before, the time after a throttled attempt counts
as quiet. What a request waited for its turn between two attempts counts as back-off. That a destination is down is
seen in its attempts: since its last answer, those of five orders failed within a minute, which opens the breaker.
When it was down before is not kept, so that time counts as back-off. The place in the queue is that of now: requests
of a higher class may come, and one in four goes by age; of a destination with more than 20,000 requests the oldest
20,000 are counted."""


def story_page() -> str:
    names = ", ".join(f"`{cause.name}`" for cause in PRECEDENCE)
    causes = ((str(one.number), f"`{one.name}`", one.meaning, one.ends) for one in CAUSES)
    return document(
        [
            _GENERATED,
            "# What does an order wait for, and where did its time go?",
            _STORY,
            _CAUSES,
            table(("", "cause", "meaning", "ends when"), causes),
            _PRECEDENCE.format(names=names),
            _ACCOUNT,
            table(("part", "the order"), ((f"`{part}`", meaning) for part, meaning in PARTS.items())),
            _LIMITS,
            _LISTS,
        ]
    )


STORY_NAME: Final = "story.md"
PAGES: Final[Mapping[str, Callable[[], str]]] = {NAME: tables_page, STORY_NAME: story_page}


def write(directory: Path) -> None:
    for name, page in PAGES.items():
        (directory / name).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
