"""Reads the bytes of an answer, as leniently as other JSON readers do. Pure.

Where the line is (docs/responses.md says the same): read are a byte order mark, UTF-16 and UTF-32, the charset that
Content-Type names, bytes that are no UTF-8 (as windows-1252), a lone surrogate, a name that comes twice (the last
counts). NaN, trailing commas, comments, single quotes, a line break inside a text, or anything before or behind the
object make it no JSON.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from streams.delivery.ports import MESSAGE_CHARS_MAX, AnswerFault
from topics.records.json_text import JsonTextError, read, write
from topics.records.shape import has_too_many_values
from topics.values import Value

ACCEPTING = frozenset(
    {"ok", "okay", "success", "successful", "succeeded", "accepted", "created", "received", "done", "ack"}
    | {"acknowledged", "true", "yes", "1", "200", "201", "202", "204", "200 ok", "no content"}
)
"""Bodies that are no JSON object and say in a word that all is well. The contract knows none of them; simple endpoints
answer them, and they cannot hold a refusal."""
TITLE_BYTES = 8_192
"""How far into a page its title is looked for."""

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins as that of UTF-16 does
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([^\s;\"',]+)", re.IGNORECASE)
_CHARSETS = re.compile(
    r"utf-(8|16|32)(-sig|-[bl]e)?|(iso8859-|cp125|cp8)\d+|ascii"
    r"|cp932|shift_jis|euc_(jp|kr)|gb2312|gbk|gb18030|big5|koi8-[ru]"
)
"""Python's names of the charsets that are read. Others (`idna`, `unicode_escape`) are no charsets of answers."""
_LATIN = frozenset({"iso8859-1", "ascii", "cp1252"})
"""Labels that all mean windows-1252 in practice (WHATWG Encoding Standard)."""
_WINDOWS_1252 = "".join(bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(256))
_SPACE = " \t\r\n\f\0\ufeff"
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_LONE_SURROGATE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    r"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
"""Escaped, in a text without escaped backslashes."""
_ESCAPED_BACKSLASH = "\\\\"
_TITLE = re.compile(rb"<title[^>]*>\s*(.{1,200}?)\s*</title>", re.IGNORECASE | re.DOTALL)
_GZIP = b"\x1f\x8b"


class AnswerBody(Value, frozen=True, kw_only=True):
    """The body of an answer. `members`: those of its JSON object; None: there is none. `is_empty`: it has no bytes.
    `is_partial`: it has too many values, and `members` are those alone by which any answer is judged. `fault`: why no
    meaning can be read from it, `why` says it in words."""

    members: dict[str, Any] | None = None
    is_empty: bool = False
    is_partial: bool = False
    fault: AnswerFault | None = None
    why: str = ""


EMPTY = AnswerBody(is_empty=True)
SAID_NOTHING = AnswerBody()
"""`null`, or a word of ACCEPTING."""


def read_body(raw: bytes, headers: Mapping[str, str]) -> AnswerBody:
    """The usual answer, an object in UTF-8, costs one `read`."""
    if not raw:
        return EMPTY
    if has_too_many_values(raw):
        return _read_few(raw, headers)
    try:
        found = read(raw)
    except JsonTextError:
        return _read_leniently(raw, headers)
    return _judge(found)


def header(headers: Mapping[str, str], name: str) -> str | None:
    """The header of this name, which is in small letters, however the far side wrote it."""
    return next((content for key, content in headers.items() if key.lower() == name), None)


def text_of(raw: bytes) -> str:
    """The body's first words, for people."""
    return raw[: MESSAGE_CHARS_MAX * 4].decode(errors="replace").strip()[:MESSAGE_CHARS_MAX]


def _judge(found: Any) -> AnswerBody:
    """Judges what was read as JSON. An object has members, and hardly anything else has a meaning."""
    if isinstance(found, dict):
        return AnswerBody(members=found)
    if found is None or found == "":
        return SAID_NOTHING
    if found == []:
        return AnswerBody(members={})  # how PHP writes an object without members
    if isinstance(found, (str, int)) and accepts(str(found)):
        return SAID_NOTHING
    shown = text_of(write(found)) if not isinstance(found, (list, float)) else type(found).__name__
    return AnswerBody(fault=AnswerFault.NO_OBJECT, why=f"the answer is not a JSON object: {shown}")


def accepts(text: str) -> bool:
    """Whether a text is one of ACCEPTING."""
    return text.strip(_SPACE + '.!"').lower() in ACCEPTING


