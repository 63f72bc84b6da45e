"""The waits of an order: every wait with its cause, its proof, its end and what may be done. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from journal.story import actions
from journal.story.causes import (
    BACK_OFF,
    BEHIND_REQUEST,
    BUDGET,
    DOWN,
    EARLY,
    FAR_SIDE,
    GIVEN_UP,
    ON_HOLD,
    PAUSED,
    QUIET,
    RANK,
    REFUSED,
    ROLE_BEHIND,
    Action,
    Proof,
    Wait,
    proof_of,
)
from journal.story.history import REJECTING, Told, early_events_of, holds_of, is_held, last_of
from journal.story.rows import DeadLetterRow, FactRow, Rows, WaitingRow
from journal.story.words import answer, duration, far_side, moment, plural
from topics.records.keys import INCREFF, subscription_of

BEHIND_MS = 5_000
"""A role that is less behind is not: it decides some thousand commands in this time."""
_REJECTED = ("REJECTED", "REFUSED")
_STEPS = {
    "order": {
        "RECEIVED": ("take the order", "order-created"),
        "HELD": ("take the order", "order-created"),
        "SUBMITTED": ("acknowledge the order", "order-submitted"),
        "ACKNOWLEDGED": ("pack the order", "order-acknowledged"),
        "PACKED": ("hand it over", "shipment-packed"),
        "LABELLED": ("hand it over", "label-issued"),
        "MANIFESTED": ("hand it over", "shipment-manifested"),
    },
    "return": {
        "RECEIVED": ("take the return", "return-created"),
        "SUBMITTED": ("inspect the return", "return-submitted"),
        "ACKNOWLEDGED": ("inspect the rest of the return", "return-acknowledged"),
    },
}
"""By kind and state: what Increff is to do, and the fact that began the wait."""
_STUCK_STEPS = {"submit": "take the order", "acknowledge": "acknowledge the order", "pack": "pack the order"}


def waits_of(rows: Rows, facts: list[Told], now_ms: int) -> tuple[Wait, ...]:
    """All waits; the first is the order's. `facts`: those of `rows`, read."""
    found = [*_role_behind(rows, now_ms), *_requests(rows, now_ms), *_given_up(rows), *_refused(rows, facts)]
    found += _early(rows, facts, now_ms)
    if all(subscription_of(row.destination) is not None for row in rows.waiting):
        found += _on_hold(rows, facts) or _far_side(rows, facts)
    return tuple(sorted(found, key=lambda wait: (RANK[wait.cause], wait.since_ms, wait.request_id)))


def _may_go_on(rows: Rows) -> bool:
    return rows.order.is_open or rows.order.state in _REJECTED or bool(rows.waiting)


def _role_behind(rows: Rows, now_ms: int) -> Iterator[Wait]:
    lag = rows.lag
    if not _may_go_on(rows) or lag is None or lag.end_offset <= lag.next_offset or now_ms - lag.oldest_ms < BEHIND_MS:
        return
    waiting = plural(lag.end_offset - lag.next_offset, "command")
    yield Wait(
        cause=ROLE_BEHIND.name,
        sentence=f"The orders role is behind: {waiting} of partition {lag.partition} are not decided, the first since "
        f"{moment(lag.oldest_ms)} ({duration(now_ms - lag.oldest_ms)}). What came for this order since then is not "
        "told here.",
        since_ms=lag.oldest_ms,
        until_ms=None,
        proof=Proof(
            topic="orders.commands",
            partition=lag.partition,
            offset=lag.next_offset,
            what="the first that is not decided",
        ),
        actions=(actions.STATUS,),
    )


