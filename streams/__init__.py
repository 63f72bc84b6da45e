"""The roles that decide: orders, inventory, delivery, and the runtime that carries them."""

import topics  # noqa: F401 - before any other module: it finds the compiled form of them
