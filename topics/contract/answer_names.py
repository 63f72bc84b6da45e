"""Names in answers: members in any spelling, and the codes of what was sent that a list of an answer names. Pure.

The contract's lists hold codes, or objects with a code (contract 12, 19.4). Far sides also write maps from a code to a
reason, texts, and objects whose code has another name. A list of a form that names none of what was sent is reported as
such, so that nobody takes it for an empty one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import Any, NamedTuple

from topics.records.json_text import read
from topics.records.shape import has_too_many_values, is_too_deep

SKU_NAMES = frozenset(
    {"channelskucode", "channelskuid", "channelsku", "sku", "skucode", "skuid", "sellersku", "clientskucode"}
)
"""Names of a SKU's code in the objects of an answer, as `plain` writes them. The contract has two of them itself."""
ORDER_NAMES = frozenset({"ordercode", "orderid", "order", "ordernumber", "orderno", "channelorderid"})
WRAPPERS = frozenset({"data", "response", "result", "body", "payload"})
"""Members in which frameworks put the whole answer once more."""
WRAPPED_MAX = 3
"""Wrappers inside of each other that are opened."""
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
TEXTS_MAX = 4_000
"""Texts of one answer that are searched for codes, and are not one: twenty for each SKU of a call. With more, an answer
costs a second; the rest of it counts as naming something else."""
WORDS_CHARS_MAX = 262_144
"""Characters of these together: 1,300 for each SKU of a call."""
NAMES_REMEMBERED = 4_096
"""Spellings that are remembered: some hundred names occur, and a far side that makes names up fills no memory."""
OTHER_FAILURES = re.compile(
    r"fail|reject|unsuccess|invalid|notfound|notupdated|unmapped|errors?(list|skus?|items?|products?|details)"
)
"""Part of the plain names of members that tell of failures where an answer has neither list, or both are empty."""
MEMBERS_MAX = 1_000
"""Members of an object whose names are looked at for that: one with more is no head of an answer."""

_CONTAINING = frozenset({dict, list, str})
_SEPARATORS = re.compile(r"[,;|\s]+")
_WORDS = re.compile(r"[,;|:=\s'\"`()\[\]{}<>]+")
_MARKS = ".!?*#"
"""Marks around a word of a sentence that are rarely part of a code."""
_DENIED = re.compile(r"\s*(false|no|not|fail|error|reject|refus|denied|invalid|unknown|ko\b|nok\b)", re.IGNORECASE)


@lru_cache(maxsize=NAMES_REMEMBERED)
def plain(name: str) -> str:
    """A member's name without case, `_` and `-`: `hasError`, `HasError` and `has_error` are one."""
    return name.replace("_", "").replace("-", "").lower()


def members_named(members: dict[str, Any], names: Collection[str]) -> Iterator[Any]:
    """The values of the members with these plain names."""
    for name, content in members.items():
        if len(name) < NAME_MAX and plain(name) in names:
            yield content


def unwrapped(members: dict[str, Any], levels: int = WRAPPED_MAX) -> Iterator[dict[str, Any]]:
    """The members, and those of the objects in which a framework wrapped them: as one of WRAPPERS, in a list of one
    there, too, or as the only member (Jackson names it as the class). Either may be printed as text (AWS Lambda)."""
    yield members
    if levels:
        for name, content in members.items():
            if type(content) in _CONTAINING:
                is_wrapper = len(name) < NAME_MAX and plain(name) in WRAPPERS
                if is_wrapper or (len(members) == 1 and type(content) is not list):
                    inner = _object_in(content)
                    if inner is not None:
                        yield from unwrapped(inner, levels - 1)


def _object_in(content: Any) -> dict[str, Any] | None:
    if isinstance(content, str):
        if not content.lstrip().startswith(("{", "[")):
            return None
        try:
            raw = content.encode()
            if has_too_many_values(raw):
                return None
            content = read(raw)
        except ValueError:
            return None
        if is_too_deep(raw, content):
            return None
    if isinstance(content, list):
        content = content[0] if len(content) == 1 else None
    return content if isinstance(content, dict) else None


def is_nothing(content: Any) -> bool:
    """Whether a member's value says that there is nothing: null, empty, zero, false, or a word for it."""
    return not content or (isinstance(content, str) and content.strip().lower() in NOTHING)


def other_failures(members: dict[str, Any]) -> list[Any]:
    """The values of members whose names tell of failures. A mere number of them says nothing more where others are."""
    if len(members) > MEMBERS_MAX:
        return []
    found = [
        content
        for name, content in members.items()
        if not is_nothing(content) and len(name) < NAME_MAX and OTHER_FAILURES.search(plain(name))
    ]
    return [content for content in found if not isinstance(content, int)] or found


class NamedCodes(NamedTuple):
    """The codes that lists of an answer name. `codes`: those of what was sent. `is_empty`: the lists say that there is
    nothing. `has_others`: an entry names nothing of what was sent. `guessed`: those of `codes` that merely occur beside
    other words, so that something else may be meant."""

    codes: set[str]
    is_empty: bool
    has_others: bool
    guessed: set[str]


class _Said(IntEnum):
    """Meaning of an entry: no code, or one that was sent, or something that was not."""

    NOTHING = 0
    NAMED = 1
    FOREIGN = 2


