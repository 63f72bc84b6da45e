"""The job on Sluice's runtime, as a process: settings from the environment, the run's name as argument."""

from __future__ import annotations

import logging
import sys

from bench.runtime.job import OrderCount
from streams.runtime.run import run_role
from topics.configuration.settings import load_settings

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    sys.exit(run_role(OrderCount(sys.argv[1]), load_settings()))
