"""Says in words what is different between the effects that were recorded and those that left now."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

SHOWN_MAX = 12
"""Differences that are told whole; the rest is counted by kind."""
_SHORT = 160
"""Characters shown of a value."""
_ABSENT: Any = object()

Line = dict[str, Any]


@dataclass
class Differences:
    """What was found: the first ones in words, all of them counted by kind."""

    told: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)

    def note(self, kind: str, where: str, what: str) -> None:
        self.kinds[kind] += 1
        if len(self.told) < SHOWN_MAX:
            self.told.append(f"{where}: {what}")

    def __str__(self) -> str:
        kinds = [f"  {count:6}  {kind}" for kind, count in self.kinds.most_common()]
        return "\n".join([*self.told, "", "all differences by kind:", *kinds])


def compare(before: list[Line], now: list[Line]) -> Differences:
    """The differences between two recordings, story by story."""
    found = Differences()
    old, new = _stories(before), _stories(now)
    for name in [*old, *(one for one in new if one not in old)]:
        if name not in new:
            found.note("a story is gone", f"story {name}", "is recorded, and was not told now")
        elif name not in old:
            found.note("a story is new", f"story {name}", "is not recorded yet")
        else:
            _compare_story(name, old[name], new[name], found)
    return found


def _stories(lines: list[Line]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    for line in lines:
        if "story" in line:
            current = found.setdefault(line["story"], [])
        current.append(line)
    return found


def _compare_story(name: str, old: list[Line], new: list[Line], found: Differences) -> None:
    if old == new:
        return
    where = f"story {name}"
    for what, (was, now) in _changed(old[0]["counts"], new[0]["counts"]).items():
        found.note(f"count of {what}", where, f"{what}: {was or 0} before, {now or 0} now")
    pairs = zip_longest(_of(old, "event"), _of(new, "event"))
    for number, (was_event, now_event) in enumerate(pairs, 1):
        place = f"{where}, event {number} ({(now_event or was_event)['event']})"
        if was_event is None or now_event is None:
            found.note("number of events", place, "is new" if was_event is None else "does not come any more")
        elif was_event != now_event:
            _compare_event(place, was_event, now_event, found)
    entities = {line["entity"]: line["is"] for line in _of(old, "entity")}
    entities_now = {line["entity"]: line["is"] for line in _of(new, "entity")}
    for key, (was, now) in _changed(entities, entities_now).items():
        place = f"{where}, entity {key} in the end"
        for path, was_member, now_member in members_that_differ(was, now):
            found.note(f"entity: {_kind_of(path)}", place, _said(path, was_member, now_member))


def _compare_event(place: str, was: Line, now: Line, found: Differences) -> None:
    if was["event"] != now["event"]:
        found.note("another event", place, f"was {was['event']}")
    if was.get("aside") != now.get("aside"):
        found.note("set aside", place, _said("set aside", was.get("aside"), now.get("aside")))
    if was.get("state") != now.get("state"):
        found.note("state after an event", place, "the state that it left is another one")
    for number, (old, new) in enumerate(zip_longest(was["effects"], now["effects"]), 1):
        name = _name_of(new or old)
        where = f"{place}, effect {number} ({name})"
        if old is None or new is None:
            found.note(f"{name} {'more' if old is None else 'less'}", where, "is new" if old is None else "is gone")
        elif old != new:
            _compare_effect(name, where, old, new, found)


def _compare_effect(name: str, where: str, was: Line, now: Line, found: Differences) -> None:
    for part in ("topic", "partition", "key"):
        if was[part] != now[part]:
            found.note(f"{name}: {part}", where, _said(part, was[part], now[part]))
    headers, headers_now = dict(was["headers"]), dict(now["headers"])
    changed = _changed(headers, headers_now)
    for header, (old, new) in changed.items():
        how = "is gone" if header not in headers_now else "is new" if header not in headers else "differs"
        found.note(f"{name}: header {header} {how}", where, _said(f"header {header}", old, new))
    if was["headers"] != now["headers"] and not changed:
        found.note(f"{name}: order of headers", where, _said("headers", list(headers), list(headers_now)))
    if was["value"] == now["value"]:
        return
    try:
        old_value, new_value = json.loads(was["value"]), json.loads(now["value"])
    except (TypeError, ValueError):
        found.note(f"{name}: value", where, _said("value", was["value"], now["value"]))
        return
    differ = list(members_that_differ(old_value, new_value))
    for path, old, new in differ:
        found.note(f"{name}: {_kind_of(path)}", where, _said(path, old, new))
    if not differ:
        what = "the same members, but another text (their order, or how a number is written): "
        found.note(f"{name}: text of the value", where, what + _first_difference(was["value"], now["value"]))


def members_that_differ(was: Any, now: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Path, former and present value of each member that differs. 1 and 1.0 differ."""
    if isinstance(was, dict) and isinstance(now, dict):
        for name, (old, new) in _changed(was, now).items():
            yield from members_that_differ(old, new, f"{path}.{name}" if path else name)
    elif isinstance(was, list) and isinstance(now, list):
        for index, (old, new) in enumerate(zip_longest(was, now, fillvalue=_ABSENT)):
            yield from members_that_differ(old, new, f"{path}[{index}]")
    elif was != now or type(was) is not type(now):
        yield path or "the value", was, now


def _changed(was: dict[str, Any], now: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Names with a former and a present value that are not the same."""
    names = [*was, *(name for name in now if name not in was)]
    pairs = {name: (was.get(name, _ABSENT), now.get(name, _ABSENT)) for name in names}
    return {name: pair for name, pair in pairs.items() if not _is_same(*pair)}


def _is_same(was: Any, now: Any) -> bool:
    """Whether two values are written alike: 1 and 1.0 are not."""
    return _ABSENT not in (was, now) and json.dumps(was) == json.dumps(now)


def _of(lines: list[Line], kind: str) -> list[Line]:
    return [line for line in lines if kind in line]


def _name_of(effect: Line) -> str:
    kind = dict(effect["headers"]).get("ce_type", "")
    return f"{effect['topic']} {kind.removeprefix('sluice.')}".strip()


def _kind_of(path: str) -> str:
    """A path without the places in lists, for counting."""
    return "member " + "".join(part.partition("]")[2] if n else part for n, part in enumerate(path.split("[")))


def _said(name: str, was: Any, now: Any) -> str:
    if was is _ABSENT or was is None:
        return f"{name} is new: {_text(now)}"
    if now is _ABSENT or now is None:
        return f"{name} is gone: was {_text(was)}"
    return f"{name}: was {_text(was)}, is {_text(now)}"


def _text(value: Any) -> str:
    if value is _ABSENT:
        return "absent"
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _SHORT else f"{text[:_SHORT]}... ({len(text)} characters)"


def _first_difference(was: str, now: str) -> str:
    at = next((n for n, (old, new) in enumerate(zip(was, now, strict=False)) if old != new), min(len(was), len(now)))
    begin = max(0, at - 40)
    return f"at character {at}: was ...{was[begin : at + 40]}, is ...{now[begin : at + 40]}"