@dataclass(slots=True)
class _Search:
    """One search for the codes of `sent`. `odd`: those that hold what separates words, found on first need."""

    sent: Collection[str]
    certain: set[str] = field(default_factory=set)
    guessed: set[str] = field(default_factory=set)
    _texts_left: int = TEXTS_MAX
    _chars_left: int = WORDS_CHARS_MAX
    _odd: list[str] | None = None

    def may_search(self, text: str) -> bool:
        """Whether one more text may be searched for codes."""
        self._texts_left -= 1
        self._chars_left -= len(text)
        return len(text) <= TEXT_CHARS_MAX and self._texts_left >= 0 and self._chars_left >= 0

    def odd_in(self, text: str) -> list[str]:
        if self._odd is None:
            self._odd = [code for code in self.sent if _WORDS.search(code) or code.strip(_MARKS) != code]
        return [code for code in self._odd if code in text]


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
        search = _Search(sent)
        is_empty, has_others = True, False
        for listed in lists:
            if type(listed) is list and listed and all(type(entry) is str and entry in sent for entry in listed):
                is_empty = False
                search.certain.update(listed)
            elif not is_nothing(listed):
                is_empty = False
                has_others |= self._read(listed, search, LEVELS_MAX) is not _Said.NAMED
        guessed = search.guessed - search.certain
        codes = search.certain | guessed if guessed else search.certain
        return NamedCodes(codes, is_empty, has_others, guessed)

    def _read(self, listed: Any, search: _Search, levels: int) -> _Said:
        if isinstance(listed, (dict, list)):
            if not levels or not listed:
                return _Said.FOREIGN if listed else _Said.NOTHING
            if isinstance(listed, dict):
                return (
                    self._read_taken(listed, search, levels)
                    if self._taken
                    else self._read_failed(listed, search, levels)
                )
            # Each entry is read, whatever came of those before it.
            said = {self._read(entry, search, levels - 1) for entry in listed}
            return said.pop() if len(said) == 1 else _Said.FOREIGN
        return self._read_text(code_of(listed), search)

    def _read_own(self, listed: dict[str, Any], search: _Search) -> _Said:
        """Reads an object by the names of a code."""
        own = [code for content in members_named(listed, self._names) if (code := code_of(content))]
        if not own:
            return _Said.NOTHING
        found = [code for code in own if code in search.sent]
        search.certain.update(found)
        return _Said.NAMED if found else _Said.FOREIGN

    def _read_taken(self, listed: dict[str, Any], search: _Search, levels: int) -> _Said:
        said = self._read_own(listed, search)
        if said is not _Said.NOTHING:
            return said
        # Containers before keys: PHP writes a list with gaps as a map of numbers, and a number may be a code, too.
        inner = [
            self._read(content, search, levels - 1)
            for content in listed.values()
            if isinstance(content, (dict, list)) and content
        ]
        if _Said.NAMED in inner:
            return _Said.NAMED
        found = [code for code, content in listed.items() if code in search.sent and not _is_denied(content)]
        search.certain.update(found)
        return _Said.NAMED if found else _Said.NOTHING

    def _read_failed(self, listed: dict[str, Any], search: _Search, levels: int) -> _Said:
        """Reads an object of failures. No form may leave a code out: its keys, its values, what is in these."""
        said = self._read_own(listed, search)
        if said is not _Said.NOTHING:
            return said
        by_key, is_named, has_others, unnamed = False, False, False, False
        for key, content in listed.items():
            is_container = isinstance(content, (dict, list))
            if is_container:
                inner = self._read(content, search, levels - 1)
            elif isinstance(content, str) and content in search.sent:
                search.certain.add(content)
                inner = _Said.NAMED
            else:
                inner = _Said.NOTHING
            if key in search.sent:
                by_key = True
                # PHP writes a list with gaps as a map of numbers, and a number may be a code, too.
                (search.certain if inner is _Said.NOTHING else search.guessed).add(key)
            else:
                is_named |= inner is _Said.NAMED
                has_others |= inner is _Said.FOREIGN
                unnamed |= inner is _Said.NOTHING
        if has_others or (by_key and unnamed):
            return _Said.FOREIGN
        return _Said.NAMED if by_key or is_named else _Said.NOTHING

    def _read_text(self, text: str, search: _Search) -> _Said:
        sent = search.sent
        if text in sent:
            search.certain.add(text)
            return _Said.NAMED
        if not text:
            return _Said.NOTHING
        if not search.may_search(text):
            return _Said.FOREIGN
        odd = search.odd_in(text)
        parts = [part for part in _SEPARATORS.split(text) if part]
        if parts and not odd and all(part in sent for part in parts):
            search.certain.update(parts)
            return _Said.NAMED
        if self._taken:
            return _Said.NOTHING
        words = [word for word in _WORDS.split(text) if word]
        found = [*odd, *(word for part in words for word in (part, part.strip(_MARKS)) if word in sent)]
        search.guessed.update(found)
        return _Said.NAMED if found else _Said.NOTHING


def _is_denied(content: Any) -> bool:
    """Whether the value of a code in a map of what was taken says that it was not."""
    return content is None or content is False or (isinstance(content, str) and _DENIED.match(content) is not None)


def code_of(content: Any) -> str:
    """A code as text; some far sides print codes of digits as numbers. Anything else is no code, and gives ""."""
    if isinstance(content, str):
        return content
    if isinstance(content, int) and not isinstance(content, bool):
        return str(content)
    return str(int(content)) if isinstance(content, float) and content.is_integer() else ""
