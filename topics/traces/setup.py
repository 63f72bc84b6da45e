"""Says where the spans of a role go: to a collector, or nowhere."""

from __future__ import annotations

import atexit
import importlib
from importlib.metadata import PackageNotFoundError, version
from typing import Final
from urllib.parse import urlsplit

from topics.traces import spans
from topics.traces.spans import Spans

PATH: Final = "/v1/traces"
"""Where a collector takes traces, by OTLP's own rule."""
DISTRIBUTION: Final = "sluice-gateway"


class TracesError(ValueError):
    """Traces cannot be sent from here; the message says what to do."""


def configure(url: str, ratio: float, role: str, instance: str, namespace: str) -> None:
    """Begins to record spans, if the collector's URL is set. Raises TracesError."""
    if not url:
        return
    try:
        export = importlib.import_module("topics.traces.export")  # 0.1 s and 15 MB, for those alone who trace
    except ModuleNotFoundError as error:
        raise TracesError(
            f"traces need a package that is not there ({error.name}): pip install '{DISTRIBUTION}[traces]', or take "
            "SLUICE_TRACES_URL away"
        ) from error
    resource = {
        "service.name": f"sluice-{role}",
        "service.namespace": namespace,
        "service.instance.id": instance,
        "service.version": _version(),
    }
    sender = export.SpanExport(export.otlp_exporter(collector_url(url)), resource, server=urlsplit(url).netloc)
    sender.start()
    atexit.register(sender.stop)
    spans.use(Spans(sender, ratio))


def collector_url(text: str) -> str:
    """The URL of the collector's traces: with OTLP's own path, where the setting has none."""
    return text.rstrip("/") + PATH if urlsplit(text).path in ("", "/") else text


def _version() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "unknown"