def _read_leniently(raw: bytes, headers: Mapping[str, str]) -> AnswerBody:
    content_type = header(headers, "content-type") or ""
    text = decode(raw, content_type).strip(_SPACE)
    if not text:
        return EMPTY
    if text[0] in '{["' or "json" in content_type.lower():
        try:
            found = read(_without_lone_surrogates(text))
        except JsonTextError as error:
            return _no_json(raw, text, error)
        return _judge(found)
    if accepts(text):
        return SAID_NOTHING
    if text[0] == "<":
        return _page(raw, text)
    why = f"the answer is no JSON: {_shown(raw, text)}"
    return AnswerBody(fault=AnswerFault.TEXT, why=why[:MESSAGE_CHARS_MAX])


def _no_json(raw: bytes, text: str, error: ValueError) -> AnswerBody:
    if text[0] == "<":
        return _page(raw, text)
    why = f"the answer should be JSON and cannot be read ({str(error)[:80]}): {_shown(raw, text)}"
    return AnswerBody(fault=AnswerFault.NOT_JSON, why=why[:MESSAGE_CHARS_MAX])


def _page(raw: bytes, text: str) -> AnswerBody:
    titled = _TITLE.search(raw[:TITLE_BYTES])
    shown = f"with the title {text_of(titled[1])!r}" if titled else text[:200]
    return AnswerBody(fault=AnswerFault.PAGE, why=f"the answer is a page where JSON is due (a login?): {shown}")


def _shown(raw: bytes, text: str) -> str:
    if raw.startswith(_GZIP):
        return "it is compressed, and its Content-Encoding does not say how"
    return text[:MESSAGE_CHARS_MAX]


def decode(raw: bytes, content_type: str) -> str:
    """The text of a body, by its byte order mark, its first bytes or the charset that Content-Type names."""
    for mark, charset in _BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            return _decode_by(raw[len(mark) :], charset)
    return _decode_by(raw, _charset_by_zeros(raw) or _charset_named(content_type))


def _decode_by(raw: bytes, charset: str) -> str:
    if charset not in _LATIN:
        try:
            if charset.startswith(("utf-16", "utf-32")):
                return _SURROGATE.sub("\ufffd", raw.decode(charset, "surrogatepass"))
            return raw.decode(charset)
        except UnicodeDecodeError:
            pass
    return codecs.charmap_decode(raw, "strict", _WINDOWS_1252)[0]


def _charset_by_zeros(raw: bytes) -> str:
    """JSON begins with an ASCII character, so zero bytes beside it tell the charset (RFC 4627, section 3)."""
    zeros = tuple(byte == 0 for byte in raw[:4])
    match zeros:
        case (True, True, True, False):
            return "utf-32-be"
        case (False, True, True, True):
            return "utf-32-le"
        case (True, False, *_):
            return "utf-16-be"
        case (False, True, *_):
            return "utf-16-le"
    return ""


def _charset_named(content_type: str) -> str:
    named = _CHARSET.search(content_type)
    if named is None:
        return "utf-8"
    try:
        name = codecs.lookup(named[1]).name
    except (LookupError, ValueError):
        return "utf-8"
    return name if _CHARSETS.fullmatch(name) else "utf-8"


def _without_lone_surrogates(text: str) -> bytes:
    """An escaped lone surrogate becomes U+FFFD: no text can have it in UTF-8."""
    if _ESCAPED_SURROGATE.search(text):
        parts = text.split(_ESCAPED_BACKSLASH)
        text = _ESCAPED_BACKSLASH.join(
            [_LONE_SURROGATE.sub(r"\\ufffd", part) if "\\u" in part else part for part in parts]
        )
    return text.encode()


# Answers of too many values

_JUDGED_BY = ("hasError", "errorMessage", "message", "description", "success", "status", "error", "errors")


def _spellings(name: str) -> tuple[str, ...]:
    snake = re.sub("([A-Z])", r"_\1", name)
    return name, name[0].upper() + name[1:], name.lower(), name.upper(), snake.lower(), snake.upper()


_NAMES = tuple(dict.fromkeys(spelt for name in _JUDGED_BY for spelt in _spellings(name)))
_Said = msgspec.defstruct("_Said", [(name, msgspec.Raw, msgspec.Raw(b"null")) for name in _NAMES])
_decode_said = msgspec.json.Decoder(_Said).decode


def _read_few(raw: bytes, headers: Mapping[str, str]) -> AnswerBody:
    """Only the members by which any answer is judged, as text: of the others no objects are made."""
    for text in (raw, decode(raw, header(headers, "content-type") or "").strip(_SPACE).encode()):
        try:
            said = msgspec.structs.asdict(_decode_said(text))
            few = {name: read(bytes(part)) for name, part in said.items() if not has_too_many_values(bytes(part))}
        except (msgspec.MsgspecError, RecursionError, ValueError):
            continue
        return AnswerBody(
            members={name: content for name, content in few.items() if content is not None}, is_partial=True
        )
    why = f"the answer has too many values, and cannot be read as a JSON object: {text_of(raw)}"
    return AnswerBody(fault=AnswerFault.NOT_JSON, why=why[:MESSAGE_CHARS_MAX])
