"""/api/orders/{code}/story, and of returns and manifests: what it waits for, since when, why, until when, what to do.

It comes from the journal alone, so it is told also while the orders role stands still.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from aiohttp import web

from gateway.api.handler import Act, channel_in_query
from gateway.api.journal.stories import Stories, is_unknown
from gateway.http.answers import Answer, Refused, bad_data, json_answer
from gateway.http.call import Call
from topics.configuration.channels import Channel, Channels
from topics.records.keys import manifest_key, order_key, return_key
from topics.schema_base import CODE_MAX

KEYS: dict[str, Callable[[str, str], bytes]] = {"order": order_key, "return": return_key, "manifest": manifest_key}


class StoriesApi:
    def __init__(self, channels: Channels, stories: Stories) -> None:
        self._channels = channels.channels
        self._stories = stories

    def acts(self) -> dict[str, Act]:
        """The handlers of stories, by the names of their routes."""
        return {f"get-{kind}-story": partial(self._tell, kind) for kind in KEYS}

    async def _tell(self, kind: str, call: Call, request: web.Request) -> Answer:
        told = await self._stories.document(key_in(self._channels, kind, call, request))
        if is_unknown(told):
            refused = Refused(404, "UNKNOWN", told.headline)
            refused.more = {"story": told.model_dump()}
            raise refused
        return json_answer(told.model_dump())


def key_in(channels: Mapping[str, Channel], kind: str, call: Call, request: web.Request) -> bytes:
    """The key of what the path names. Raises Refused."""
    code = request.match_info["code"]
    if len(code) > CODE_MAX:
        raise bad_data(f"code: may have at most {CODE_MAX} characters")
    call.channel = channel_in_query(channels, request)
    call.subject = code
    return KEYS[kind](call.channel.name, code)
