"""Whatever bytes a far side puts its refusal in, the request is never recorded as delivered; random bytes end nothing.

Random refusals, in all forms that docs/responses.md names, in random charsets, labels and wrappings, whole or damaged,
for every touchpoint. An oracle of its own reads random JSON: where it finds a refusal, Sluice must not see a success.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from streams.delivery.attempts.classify import classify
from streams.delivery.ports import Answer, AttemptResult, ResponseClass
from streams.delivery.stock.calls import read_answer
from tests.fakes.delivery import START_MS, Played, channels_for, request_for
from tests.unit.delivery.stock.test_sending import staged
from topics.contract.definition import Entity, Touchpoint
from topics.contract.sample_files import sample
from topics.contract.touchpoints import BY_NAME, TOUCHPOINTS

DELIVERED = ResponseClass.DELIVERED
SKUS = ("A", "4711", "größe-1")
ORDERS = [{"orderCode": "A"}, {"orderCode": "4711"}]
OF_LANES = [one for one in TOUCHPOINTS if one.entity not in (Entity.STOCK, Entity.NONE)]

# Words

spellings = st.sampled_from(
    (str, str.lower, str.upper, lambda name: name[0].upper() + name[1:], lambda name: _snake(name, "_"))
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, width=32) | texts
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
flags = st.sampled_from((True, "true", "True", "TRUE", 1, 2))
failing: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    (
        {"success": False},
        {"success": "false"},
        {"status": "FAILED"},
        {"status": 500},
        {"statusCode": 400, "body": "no"},
        {"error": "no such order"},
        {"errors": [{"code": 7}]},
        {"errorMessage": "no such order"},
        {"code": "BAD_DATA", "message": "no"},
    )
)


def _snake(name: str, joint: str) -> str:
    return "".join(joint + letter.lower() if letter.isupper() else letter for letter in name)


@st.composite
def refusals(draw: st.DrawFn) -> dict[str, Any]:
    """An object that says, in one of the documented ways, that the call was not taken."""
    if draw(st.booleans()):
        said: dict[str, Any] = {draw(spellings)("hasError"): draw(flags)}
        if draw(st.booleans()):
            said[draw(spellings)("errorMessage")] = draw(texts)
    else:
        said = dict(draw(failing))
    noise = draw(st.dictionaries(st.sampled_from(("awbNumber", "x", "größe", "n")), values, max_size=2))
    whole = {**noise, **said} if draw(st.booleans()) else {**said, **noise}
    wrapper = draw(st.sampled_from(("", "", "data", "Response", "result", "body")))
    return {wrapper: whole, "took": 3} if wrapper else whole


# Bytes

CHARSETS = ("utf-8", "utf-8-sig", "latin-1", "cp1252", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le")
CONTENT_TYPES = (
    "application/json",
    "application/json; charset=utf-8",
    "application/problem+json;charset={}",
    "text/json; Charset={}",
    "application/json; charset=klingon",
)
ANY_TYPES = (*CONTENT_TYPES, "text/html; charset=utf-8", "text/plain", "application/octet-stream", "")


@st.composite
def encoded(draw: st.DrawFn, body: Any, *, damaged: bool = False) -> Answer:
    """`damaged`: so that it is no JSON any more, and still says that it is."""
    charset = draw(st.sampled_from(CHARSETS))
    text = json.dumps(body, ensure_ascii=draw(st.booleans()), indent=draw(st.sampled_from((None, 1))))
    if not text.isascii() and charset in ("latin-1", "cp1252"):
        charset = "utf-8" if any(ord(letter) > 255 for letter in text) else charset
        charset = "utf-8" if charset == "cp1252" and any(0x7F < ord(letter) < 0xA0 for letter in text) else charset
    raw = text.encode(charset)
    if damaged:
        how = draw(st.sampled_from(("cut", "behind", "before", "comma", "gzip")))
        if how == "cut":
            keep = draw(st.integers(1, max(1, len(text) - 1)))
            raw = text[:keep].encode(charset)
        elif how in ("behind", "before"):
            more = draw(st.sampled_from(("<br />Notice: no\n", "// no", "{}", "OK")))
            raw = (text + more if how == "behind" else more + text).encode(charset)
        elif how == "comma":
            raw = (text[:-1] + ",}").encode(charset)
        else:
            raw = b"\x1f\x8b\x08" + raw
    # A charset that nobody names is told from the bytes: a mark, zero bytes, or UTF-8.
    named = draw(st.sampled_from(CONTENT_TYPES if damaged else ANY_TYPES))
    headers = {draw(st.sampled_from(("Content-Type", "content-type"))): named.format(charset)} if named else {}
    return Answer(status=draw(st.sampled_from((200, 201, 202))), headers=headers, body=raw)


def members_of(touchpoint: Touchpoint) -> dict[str, Any]:
    return {"orders": ORDERS} if touchpoint.name == "acknowledgement" else {}


@settings(max_examples=200, deadline=None)
@given(touchpoint=st.sampled_from(TOUCHPOINTS), answer=refusals().flatmap(encoded))
def test_a_refusal_in_any_form_is_never_a_success(touchpoint: Touchpoint, answer: Answer) -> None:
    assert classify(touchpoint, members_of(touchpoint), answer, 0).kind is not DELIVERED


@settings(max_examples=120, deadline=None)
@given(
    touchpoint=st.sampled_from(TOUCHPOINTS),
    answer=(refusals() | st.just({"hasError": False})).flatmap(lambda body: encoded(body, damaged=True)),
)
def test_what_is_no_json_any_more_is_asked_for_again(touchpoint: Touchpoint, answer: Answer) -> None:
    verdict = classify(touchpoint, members_of(touchpoint), answer, 0)
    assert verdict.kind is ResponseClass.RETRY
    assert verdict.message


@settings(max_examples=80, deadline=None)
@given(touchpoint=st.sampled_from(TOUCHPOINTS), answer=encoded({"hasError": False}))
def test_a_success_is_one_in_any_bytes(touchpoint: Touchpoint, answer: Answer) -> None:
    assert classify(touchpoint, members_of(touchpoint), answer, 0).kind is DELIVERED


names = st.sampled_from(("hasError", "has_error", "HASERROR", "message", "successOrders", "x")) | texts
objects = st.dictionaries(names, flags | values, max_size=4)


@settings(max_examples=200, deadline=None)
@given(
    touchpoint=st.sampled_from(TOUCHPOINTS),
    answer=st.one_of(
        st.builds(Answer, status=st.just(200), body=st.binary(max_size=40)),
        (values | objects).flatmap(encoded),
    ),
)
@example(touchpoint=BY_NAME["pack-order"], answer=Answer(status=200, body=b"\xff\xfe"))
@example(touchpoint=BY_NAME["pack-order"], answer=Answer(status=200, body=b"\x00"))
def test_no_success_hides_a_refusal_that_another_reader_finds(touchpoint: Touchpoint, answer: Answer) -> None:
    verdict = classify(touchpoint, members_of(touchpoint), answer, 0)
    if verdict.kind is not DELIVERED:
        assert verdict.message or verdict.kind is ResponseClass.REFUSED
        return
    for charset in CHARSETS:
        try:
            found = json.loads(answer.body.decode(charset))
        except (ValueError, RecursionError):
            continue
        if isinstance(found, dict):
            refusing = [flag for name, flag in found.items() if name == "hasError"]
            assert not any(flag is True or flag == "true" for flag in refusing), charset


# Lists

forms = st.sampled_from(
    (
        list,
        lambda codes: [{"channelSkuCode": code, "reason": "no"} for code in codes],
        lambda codes: [{"sku": code, "quantity": 3} for code in codes],
        lambda codes: [{"SkuCode": code} for code in codes] + [None],
        lambda codes: dict.fromkeys(codes, "not listed"),
        lambda codes: {str(number): {"channelSkuId": code} for number, code in enumerate(codes)},
        ",".join,
        lambda codes: [f"{code}: not listed" for code in codes],
        lambda codes: [int(code) if code.isdecimal() else code for code in codes],
        lambda codes: {"items": [{"sku": code} for code in codes]},
        lambda codes: [{"row": number} for number, _ in enumerate(codes)],
        lambda codes: [None for _ in codes],
        lambda codes: f"{len(codes)} were not listed",
        len,
        lambda codes: [[code] for code in codes],
        lambda codes: f"not listed: {', '.join(codes)}.",
        lambda codes: {code: ["not listed, see A and 4711"] for code in codes},
        lambda codes: {str(number): code for number, code in enumerate(codes, 4711)},
    )
)


@st.composite
def stock_answers(draw: st.DrawFn, failed: frozenset[str]) -> tuple[dict[str, Any], bytes]:
    """An answer that says that the SKUs `failed` were not taken, somehow."""
    listed = draw(forms)(sorted(failed))
    members: dict[str, Any] = {draw(spellings)("failureList"): listed}
    beside = draw(st.sampled_from(("", "empty", "others", "all")))
    if beside:
        taken = [] if beside == "empty" else [sku for sku in SKUS if beside == "all" or sku not in failed]
        members[draw(spellings)("successList")] = taken
    how = draw(st.sampled_from(("", "", "data", "alone", "text")))
    if how == "data":
        members = {"data": members, "success": True}
    elif how:
        members = {"Answer": members} if how == "alone" else {"statusCode": 200, "body": json.dumps(members)}
    answer = draw(encoded(members))
    return members, answer.body if draw(st.booleans()) else json.dumps(members).encode()


@settings(max_examples=150, deadline=None)
@given(data=st.data(), failed=st.frozensets(st.sampled_from(SKUS), min_size=1))
def test_a_sku_that_failed_is_never_read_as_taken(data: st.DataObject, failed: frozenset[str]) -> None:
    _, raw = data.draw(stock_answers(failed))
    touchpoint = BY_NAME["location-wise-atp-inventory"]
    verdict = classify(touchpoint, None, Answer(status=200, body=raw), 0)
    if verdict.kind is DELIVERED:
        read = read_answer(verdict.body, SKUS)
        assert read.fault or failed <= read.failed


# The whole role

WELL = Answer(status=200, body=b'{"hasError":false}')


async def _play(refused: dict[str, tuple[str, Answer]]) -> None:
    """Each request is refused so until the far side is mended; then what was not refused for good arrives."""
    worker = await Played(channels_for(), seed=1).start()
    worker.sender.far = lambda call, _: refused[call.delivery_id][1]
    for request, (name, _) in refused.items():
        deadline_ms = START_MS + 20_000 if BY_NAME[name].wants_answer else None
        worker.give(request_for(name, f"order-{request}", request, body=sample(name).members, deadline_ms=deadline_ms))
    await worker.clock.run_for(10_000)
    assert worker.crashes == []
    assert "delivered" not in worker.final().values()
    worker.sender.far = lambda call, _: Answer(
        status=200, body=json.dumps(sample(call.touchpoint.name).answer).encode()
    )
    await worker.clock.run_for(600_000)
    assert worker.final().keys() == refused.keys(), "nothing is lost"
    await worker.kill()


@settings(max_examples=30, deadline=None)
@given(
    answers=st.lists(
        st.tuples(
            st.sampled_from([one.name for one in OF_LANES]),
            refusals().flatmap(lambda body: st.booleans().flatmap(lambda damaged: encoded(body, damaged=damaged))),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_no_refused_request_is_ever_recorded_as_delivered(answers: list[tuple[str, Answer]]) -> None:
    asyncio.run(_play({f"r{number}": one for number, one in enumerate(answers)}))


async def _send_stock(raw: bytes, failed: frozenset[str]) -> None:
    async with staged() as stage:

        async def answer(touchpoint: Touchpoint, members: dict[str, Any], weight: float) -> AttemptResult:
            stage.caller.calls.append(members)
            skus = {item["channelSkuCode"] for item in members["inventories"]}
            said = Answer(status=200, body=raw if skus & failed else b"")
            verdict = classify(touchpoint, members, said, stage.clock.now_ms())
            at_ms, body = stage.clock.now_ms(), verdict.body
            return AttemptResult(kind=verdict.kind, at_ms=at_ms, took_ms=1, status=200, body=body, fault=verdict.fault)

        well, stage.caller.answer = stage.caller.answer, answer  # type: ignore[method-assign]
        for sku in SKUS:
            stage.change("L1", "demo", **{sku: 1})
        await stage.open()
        await stage.clock.run_for(60_000)
        assert {sku for sku in SKUS if stage.sent(sku) is not None} <= set(SKUS) - failed
        stage.caller.answer = well  # type: ignore[method-assign]
        await stage.clock.run_for(1_000_000)
        assert [stage.sent(sku) for sku in SKUS] == [1] * len(SKUS), "all are told in the end"
        assert stage.doubtful() == []


@settings(max_examples=15, deadline=None)
@given(data=st.data(), failed=st.frozensets(st.sampled_from(SKUS), min_size=1))
def test_no_refused_sku_is_ever_recorded_as_told(data: st.DataObject, failed: frozenset[str]) -> None:
    _, raw = data.draw(stock_answers(failed))
    asyncio.run(_send_stock(raw, failed))
