"""The page for people has every call and every form of a body of the OpenAPI document, and needs nothing else."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from tests.fakes.gateway import gateway
from topics.documents import openapi
from topics.documents.pages.openapi_page import document

VOID = {"meta", "link", "br", "img", "input"}


class Page(HTMLParser):
    """Reads a page: its ids, its links, and whether its tags close each other."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.tags: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        found = dict(attrs)
        if name := found.get("id"):
            assert name not in self.ids
            self.ids.add(name)
        if link := found.get("href") or found.get("src"):
            self.links.add(link)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(text: str) -> Page:
    page = Page()
    page.feed(text)
    assert page.open == []
    return page


def test_each_call_and_each_form_is_there_and_each_link_leads_to_one() -> None:
    page, told = read(document()), openapi.document()
    calls = {operation["operationId"] for item in told["paths"].values() for operation in item.values()}
    assert calls | told["components"]["schemas"].keys() <= page.ids
    assert {link.removeprefix("#") for link in page.links if link.startswith("#")} <= page.ids
    assert {link for link in page.links if not link.startswith("#")} == {"/openapi.json"}


def test_it_runs_nothing_and_loads_nothing() -> None:
    text = document()
    assert read(text).tags.isdisjoint({"script", "img", "iframe", "link", "object", "form"})
    assert not re.search(r"url\(|@import| on\w+=", text)


async def test_the_admin_port_serves_it_and_that_of_marketplaces_does_not() -> None:
    async with gateway() as at:
        response = await at.client.admin.get("/openapi.html")
        assert (response.status, response.content_type) == (200, "text/html")
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]
        read(await response.text())