def _requests(rows: Rows, now_ms: int) -> Iterator[Wait]:
    """A wait for each request to a far side. Facts for subscribers hold up nobody but their reader."""
    lanes: dict[str, list[WaitingRow]] = defaultdict(list)
    for row in rows.waiting:
        if subscription_of(row.destination) is None:
            lanes[row.lane].append(row)
    for lane in lanes.values():
        first, *others = sorted(lane, key=lambda row: (row.position, row.request_id))
        wait = _first(rows, first, now_ms)
        yield wait
        for row in others:
            yield _made(
                row,
                BEHIND_REQUEST.name,
                f"{row.touchpoint} waits behind {first.touchpoint} of its lane. {wait.sentence}",
                row.queued_ms,
                wait.until_ms,
                _outbox(first, "the first of the lane"),
                wait.actions,
            )


def _first(rows: Rows, row: WaitingRow, now_ms: int) -> Wait:
    """The wait of the first request of a lane. Each cause excludes those below it."""
    far, call = far_side(row.destination), row.touchpoint
    look = actions.look_at(row.destination)
    if row.is_held:
        return _held(rows, row)
    pause = next((one for one in rows.pauses if one.destination == row.destination and one.ended_ms is None), None)
    if pause is not None and (pause.until_ms is None or pause.until_ms > now_ms):
        who = pause.actor or "An operator"
        end = f" until {moment(pause.until_ms)}" if pause.until_ms is not None else ""
        why = f": {pause.reason}" if pause.reason else ""
        proof = proof_of(pause.topic, pause, "the pause")
        sentence = f"{call} waits: {who} paused {far} at {moment(pause.since_ms)}{end}{why}."
        return _made(
            row, PAUSED.name, sentence, pause.since_ms, pause.until_ms, proof, (actions.resume(row.destination),)
        )
    quiet = next((one for one in rows.quiets if (one.destination, one.shard) == (row.destination, row.shard)), None)
    if quiet is not None and quiet.opens_ms > now_ms:
        sentence = f"{call} waits: {far} asked for quiet until {moment(quiet.opens_ms)}."
        proof = proof_of("deliveries.permits", quiet, "the gate")
        return _made(
            row, QUIET.name, sentence, quiet.since_ms or row.queued_ms, quiet.opens_ms, proof, (actions.WAIT, look)
        )
    down = next((one for one in rows.downs if one.destination == row.destination and one.end_ms is None), None)
    if down is not None:
        sentence = (
            f"{call} waits: {far} is down since {moment(down.begin_ms)}: {down.error or 'no answer'}. It is probed."
        )
        proof = proof_of("deliveries.attempts", down, "the first that failed")
        act = (look, actions.ask(far, "look at its endpoint"))
        return _made(row, DOWN.name, sentence, down.begin_ms, None, proof, act)
    if row.attempts and row.next_ms > now_ms:
        ended = answer(row.last_status, row.last_error)
        sentence = (
            f"{call} is tried again at {moment(row.next_ms)}: attempt {row.attempts} to {far} ended with {ended}."
        )
        since_ms = row.last_ms if row.last_ms is not None else row.queued_ms
        return _made(row, BACK_OFF.name, sentence, since_ms, row.next_ms, _attempt(rows, row), (actions.WAIT, look))
    turn = next((one for one in rows.turns if one.request_id == row.request_id), None)
    act = (actions.WAIT, look)
    since_ms = max(row.queued_ms, row.next_ms)
    proof = _outbox(row, "the request")
    if turn is None:
        sentence = f"{call} waits for its turn at {far}."
        return _made(row, BUDGET.name, sentence, since_ms, None, proof, act)
    ahead = turn.ahead
    turn_ms = now_ms + int(ahead / turn.per_s * 1_000) if turn.per_s > 0 else None
    near = "not before" if turn.is_more else "some time near"
    when = f", {near} {moment(turn_ms)}" if turn_ms is not None else ""
    count = f"more than {plural(ahead, 'request')}" if turn.is_more else plural(ahead, "request")
    sentence = f"{call} waits for its turn at {far}: {count} before it{when}."
    return _made(row, BUDGET.name, sentence, since_ms, turn_ms, proof, act, ahead + 1)


