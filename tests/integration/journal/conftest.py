"""PostgreSQL for the tests of this room."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bench.journal.postgres import NoPostgresError, postgres


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    try:
        with postgres() as found:
            yield found
    except NoPostgresError as error:
        pytest.skip(str(error))
