"""The members of a call, from its body, query string and path. Errors name the member that is wrong."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, TypeVar

from aiohttp import web
from pydantic import BaseModel, ValidationError

from gateway.http.answers import Refused, bad_data, overloaded
from topics.contract.definition import Touchpoint
from topics.contract.leniency import CallMembers, as_text, read_call_in_steps
from topics.records.json_text import JsonTextError, read
from topics.records.shape import NESTING_MAX, has_too_many_values, is_too_deep
from topics.schema_base import VALUES_MAX, problems

HELD_BYTES_MAX = 256 << 20
"""Most bytes of all bodies that are being received: 64 of the largest. Without it slow senders could fill the memory.
One channel may hold as much as is free: half if it is alone, a third each if two send as much as they can. So there is
always room for another channel."""

Model = TypeVar("Model", bound=BaseModel)


class BodyReader:
    """Reads bodies as they stream in, and stops at the limit. `held_bytes`: of bodies not yet complete.

    A body that comes too slowly is ended by its connection: reading it raises Refused.
    """

    def __init__(self, bytes_max: int, held_bytes_max: int = HELD_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._held_bytes_max = held_bytes_max
        self.held_bytes = 0
        self._held_of: dict[str, int] = {}

    async def read(self, request: web.Request, holder: str = "") -> bytes:
        """The whole body. `holder`: the channel for which it is held. Raises Refused."""
        if (request.content_length or 0) > self._bytes_max:
            raise self._too_large()
        content = request.content
        try:
            body = await content.readany()
            return body if content.at_eof() else await self._read_on(request, body, holder)
        except (web.RequestPayloadError, ConnectionError) as error:
            raise bad_data("body: ended early, or is not encoded as its headers say") from error

    async def _read_on(self, request: web.Request, first: bytes, holder: str) -> bytes:
        chunks, size = [first], len(first)
        try:
            self._hold(holder, size)
            self._check_held(holder)
            while chunk := await request.content.readany():
                size += len(chunk)
                self._hold(holder, len(chunk))
                if size > self._bytes_max:
                    raise self._too_large()
                self._check_held(holder)
                chunks.append(chunk)
            return b"".join(chunks)
        finally:
            self._hold(holder, -size)

    def _hold(self, holder: str, size: int) -> None:
        self.held_bytes += size
        held = self._held_of[holder] = self._held_of.get(holder, 0) + size
        if not held:
            del self._held_of[holder]

    def _check_held(self, holder: str) -> None:
        if self._held_of.get(holder, 0) > self._held_bytes_max - self.held_bytes:
            raise overloaded("[body: too many large bodies at once]")

    def _too_large(self) -> Refused:
        fault = f"[body: may have at most {self._bytes_max} bytes]"
        return Refused(413, "TOO_LARGE", "The request is too large", fault)


def check_values(raw: bytes, values_max: int) -> None:
    """Raises Refused for a body of too many values, before any of them is made."""
    if has_too_many_values(raw, values_max):
        raise bad_data(f"body: may have at most {values_max} values")


def parse(raw: bytes, values_max: int = VALUES_MAX) -> dict[str, Any]:
    """A JSON object. Raises Refused, which says where the text stops being one."""
    check_values(raw, values_max)
    try:
        members = read(raw)
    except JsonTextError as error:
        if not raw:
            raise bad_data("body: may not be empty") from error
        raise bad_data(f"body: not valid JSON: {error.msg} at line {error.lineno} column {error.colno}") from error
    if not isinstance(members, dict):
        if members == []:
            return {}  # as PHP writes an object without members
        raise bad_data("body: must be a JSON object")
    if is_too_deep(raw, members):
        raise bad_data(f"body: may nest at most {NESTING_MAX} levels deep")
    return members


def query_members(request: web.Request) -> dict[str, Any]:
    """The members in the query string. A name may come twice if its value is the same. Raises Refused."""
    members: dict[str, Any] = {}
    for name, value in request.query.items():
        if members.setdefault(name, value) != value:
            raise bad_data(f"{name}: given more than once with different values")
    return members


def with_path_members(touchpoint: Touchpoint, members: dict[str, Any], path: dict[str, str]) -> dict[str, Any]:
    """The members, with those that travel in the path. Raises Refused when body and path name different entities:
    guessing which one is meant could change the wrong order."""
    for name in touchpoint.path_members:
        given = members.get(name)
        if given is not None and as_text(given) != path[name]:
            raise bad_data(f"{name}: differs from the one in the path")
    return {**members, **{name: path[name] for name in touchpoint.path_members}}


def validate(touchpoint: Touchpoint, members: dict[str, Any]) -> Generator[None, None, CallMembers]:
    """The steps to the caller's members, as they came and as they are read. Raises Refused."""
    try:
        return (yield from read_call_in_steps(touchpoint, members))
    except ValidationError as error:
        raise bad_data(*problems(error)) from error


def validated(model: type[Model], members: Mapping[str, Any]) -> Model:
    """A call's body as its model. Raises Refused, which names each member that is wrong, and no value."""
    try:
        return model.model_validate(members)
    except ValidationError as error:
        raise bad_data(*problems(error)) from None
