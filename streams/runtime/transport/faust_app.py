"""The Faust app of one role: settings that differ from Faust's defaults, with their reasons."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from yarl import URL

from streams.runtime.limits import CHUNKS_QUEUED_MAX, COMMIT_INTERVAL_S, Tuning
from streams.runtime.transport.chunk_transport import ChunkTransport, SourceApp, SourceTableManager
from streams.runtime.transport.hooks import Hooks
from topics.configuration.settings import Settings


def make_app(
    role: str,
    worker: str,
    source: str,
    settings: Settings,
    tuning: Tuning,
    hooks: Hooks,
    consume: Callable[[Any], Coroutine[Any, Any, None]],
) -> SourceApp:
    """An app with one agent on the source topic (full name). `worker` is this member's name in the group."""
    brokers = [URL(f"kafka://{address.strip()}") for address in settings.kafka.split(",")]
    app = SourceApp(
        f"{settings.topic_prefix}.{role}",
        broker=brokers,
        broker_client_id=worker,
        broker_commit_interval=COMMIT_INTERVAL_S,
        broker_session_timeout=tuning.session_timeout_s,
        broker_heartbeat_interval=tuning.heartbeat_s,
        broker_rebalance_timeout=tuning.rebalance_timeout_s,
        broker_max_poll_interval=600.0,  # the chunk loop is watched by /live, not by leaving the group
        consumer_group_instance_id=worker,
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=CHUNKS_QUEUED_MAX,
        stream_wait_empty=True,
        stream_recovery_delay=0.0,
        table_standby_replicas=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        cython_optimizations=True,
        web_enabled=False,
        # Members exchange it; it is the same everywhere, because a member may come back on another host.
        canonical_url="http://sluice",
        key_serializer="raw",
        value_serializer="raw",
        TableManager=SourceTableManager,
    )
    app.hooks = hooks
    app.transport = ChunkTransport(app.conf.broker_consumer, app)
    topic = app.topic(source, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw")
    app.agent(topic, name=role)(consume)
    return app
