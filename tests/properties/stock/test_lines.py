"""An upload's lines are read as the csv module and orjson read them, wherever the stream is cut: what is refused has
the number of its line, and nothing is taken that is not there."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.snapshots.formats import Csv, Entry, Format, Lines, Ndjson
from gateway.http.answers import Refused
from topics.schema_base import SKUS_MAX

Taken = list[tuple[str, int]]

HEADER = b"channelSkuCode,quantity\n"
CSV_PIECES = [
    '"',
    '""',
    ",",
    "\n",
    "\r\n",
    "A",
    "B,5",
    '"A\nB",5',
    "7",
    " ",
    "\u00e9",
    "\n\n",
    "C,1\n",
    '"D",2\n',
    '"E""e",3',
]
NDJSON_PIECES = [
    *['{"channelSkuCode":"A","quantity":1}', '{"channelSkuCode":"B"', '"quantity":2}', '{"quantity":3,', ",", "{", "}"],
    *[
        "\n",
        "\r\n",
        '"channelSkuCode":"C"}',
        '{"channelSkuCode":"D\\n","quantity":4}',
        " ",
        "[",
        "]",
        "\ufeff",
        "\u2028",
    ],
]


def _read(form: Format, chunks: Iterable[bytes], at_once: int = SKUS_MAX) -> tuple[Taken, list[int]]:
    """What an upload takes of a stream, and the lines that it refuses."""
    lines, waiting = Lines(), list[Entry]()
    for chunk in chunks:
        waiting += form.head(form.entries(lines.feed(chunk)))[1]
    waiting += form.head(form.entries(lines.end()))[1]
    taken: Taken = []
    refused: list[int] = []
    for parsed in [*(form.parse(waiting[at : at + at_once]) for at in range(0, len(waiting), at_once)), form.end()]:
        items = orjson.loads(b"[%b]" % parsed.items)
        assert len(items) == parsed.count
        taken += [(item["channelSkuCode"], item["quantity"]) for item in items]
        refused += [one.line for one in parsed.errors]
    return taken, refused


def _by_the_csv_module(text: str) -> tuple[Taken, list[int]]:
    """What is to be taken of a whole file without its header, as the csv module reads it, and the lines to refuse."""
    reader = csv.reader(line + "\n" for line in text.split("\n"))
    taken: Taken = []
    refused: list[int] = []
    begin = 2
    for row in reader:
        first, begin = begin, reader.line_num + 2
        lines = text.split("\n")[first - 2 : begin - 2]
        if len(lines) == 1 and (not lines[0] or lines[0].isspace()):
            continue
        if len(lines) == 1 and len(row) == 2 and row[0] and row[1].strip().isdigit() and _is_sound(lines[0]):
            taken.append((row[0], int(row[1])))
        else:
            refused.append(first)
    return taken, refused


def _is_sound(line: str) -> bool:
    """Whether the csv module finds no fault in a line when it looks for one."""
    try:
        list(csv.reader([line], strict=True))
    except csv.Error:
        return False
    return True


@given(st.lists(st.sampled_from(CSV_PIECES), max_size=12), st.integers(1, 4))
def test_csv_is_read_as_the_csv_module_reads_it(pieces: list[str], at_once: int) -> None:
    text = "".join(pieces)
    assert _read(Csv(consolidated=False), [HEADER + text.encode()], at_once) == _by_the_csv_module(text)


@given(st.lists(st.sampled_from(NDJSON_PIECES), max_size=10), st.integers(1, 4))
def test_ndjson_takes_the_lines_that_orjson_reads(pieces: list[str], at_once: int) -> None:
    text = "\n".join(pieces) if at_once == 4 else "".join(pieces)
    whole = []
    for line in text.removeprefix("\ufeff").encode().split(b"\n"):
        try:
            item = orjson.loads(line.removeprefix(b"\xef\xbb\xbf"))  # files put together have several
        except orjson.JSONDecodeError:
            continue
        if isinstance(item, dict) and item.keys() == {"channelSkuCode", "quantity"}:
            whole.append((item["channelSkuCode"], item["quantity"]))
    assert _read(Ndjson(consolidated=False), [text.encode()], at_once)[0] == whole


@given(
    st.sampled_from([(Csv, HEADER.decode(), CSV_PIECES), (Ndjson, "", NDJSON_PIECES)]),
    st.booleans(),
    st.data(),
)
def test_a_stream_is_read_alike_wherever_it_is_cut(kind: Any, marked: bool, data: st.DataObject) -> None:
    form, header, pieces = kind
    body = (header + "".join(data.draw(st.lists(st.sampled_from(pieces), max_size=8)))).encode()
    raw = b"\xef\xbb\xbf" * marked + body
    whole = _read(form(consolidated=False), [raw])
    assert _read(form(consolidated=False), [raw[at : at + 1] for at in range(len(raw))]) == whole
    for at in range(len(raw)):
        assert _read(form(consolidated=False), [raw[:at], raw[at:]]) == whole
    if not raw.startswith(b"\xef\xbb\xbf" * 2):
        assert _read(form(consolidated=False), [raw.removeprefix(b"\xef\xbb\xbf")]) == whole


CSV_CASES: dict[str, tuple[bytes, Taken, list[int]]] = {
    "a quoted line break": (b'"A\nB",5\nC,1\n', [("C", 1)], [2]),
    "several": (b'C,1\n"A\n\nB\n",5\nD,2\n', [("C", 1), ("D", 2)], [3]),
    "a quoted CR LF": (b'"A\r\nB",5\r\nC,1\r\n', [("C", 1)], [2]),
    "a quoted CR": (b'"A\rB",5\nC,1\n', [("C", 1)], [2]),
    "a quote that is never closed": (b'C,1\n"A,5\nB,6\n', [("C", 1)], [3]),
    "a closed quote with more behind it": (b'"A"x,5\nC,1\n', [("C", 1)], [2]),
    "a lone quote inside a field": (b'5" pipe,3\nC,1\n', [('5" pipe', 3), ("C", 1)], []),
    "doubled quotes": (b'"A""B",5\n"""",6\n', [('A"B', 5), ('"', 6)], []),
    "a quoted comma": (b'"A,B",5\n', [("A,B", 5)], []),
    "a quoted number": (b'A,"5"\n', [("A", 5)], []),
    "no last line break": (b"A,5", [("A", 5)], []),
    "no last line break behind a quote": (b'A,1\n"B",5', [("A", 1), ("B", 5)], []),
    "blank lines": (b"\n\nA,5\n\r\n  \nB,6\n\n", [("A", 5), ("B", 6)], []),
    "trailing commas": (b"A,5,\nB,6\n", [("B", 6)], [2]),
    "semicolons": (b"A;5\nB,6\n", [("B", 6)], [2]),
    "a NUL": (b"A\x00,5\nB,6\n", [("B", 6)], [2]),
    "a CR inside": (b"A,5\rB,6\nC,1\n", [("C", 1)], [2]),
    "two CR": (b"A,5\r\r\nB,6\r\r\n", [("A", 5), ("B", 6)], []),
    "not UTF-8": (b"A\xff,5\nB,6\n", [("B", 6)], [2]),
    "numbers of spreadsheets": (b'A,5.0\nB,1e3\nC,2.5\nD, 7 \nE,"1,000"\n', [("A", 5), ("B", 1000), ("D", 7)], [4, 6]),
    "a line separator of Unicode": ("A\u2028B,5\n".encode(), [("A\u2028B", 5)], []),
}


