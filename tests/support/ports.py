"""Free ports for what a test starts."""

from sluice.dev.local.ports import free_ports

__all__ = ["free_ports"]
