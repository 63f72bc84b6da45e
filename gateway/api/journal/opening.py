"""Words and bodies that the journal keeps, as a caller of /api may read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from journal.rows.keeper import Keeper, KeeperError, Personal
from topics.api.journal.deliveries import BodyDocument
from topics.configuration.settings import Settings
from topics.records.json_text import JsonTextError, read


class Opener:
    """Opens what the journal keeps under the keys of this gateway. Without them encrypted texts stay closed."""

    def __init__(self, settings: Settings) -> None:
        personal = Personal(settings.journal_personal)
        keys = settings.secret_keys
        self._keeper = Keeper(personal if keys or personal is not Personal.ENCRYPTED else Personal.NONE, keys)

    def words(self, kept: str) -> str | None:
        """The words of a far side; None: there are none, or they are not kept."""
        if not kept:
            return None
        try:
            return self._keeper.open_words(kept)
        except (KeeperError, ValueError) as error:  # kept by another choice of SLUICE_JOURNAL_PERSONAL
            return kept if not isinstance(error, KeeperError) else f"({error})"

    def body(self, row: Mapping[Any, Any] | None) -> BodyDocument | None:
        """The document of a row of `bodies`."""
        if row is None:
            return None
        content, text, message = None, None, None
        try:
            opened = self._keeper.open_body(row["form"], row["body"], row["id"])
            if opened:
                content, text = _read(opened)
        except KeeperError as error:
            message = str(error)
        return BodyDocument(form=row["form"], bytes=row["bytes"], content=content, text=text, message=message)


def _read(raw: bytes) -> tuple[Any, str | None]:
    try:
        return read(raw), None
    except (JsonTextError, ValueError):
        return None, raw.decode(errors="replace")
