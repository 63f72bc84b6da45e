"""Codes that the contract allows and paths do not like, and the ways in which clients write them into one."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

CODES = (
    *("{", "}", "{}", "{orderCode}", "a{b}c", "outward", "cancel", "events", "deliveries", "acknowledgement", "status"),
    *(
        "/",
        "a/b",
        "//",
        "a/",
        "%",
        "%2F",
        "%25",
        "%zz",
        "100%",
        "?",
        "a?b=c",
        "#",
        "a#b",
        ";",
        "a;v=1",
        "+",
        "a+b",
        "&=",
    ),
    *(
        " ",
        "a b",
        ".",
        "..",
        "...",
        "a.b",
        "~",
        "~ALL",
        "-",
        "|",
        "\\",
        '"',
        "'",
        "<a>",
        "[1]",
        "^",
        "`",
        "@",
        "a:b",
        "*",
    ),
    *(
        "\n",
        "a\r\nb",
        "\t",
        "\x00",
        "\x1f",
        "\x7f",
        "é",
        "e\u0301",
        "日本",
        "☃",
        "𝄞",
        "\u202e",
        "\ufeff",
        "\u00a0",
        "\ud7ff",
    ),
    *("x" * 255, "☃" * 255, "{" * 255),
)


def _every_byte(code: str) -> str:
    return "".join(f"%{byte:02x}" for byte in code.encode())


def _as_little_as_possible(code: str) -> str:
    """All visible ASCII but what a path cannot hold, as lenient clients do."""
    return "".join(char if "!" <= char <= "~" and char not in "/%?#" else quote(char, safe="") for char in code)


SPELLINGS: dict[str, Callable[[str], str]] = {
    "as Sluice": lambda code: code.replace(".", "%2E") if code in (".", "..") else quote(code, safe=""),
    "every byte": _every_byte,
    "little": _as_little_as_possible,
}
