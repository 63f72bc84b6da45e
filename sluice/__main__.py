"""The command `sluice`, and `python -m sluice`, as the supervisor of `sluice up` starts roles."""

from __future__ import annotations

import sys

COMPILED = "sluice_compiled"
"""The `name` of topics.compiled.CompiledError, whose module is not imported where it is raised."""


def main() -> None:
    """Run the command line. A build of compiled modules that cannot be used ends it as a wrong configuration does."""
    try:
        from sluice.cli.main import main as command  # noqa: PLC0415 - a failure to import it is handled here
    except ImportError as error:
        if error.name != COMPILED:
            raise
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(2)
    command()


if __name__ == "__main__":
    main()