def _made(
    row: WaitingRow | DeadLetterRow,
    cause: str,
    sentence: str,
    since_ms: int,
    until_ms: int | None,
    proof: Proof,
    act: tuple[Action, ...],
    place: int | None = None,
) -> Wait:
    return Wait(
        cause=cause,
        sentence=sentence,
        since_ms=since_ms,
        until_ms=until_ms,
        proof=proof,
        actions=act,
        request_id=row.request_id,
        destination=row.destination,
        touchpoint=row.touchpoint,
        place=place,
    )


def _outbox(row: WaitingRow, what: str) -> Proof:
    return proof_of("deliveries.outbox", row, what)


def _attempt(rows: Rows, row: WaitingRow) -> Proof:
    made = [one for one in rows.attempts if one.request_id == row.request_id]
    if not made:
        return _outbox(row, "the request")
    return proof_of("deliveries.attempts", max(made, key=lambda one: one.number), "the last attempt")


def _held(rows: Rows, row: WaitingRow) -> Wait:
    letter = next((one for one in rows.dead_letters if one.request_id == row.request_id), None)
    since_ms = letter.died_ms if letter is not None else row.last_ms or row.queued_ms
    ended = answer(row.last_status, row.last_error)
    sentence = (
        f"{row.touchpoint} to {far_side(row.destination)} was given up at {moment(since_ms)} after "
        f"{plural(row.attempts, 'attempt')}, the last with {ended}. It holds its lane: what comes behind it waits."
    )
    proof = _letter(letter) if letter is not None else _outbox(row, "the request")
    act = (actions.retry(rows.order, row.request_id), actions.skip(rows.order, row.request_id))
    return _made(row, GIVEN_UP.name, sentence, since_ms, None, proof, act)


def _letter(letter: DeadLetterRow) -> Proof:
    return proof_of("deliveries.dead", letter, "the dead letter")


def _open_letters(rows: Rows, kind: str) -> Iterator[DeadLetterRow]:
    """Those without an end whose request does not wait."""
    waiting = {row.request_id for row in rows.waiting}
    for letter in rows.dead_letters:
        is_open = letter.concluded is None and letter.request_id not in waiting
        if is_open and letter.kind == kind and subscription_of(letter.destination) is None:
            yield letter


def _given_up(rows: Rows) -> Iterator[Wait]:
    for letter in _open_letters(rows, "dead"):
        ended = answer(letter.status, letter.error)
        order, request = rows.order, letter.request_id
        lane = "It holds its lane." if letter.holds_lane else "Its lane went on without it."
        act = (
            (actions.retry(order, request), actions.skip(order, request))
            if letter.holds_lane
            else (actions.redrive(order),)
        )
        sentence = (
            f"{letter.touchpoint} to {far_side(letter.destination)} was given up at {moment(letter.died_ms)} "
            f"after {plural(letter.attempts, 'attempt')}, the last with {ended}. {lane}"
        )
        yield _made(letter, GIVEN_UP.name, sentence, letter.died_ms, None, _letter(letter), act)


def _refused(rows: Rows, facts: list[Told]) -> Iterator[Wait]:
    order, is_rejected = rows.order, rows.order.state in _REJECTED
    if not order.is_open and not is_rejected:
        return
    again = actions.ask("the marketplace", "send it again with corrected data")
    letters = list(_open_letters(rows, "refused"))
    for letter in letters:
        words = f": “{letter.message}”" if letter.message else ""
        far = far_side(letter.destination)
        ended = answer(letter.status, letter.error)
        sentence = f"{far} refused {letter.touchpoint} at {moment(letter.died_ms)} with {ended}{words}."
        act = (actions.resubmit(order), again)
        yield _made(letter, REFUSED.name, sentence, letter.died_ms, None, _letter(letter), act)
    rejected = last_of(facts, *REJECTING)
    if is_rejected and not letters and rejected is not None:
        status = rejected.members.get("status")
        by_order = rejected.row.name == "return-refused"
        who = f"Its order {order.forward_code}" if by_order else "Increff"
        with_status = f" with status {status}" if status is not None else ""
        yield Wait(
            cause=REFUSED.name,
            sentence=f"{who} refused the {order.kind} at {moment(rejected.row.at_ms)}{with_status}.",
            since_ms=rejected.row.at_ms,
            until_ms=None,
            proof=_fact(rejected.row),
            actions=(again,) if by_order else (actions.resubmit(order), again),
        )


