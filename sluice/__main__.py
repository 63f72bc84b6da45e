"""`python -m sluice`, which is how the supervisor starts roles."""

from sluice.cli.main import main

if __name__ == "__main__":
    main()
