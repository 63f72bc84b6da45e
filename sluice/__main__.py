"""`python -m sluice`: the command `sluice`, as the supervisor of `sluice up` starts roles."""

from sluice.cli.main import main

if __name__ == "__main__":
    main()
