"""The OpenAPI document as a page for people: all calls by tag, their parameters, bodies and answers.

One file of HTML without scripts, pictures and addresses outside of it. Whatever the document says is escaped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

from topics.documents import openapi
from topics.paths.bases import MARKETPLACE_BASES

Schema = Mapping[str, Any]

STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { background: var(--soft); overflow-x: auto; padding: .6rem; }
details { border: 1px solid var(--line); border-radius: 4px; margin: .3rem 0; padding: 0 .6rem; }
summary { cursor: pointer; padding: .4rem 0; }
table { border-collapse: collapse; margin: .4rem 0; width: 100%; }
td, th { border-bottom: 1px solid var(--line); padding: .2rem .6rem .2rem 0; text-align: left; vertical-align: top; }
.method { display: inline-block; font-weight: 600; min-width: 4.5rem; }
.path { overflow-wrap: anywhere; }
"""
_METHODS: Final = ("get", "post", "put", "patch", "delete")
_REF: Final = "#/components/schemas/"


def document(bases: tuple[str, ...] = MARKETPLACE_BASES) -> str:
    """The whole page."""
    return "".join(_page(openapi.document(bases)))


def _page(of: Schema) -> Iterator[str]:
    info = of["info"]
    title = f"{info['title']} {info['version']}"
    yield f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1><p>{_text(info['description'])}.</p>"
    yield '<p>For programs: <a href="/openapi.json">openapi.json</a>. '
    yield 'Forms of bodies are <a href="#schemas">below</a>.</p>'
    for tag in of["tags"]:
        yield f'<h2 id="{escape(tag["name"])}">{escape(tag["name"])}</h2><p>{_text(tag["description"])}.</p>'
        for path, item in of["paths"].items():
            for method in _METHODS:
                if tag["name"] in item.get(method, {}).get("tags", ()):
                    yield from _operation(method, path, item[method])
    yield '<h2 id="schemas">Forms of bodies</h2>'
    for name, schema in sorted(of["components"]["schemas"].items()):
        yield f'<details id="{escape(name)}"><summary><code>{escape(name)}</code></summary>'
        yield f"<p>{_text(schema.get('description', ''))}</p>"
        yield from _members(schema)
        yield "</details>"
    yield "</body></html>"


def _operation(method: str, path: str, operation: Schema) -> Iterator[str]:
    name = operation["operationId"]
    yield f'<details id="{escape(name)}"><summary><code class="method">{method.upper()}</code> '
    yield f'<code class="path">{escape(path)}</code> {_text(operation.get("summary", ""))}'
    yield f"{' (former)' if operation.get('deprecated') else ''}</summary>"
    yield f"<p>{_text(operation.get('description', ''))}</p>"
    if parameters := operation.get("parameters"):
        yield "<table><tr><th>parameter</th><th>in</th><th>form</th><th>meaning</th></tr>"
        for one in parameters:
            schema = one["schema"]
            needed = "" if one.get("required") else ", optional"
            yield f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}{needed}</td>"
            yield f"<td>{_form(schema)}</td><td>{_text(schema.get('description', ''))}</td></tr>"
        yield "</table>"
    if body := operation.get("requestBody"):
        yield f"<p>Body: {_contents(body['content'])}</p>"
        yield from _examples(body["content"])
    yield "<table><tr><th>answer</th><th>meaning</th><th>body</th></tr>"
    for status, answer in sorted(operation["responses"].items()):
        yield f"<tr><td>{escape(status)}</td><td>{_text(answer['description'])}</td>"
        yield f"<td>{_contents(answer.get('content', {}))}</td></tr>"
    yield "</table>"
    for answer in operation["responses"].values():
        yield from _examples(answer.get("content", {}))
    yield "</details>"


def _contents(content: Schema) -> str:
    return ", ".join(f"{_form(one['schema'])} as {escape(kind)}" for kind, one in content.items())


def _examples(content: Schema) -> Iterator[str]:
    for one in content.values():
        if "example" in one:
            yield f"<pre>{escape(json.dumps(one['example'], indent=2, ensure_ascii=False))}</pre>"


def _members(schema: Schema) -> Iterator[str]:
    members = schema.get("properties")
    if not members:
        yield f"<p>{_form(schema)}</p>"
        return
    required = schema.get("required", ())
    yield "<table><tr><th>member</th><th>form</th><th>meaning</th></tr>"
    for name, member in members.items():
        needed = "" if name in required else ", optional"
        yield f"<tr><td><code>{escape(name)}</code>{needed}</td><td>{_form(member)}</td>"
        yield f"<td>{_text(member.get('description', ''))}</td></tr>"
    yield "</table>"


def _form(schema: Schema) -> str:
    """The form of a value in a few words, with a link to that of a named body."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REF)
        return f'<a href="#{escape(name)}"><code>{escape(name)}</code></a>'
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return " or ".join(map(_form, schema[word]))
    if "enum" in schema:
        return ", ".join(f"<code>{escape(json.dumps(one))}</code>" for one in schema["enum"])
    if "const" in schema:
        return f"<code>{escape(json.dumps(schema['const']))}</code>"
    kind = schema.get("type", "any")
    said = escape(" or ".join(kind) if isinstance(kind, list) else str(kind))
    if "items" in schema:
        said += f" of {_form(schema['items'])}"
    bounds = [f"{word} {schema[word]}" for word in ("minimum", "maximum", "maxLength", "default") if word in schema]
    return said + (f" ({escape(', '.join(bounds))})" if bounds else "")


def _text(text: str) -> str:
    """A text with its code in backticks."""
    return re.sub(r"`([^`]*)`", r"<code>\1</code>", escape(text))
