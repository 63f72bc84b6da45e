"""PURE: patterns of paths. Every path with a code in it is made here, and read here.

A code may hold any character that the contract allows: `/`, `%`, `{`, line breaks. In a path it is one part,
percent-encoded, so it never becomes a step of the path, a query string or a word of the pattern.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cached_property
from urllib.parse import quote, unquote_to_bytes

_VARIABLE = re.compile(r"{(\w+):?([^{}]*)}")
_WORDS = re.compile(r"([\w-]+(\|[\w-]+)*)?")
_FIXED = re.compile(r"(/[\w.~-]*)*")


class PathError(ValueError):
    """A value in a path is no text. The message names the value and says what is wrong."""


def quoted(text: str) -> str:
    """A text as one part of a path. A part of dots alone would be a step of the path, so its dots are encoded, too."""
    return text.replace(".", "%2E") if text in (".", "..") else quote(text, safe="")


def unquoted(part: str) -> str:
    """The text of one part of a path. Raises ValueError if it is no UTF-8."""
    return (unquote_to_bytes(part) if "%" in part else part.encode()).decode()


class PathPattern:
    """A path whose parts may vary: `/orders/{orderCode}/cancel`. `{action:retry|skip}` takes these words only."""

    def __init__(self, text: str) -> None:
        """Raises ValueError if this is no pattern."""
        variables = _VARIABLE.findall(text)
        if not text.startswith("/") or not _FIXED.fullmatch(_VARIABLE.sub("-", text)):
            raise ValueError(f"path {text}: must begin with a slash; it may have letters, digits, ._~- and {{NAME}}")
        if not all(_WORDS.fullmatch(words) for _name, words in variables):
            raise ValueError(f"path {text}: words are written {{NAME:one|other}}")
        self.text = text
        self.words = {name: tuple(words.split("|")) if words else () for name, words in variables}
        """The words that each part may be which varies; none: it is any text."""
        if len(self.words) < len(variables):
            raise ValueError(f"path {text}: two parts have the same name")

    def __repr__(self) -> str:
        return f"PathPattern({self.text!r})"

    @cached_property
    def template(self) -> str:
        """The path as OpenAPI writes it: without the words that a part may be."""
        return _VARIABLE.sub(r"{\1}", self.text)

    def fill(self, values: Mapping[str, str]) -> str:
        """The path with these values, as it is sent. Raises KeyError for a value that is missing."""
        return filled(self.text, values) if self.words else self.text

    def match(self, path: str) -> dict[str, str] | None:
        """The values in a path as it was sent; None if it is another path. Raises PathError."""
        if not self.words:
            return {} if path == self.text else None
        found = self._expression.fullmatch(path)
        if found is None:
            return None
        values = found.groupdict()
        for name, value in values.items():
            if "%" in value or not value.isascii():
                try:
                    values[name] = unquoted(value)
                except ValueError as error:
                    raise PathError(f"{name}: is not UTF-8, percent-encoded") from error
        return values

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        expression, at = "", 0
        for found in _VARIABLE.finditer(self.text):
            name, words = found[1], self.words[found[1]]
            expression += re.escape(self.text[at : found.start()])
            expression += f"(?P<{name}>{'|'.join(map(re.escape, words)) or '[^/]+'})"
            at = found.end()
        return re.compile(expression + re.escape(self.text[at:]))

    def overlaps(self, other: PathPattern) -> bool:
        """Whether there is a path that both match, so that the words of one would hide a value of the other."""
        mine, others = self.text.split("/"), other.text.split("/")
        return len(mine) == len(others) and all(map(_meet, mine, others))


def _meet(part: str, other: str) -> bool:
    words, others = _choice(part), _choice(other)
    return words is None or others is None or not words.isdisjoint(others)


def _choice(part: str) -> frozenset[str] | None:
    """The words that a part of a pattern may be; None: any."""
    found = _VARIABLE.fullmatch(part)
    if found is None:
        return frozenset((part,)) if "{" not in part else None
    return frozenset(found[2].split("|")) if found[2] else None


def filled(text: str, values: Mapping[str, str]) -> str:
    """A path with these values in its places, as it is sent. Raises KeyError for a value that is missing."""
    return _VARIABLE.sub(lambda found: quoted(values[found[1]]), text)


def names_in(text: str) -> frozenset[str]:
    """The names of the places in a path."""
    return frozenset(name for name, _words in _VARIABLE.findall(text))


def plain(path: str) -> str:
    """A path in its plainest spelling: with no letter encoded that need not be, and without slashes at its end. What is
    no UTF-8 stays."""
    parts = path.rstrip("/").split("/")
    try:
        return "/".join([quoted(unquoted(part)) for part in parts])
    except ValueError:
        return "/".join(parts)