def _fact(row: FactRow) -> Proof:
    return proof_of("orders.events", row, f"the fact {row.name}")


def _early(rows: Rows, facts: list[Told], now_ms: int) -> Iterator[Wait]:
    order = rows.order
    kept = early_events_of(facts, now_ms) if order.is_open or order.state == "EXPECTED" else []
    for event in kept:
        missing = "its Create" if order.state == "EXPECTED" else "what it depends on"
        end = f" It is kept until {moment(event.until_ms)}." if event.until_ms is not None else ""
        yield Wait(
            cause=EARLY.name,
            sentence=f"{event.event} came at {moment(event.row.at_ms)}, before {missing}.{end}",
            since_ms=event.row.at_ms,
            until_ms=event.until_ms,
            proof=_fact(event.row),
            actions=(actions.ask("the marketplace", f"send {missing}"), actions.WAIT),
        )
    if order.kind == "return" and order.state == "ASKED":
        yield Wait(
            cause=EARLY.name,
            sentence=f"The return waits for its order {order.forward_code}, which has not said yet whether it has the "
            "units.",
            since_ms=order.state_since_ms,
            until_ms=None,
            proof=_of_order(rows),
            actions=(actions.ask("the marketplace", "send the order, if it is missing"), actions.WAIT),
        )


def _of_order(rows: Rows) -> Proof:
    return proof_of("orders.events", rows.order, "the order's last fact")


def _on_hold(rows: Rows, facts: list[Told]) -> list[Wait]:
    order = rows.order
    if not (order.is_open and is_held(facts, order.state)):
        return []
    holds = [fact for fact, ended_ms in holds_of(facts) if ended_ms is None]
    since_ms = holds[-1].row.at_ms if holds else order.state_since_ms
    return [
        Wait(
            cause=ON_HOLD.name,
            sentence=f"The marketplace put the order on hold at {moment(since_ms)} and has not released it.",
            since_ms=since_ms,
            until_ms=None,
            proof=_fact(holds[-1].row) if holds else _of_order(rows),
            actions=(actions.ask("the marketplace", "release it (Update Order Properties with onHold false)"),),
        )
    ]


def _far_side(rows: Rows, facts: list[Told]) -> list[Wait]:
    order = rows.order
    step = _STEPS.get(order.kind, {}).get(order.state)
    if not order.is_open or step is None:
        return []
    what, name = step
    begun = last_of(facts, name)
    since_ms = order.state_since_ms
    if order.stuck_step and order.stuck_since_ms is not None:
        what, since_ms = _STUCK_STEPS.get(order.stuck_step, what), order.stuck_since_ms
    if order.state == "PACKED" and order.units_open:
        what = f"pack {plural(order.units_open, 'more unit')} and {what}" if not order.stuck_step else what
    stuck = last_of(facts, "order-stuck") if order.stuck_step else None
    limit = stuck.members.get("limitMs") if stuck is not None else None
    until_ms = since_ms + limit if isinstance(limit, int) else order.due_ms
    late = ""
    if stuck is not None:
        allowed = f": the channel allows {duration(limit)}" if isinstance(limit, int) else ""
        late = f" It is past its time{allowed}."
    elif order.due_ms is not None:
        late = f" It is due at {moment(order.due_ms)}."
    shown = stuck or begun
    proof = _fact(shown.row) if shown is not None else _of_order(rows)
    where = f" at {order.location}" if order.location else ""
    return [
        Wait(
            cause=FAR_SIDE.name,
            sentence=f"It is Increff's turn to {what}{where}, since {moment(since_ms)}.{late}",
            since_ms=since_ms,
            until_ms=until_ms,
            proof=proof,
            actions=(actions.ask(f"the warehouse{where}", what), actions.look_at(INCREFF)),
            is_late=stuck is not None,
        )
    ]