@pytest.mark.parametrize("case", CSV_CASES)
def test_a_row_is_taken_or_refused_with_its_line(case: str) -> None:
    body, taken, refused = CSV_CASES[case]
    assert _read(Csv(consolidated=False), [HEADER + body]) == (taken, refused)
    assert _read(Csv(consolidated=False), [bytes([one]) for one in HEADER + body], 1) == (taken, refused)


HEADERS = [
    *[
        b"channelSkuCode,quantity\r\n",
        b"\xef\xbb\xbfchannelSkuCode,quantity\n",
        b'\xef\xbb\xbf"channelSkuCode",quantity\n',
    ],
    *[b" ChannelSkuCode , QUANTITY \n", b"channelskucode,Quantity\n", b"\n\nchannelSkuCode,quantity\n"],
]


@pytest.mark.parametrize("header", HEADERS, ids=ascii)
def test_a_header_is_known_however_it_is_written(header: bytes) -> None:
    assert _read(Csv(consolidated=False), [header + b"A,5\n"]) == ([("A", 5)], [])


REFUSED: dict[str, tuple[bytes, str]] = {
    "UTF-16": ("\ufeffchannelSkuCode,quantity\nA,5\n".encode("utf-16-le"), "line 1: is UTF-16"),
    "UTF-16, the other order": ("\ufeffchannelSkuCode,quantity\nA,5\n".encode("utf-16-be"), "line 1: is UTF-16"),
    "UTF-16 without a mark": ("channelSkuCode,quantity\nA,5\n".encode("utf-16-le"), "line 1: is UTF-16"),
    "gzip": (b"\x1f\x8b\x08\x00rest", "line 1: is gzip"),
    "a spreadsheet": (b"PK\x03\x04rest", "line 1: is a ZIP archive"),
    "semicolons": (b"channelSkuCode;quantity\nA;5\n", "with commas between"),
    "a trailing comma": (b"channelSkuCode,quantity,\nA,5,\n", "unknown: a column without a name"),
    "CR alone": (b"channelSkuCode,quantity\rA,5\r", "line 1: has a CR inside"),
    "a header over lines": (
        b'"channelSkuCode\n",quantity\nA,5\n',
        "line 1: is no row of CSV; a quoted field must end on its line, with a comma or nothing behind it",
    ),
    "a quoted field without an end": (HEADER + b'A,1\n"B,5\n' + b"C,6\n" * 9_000, "line 3: a quoted field begins"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_list_of_rows_is_refused_as_a_whole(case: str) -> None:
    body, fault = REFUSED[case]
    for chunks in ([body], [body[at : at + 1] for at in range(len(body))]):
        with pytest.raises(Refused) as refused:
            _read(Csv(consolidated=False), chunks)
        assert fault in refused.value.description
