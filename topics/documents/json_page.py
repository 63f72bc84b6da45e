"""docs/json.md: what is taken as JSON, and how numbers leave. Its tables are made by reading and writing."""

from __future__ import annotations

from topics.documents.markdown import GENERATED, document, table
from topics.records.json_text import JsonTextError, read, write
from topics.records.shape import NESTING_MAX
from topics.schema_base import VALUES_MAX

NUMBERS = (
    "4711",
    "9400111899223197428490",
    "-18446744073709551617",
    "10.0",
    "89.25",
    "499.0000",
    "1234567890.12345678901",
    "0.00000010",
    "1.5E+2",
    "-0.0",
    "1e5",
    "-0",
)
TEXTS: tuple[tuple[str, bytes], ...] = (
    ("UTF-8", '{"name": "Łódź"}'.encode()),
    ("a byte order mark of UTF-8 before it", b"\xef\xbb\xbf{}"),
    ("a surrogate pair `\\ud83d\\ude00`", rb'{"name": "\ud83d\ude00"}'),
    ("a member that comes twice", b'{"a": 1, "a": 2}'),
    ("spaces and line breaks between values", b'{ "a" :\r\n\t1 }'),
    ("UTF-16", '{"a": 1}'.encode("utf-16")),
    ("bytes that are not UTF-8", b'{"name": "\xff"}'),
    ("a lone surrogate `\\ud83d`", rb'{"name": "\ud83d"}'),
    ("a control character inside of a text", b'{"name": "a\x01b"}'),
    ("`NaN`, `Infinity`", b'{"a": NaN}'),
    ("a number beyond 1.8e308", b'{"a": 1e400}'),
    ("a number with a leading zero", b'{"a": 007}'),
    ("a comma behind the last member", b'{"a": 1,}'),
    ("single quotes", b"{'a': 1}"),
    ("comments", b'{"a": 1} // one'),
    ("more behind the value", b"{} {}"),
)


_ABOUT = """\
One reader and one writer (`topics/records/json_text.py`) stand at every border: bodies over HTTP, records of direct
producers, lines of NDJSON, answers of far sides. So a text is judged alike over HTTP and over Kafka. This page is made
by calling them. An answer that this reader refuses is read in other ways before it counts as unreadable
([responses.md](responses.md))."""
_DIGITS = """\
Numbers keep their digits on all ways through Sluice: from a caller to the far side, from its answer to the caller, in
the state of an order, in facts and documents. Sluice does not round, and makes no float of a long integer."""
_EQUAL = """\
A number with an exponent and no point leaves as an equal number. Amounts and counts are compared as numbers, so
`499.0000` and `499.0` are one price. A code that is printed as a number has the digits of the number: shipmentCode
`9400111899223197428490` is found as `9400111899223197428490` in a query string."""
_BOUNDS = f"""\
A body may nest {NESTING_MAX} levels deep and have {VALUES_MAX:,} values (`SLUICE_BODY_VALUES_MAX`). PHP writes an
object without members as `[]`: where the contract has an object, that is taken as one without members."""


def text() -> str:
    return document(
        [
            GENERATED,
            "# What is taken as JSON, and how do numbers leave?",
            _ABOUT,
            "## Numbers",
            _DIGITS,
            table(("comes as", "leaves as", ""), (_number(number) for number in NUMBERS)),
            _EQUAL,
            "## Texts",
            table(("a text with", "is", "because"), (_judged(what, raw) for what, raw in TEXTS)),
            _BOUNDS,
        ]
    )


def _number(number: str) -> tuple[str, str, str]:
    leaves = write(read(f"[{number}]".encode()))[1:-1].decode()
    return f"`{number}`", f"`{leaves}`", "the same" if leaves == number else "an equal number"


def _judged(what: str, raw: bytes) -> tuple[str, str, str]:
    try:
        members = read(raw)
    except JsonTextError as error:
        return what, "refused", f"{error.msg} at line {error.lineno} column {error.colno}"
    return what, "taken", "the last counts" if len(members) == 1 and raw.count(b'"a"') > 1 else ""
