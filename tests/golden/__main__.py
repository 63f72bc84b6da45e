"""`python -m tests.golden` compares what leaves now with what is recorded, and says what differs.

`write` records it anew, after a change that is meant; `--stored` only the digests of the stored bytes. `--time` decides
the same records again and prints the CPU that an event takes (`--json`: one line, for comparing two trees in turns).
"""

from __future__ import annotations

import argparse
import json
import sys

from tests.golden.files import read_effects, read_stored, write_effects, write_stored
from tests.golden.timing import time_stories
from tests.golden.told import tell_all


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("action", nargs="?", choices=("check", "write"), default="check")
    parser.add_argument("--stored", action="store_true", help="with `write`: only the digests of the stored bytes")
    parser.add_argument("--time", type=int, nargs="?", const=5, metavar="ROUNDS", help="measure CPU, no comparison")
    parser.add_argument("--story", action="append", metavar="NAME", help="with --time: only stories that begin so")
    parser.add_argument("--json", action="store_true", help="with --time: one line of JSON")
    given = parser.parse_args(arguments)
    if given.time:
        timed = time_stories(given.time, given.story or [""])
        print(json.dumps(timed) if given.json else "\n".join(f"{name:16} {us:8.1f} us" for name, us in timed.items()))
        return 0
    told = tell_all()
    if given.action == "write":
        if not given.stored:
            write_effects(told.lines)
        write_stored(told.stored)
        return 0
    return 0 if told.is_as_recorded(read_effects(), read_stored(), print) else 1


if __name__ == "__main__":
    sys.exit(main())
