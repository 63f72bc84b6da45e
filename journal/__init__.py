"""The journal: what the topics say, as tables of SQL for the people who run Sluice.

The role that writes it is `streams/journal`; gateway and command line read it.
"""

import topics  # noqa: F401 - before any other module: it finds the compiled form of them
