"""Alerts, runbooks and dashboards, each defined once: `python -m monitoring` writes what is made from them."""
