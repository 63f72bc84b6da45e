"""A code that goes into a path comes out of it, whatever it is; what is no pattern or no text is named."""

from __future__ import annotations

from itertools import combinations
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.paths.odd_codes import CODES, SPELLINGS
from topics.api.routes import PROBES, ROUTES, full_paths
from topics.contract.touchpoints import TOUCHPOINTS
from topics.paths.bases import parse_bases
from topics.paths.patterns import PathError, PathPattern, plain

CANCEL = PathPattern("/orders/{orderCode}/cancel")
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=255)


@given(texts, texts)
def test_what_is_filled_in_is_what_is_found(one: str, other: str) -> None:
    pattern = PathPattern("/a/{one}/b/{other}")
    path = pattern.fill({"one": one, "other": other})
    assert pattern.match(path) == {"one": one, "other": other}
    assert pattern.match(plain(path)) == {"one": one, "other": other}
    assert path.isascii()
    assert urlsplit(f"http://host{path}").path == path, "nothing of it is a query or a fragment"
    assert not {".", ".."} & set(path.split("/"))


@pytest.mark.parametrize("code", CODES, ids=lambda code: ascii(code)[:12])
@pytest.mark.parametrize("spelt", SPELLINGS.values(), ids=SPELLINGS)
def test_every_spelling_of_a_code_is_that_code(code: str, spelt: object) -> None:
    assert callable(spelt)
    assert CANCEL.match(f"/orders/{spelt(code)}/cancel") == {"orderCode": code}


@pytest.mark.parametrize(
    "path",
    ["/orders//cancel", "/orders/a/b/cancel", "/orders/a", "orders/a/cancel", "/orders/a/cancel/", "/orders/a/Cancel"],
)
def test_another_path_is_another_path(path: str) -> None:
    assert CANCEL.match(path) is None


@pytest.mark.parametrize("part", ["%FF", "%C3", "%ED%A0%80", "a%E2%98", "\udcff"])
def test_a_code_that_is_no_utf_8_is_named(part: str) -> None:
    with pytest.raises(PathError, match=r"^orderCode: is not UTF-8"):
        CANCEL.match(f"/orders/{part}/cancel")


def test_words_are_these_words_only() -> None:
    pattern = PathPattern("/deliveries/{request}/{action:retry|skip}")
    assert pattern.match("/deliveries/r/retry") == {"request": "r", "action": "retry"}
    assert pattern.match("/deliveries/r/retryskip") is None
    assert pattern.match("/deliveries/r/retry|skip") is None
    assert pattern.template == "/deliveries/{request}/{action}"


@pytest.mark.parametrize(
    "text",
    ["", "orders", "/a b", "/a?b", "/a#b", "/{", "/}", "/{}", "/{a}/{a}", "/{a:b|}", "/{a:.*}", "/{a{b}}", "/a%20"],
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="path "):
        PathPattern(text)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("/orders/outward/", "/orders/outward"),
        ("/orders/outward//", "/orders/outward"),
        ("/%6frders/out%77ard", "/orders/outward"),
        ("/orders/a%2fb/", "/orders/a%2Fb"),
        ("/orders/%FF/", "/orders/%FF"),
        ("/orders//cancel", "/orders//cancel"),
        ("/", ""),
    ],
)
def test_a_path_has_one_plain_spelling(path: str, told: str) -> None:
    assert plain(path) == told


def test_no_word_hides_a_code() -> None:
    """No two calls with the same method have a path in common: the one that is asked first would take the other's."""
    calls = [(touchpoint.method, path) for touchpoint in TOUCHPOINTS for path in full_paths(touchpoint)]
    calls += [(route.method, route.path) for route in (*ROUTES, *PROBES)]
    patterns = [(method, PathPattern(path)) for method, path in calls]
    shared = [
        (one, other)
        for (method, one), (again, other) in combinations(patterns, 2)
        if method == again and one.overlaps(other)
    ]
    assert shared == []
    assert PathPattern("/orders/{code}").overlaps(PathPattern("/orders/outward"))
    assert not PathPattern("/{a:b|c}/{d}").overlaps(PathPattern("/e/{d}"))


@pytest.mark.parametrize(
    ("text", "bases"),
    [
        ("/assure-magic2", ("/assure-magic2",)),
        ("/assure-magic2/, /assuremagic2,/assure-magic2", ("/assure-magic2", "/assuremagic2")),
        ("/", ("",)),
        ("/oms/v2 /", ("/oms/v2", "")),
    ],
)
def test_bases_are_paths_without_the_slash_at_their_end(text: str, bases: tuple[str, ...]) -> None:
    assert parse_bases(text) == bases


@pytest.mark.parametrize(
    "text",
    [
        "",
        ",",
        "oms",
        "/a//b",
        "/{channel}",
        "/a?b",
        "/api",
        "/api/v1",
        "/channels",
        "/channels/x",
        ",".join(f"/{n}" for n in range(17)),
    ],
)
def test_what_is_no_base_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"calls below|expected"):
        parse_bases(text)
