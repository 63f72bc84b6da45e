"""Names in answers: members in any spelling, and the codes of what was sent that a list of an answer names. Pure.

The contract's lists hold codes, or objects with a code (contract 12, 19.4). Far sides also write maps from a code to a
reason, texts, and objects whose code has another name. A list of a form that names none of what was sent is reported as
such, so that nobody takes it for an empty one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

SKU_NAMES = frozenset(
    {"channelskucode", "channelskuid", "channelsku", "sku", "skucode", "skuid", "sellersku", "clientskucode"}
)
"""Names of a SKU's code in the objects of an answer, as `plain` writes them. The contract has two of them itself."""
ORDER_NAMES = frozenset({"ordercode", "orderid", "order", "ordernumber", "orderno", "channelorderid"})
WRAPPERS = frozenset({"data", "response", "result", "body", "payload"})
"""Members in which frameworks put the whole answer once more."""
NOTHING = frozenset(
    {"", "0", "[]", "{}", "null", "nil", "none", "false", "no", "n/a", "na", "-", "no error", "no errors"}
)
"""Texts for "there is none", where a far side prints one."""
NAME_MAX = 64
"""Names as long as this are none of those that are looked for."""
LEVELS_MAX = 4
"""Levels of objects and lists below a list in which codes are looked for: a map of lists of objects has three."""
TEXT_CHARS_MAX = 65_536
"""Longest text in which codes are looked for: the codes of a call, 200 of 255 characters, take 51,000."""
NAMES_REMEMBERED = 4_096
"""Spellings that are remembered: some hundred names occur, and a far side that makes names up fills no memory."""

_SEPARATORS = re.compile(r"[,;|\s]+")
_WORDS = re.compile(r"[,;|:\s'\"()\[\]]+")


@lru_cache(maxsize=NAMES_REMEMBERED)
def plain(name: str) -> str:
    """A member's name without case, `_` and `-`: `hasError`, `HasError` and `has_error` are one."""
    return name.replace("_", "").replace("-", "").lower()


def members_named(members: dict[str, Any], names: Collection[str]) -> Iterator[Any]:
    """The values of the members with these plain names."""
    for name, content in members.items():
        if len(name) < NAME_MAX and plain(name) in names:
            yield content


def unwrapped(members: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The members, and those of the objects in which a framework wrapped them."""
    yield members
    for inner in members_named(members, WRAPPERS):
        if isinstance(inner, dict):
            yield inner


def is_nothing(content: Any) -> bool:
    """Whether a member's value says that there is nothing: null, empty, zero, false, or a word for it."""
    return not content or (isinstance(content, str) and content.strip().lower() in NOTHING)


class NamedCodes(NamedTuple):
    """The codes that lists of an answer name. `codes`: those of what was sent. `is_empty`: the lists say that there is
    nothing. `has_others`: an entry names nothing of what was sent."""

    codes: set[str]
    is_empty: bool
    has_others: bool


class CodeReader:
    """Reads the codes in lists of one kind. `names`: the plain names of a code in an object.

    `taken`: the lists say what the far side took. Then only what is certain counts: a code with the value `false` is
    not taken, nor one that merely occurs in a sentence. Of what failed, more may be named than was meant: that is sent
    again.
    """

    def __init__(self, names: frozenset[str], *, taken: bool) -> None:
        self._names = names
        self._taken = taken

    def read(self, lists: Iterable[Any], sent: Collection[str]) -> NamedCodes:
        """The codes of `sent` that these lists name. They are one list in several spellings, nearly always one."""
        codes: set[str] = set()
        is_empty, has_others = True, False
        for listed in lists:
            if type(listed) is list and listed and all(type(entry) is str and entry in sent for entry in listed):
                is_empty = False
                codes.update(listed)
            elif not is_nothing(listed):
                is_empty = False
                has_others |= not self._read(listed, sent, codes, LEVELS_MAX)
        return NamedCodes(codes, is_empty, has_others)

    def _read(self, listed: Any, sent: Collection[str], codes: set[str], levels: int) -> bool:
        """Adds the codes that `listed` names. False: something in it names none."""
        if isinstance(listed, dict):
            return levels > 0 and self._read_object(listed, sent, codes, levels)
        if isinstance(listed, list):
            # Each entry is read, whatever came of those before it.
            return levels > 0 and min([self._read(entry, sent, codes, levels - 1) for entry in listed], default=False)
        return self._read_text(code_of(listed), sent, codes)

    def _read_object(self, listed: dict[str, Any], sent: Collection[str], codes: set[str], levels: int) -> bool:
        own = [code for content in members_named(listed, self._names) if (code := code_of(content))]
        found = {code for code in own if code in sent}
        if not own:
            # Containers before keys: PHP writes a list with gaps as a map of numbers, and a number may be a code, too.
            for content in listed.values():
                if isinstance(content, (dict, list)) and content:
                    self._read(content, sent, found, levels - 1)
        if not own and not found:
            denied = (False, None) if self._taken else ()
            found = {
                code for code, content in listed.items() if code in sent and not any(content is no for no in denied)
            }
        if not own and not found and not self._taken:
            found = {content for content in listed.values() if isinstance(content, str) and content in sent}
        codes |= found
        return bool(found)

    def _read_text(self, text: str, sent: Collection[str], codes: set[str]) -> bool:
        if text in sent:
            codes.add(text)
            return True
        if len(text) > TEXT_CHARS_MAX:
            return False
        parts = [part for part in _SEPARATORS.split(text) if part] if self._taken else _WORDS.split(text)
        found = [part for part in parts if part in sent]
        if self._taken and len(found) < len(parts):
            return False
        codes.update(found)
        return bool(found)


def code_of(content: Any) -> str:
    """A code as text; some far sides print codes of digits as numbers. Anything else is no code, and gives ""."""
    if isinstance(content, str):
        return content
    if isinstance(content, int) and not isinstance(content, bool):
        return str(content)
    return str(int(content)) if isinstance(content, float) and content.is_integer() else ""
