"""Every bound of the runtime, with the reason for its value. Tests shorten some of them through `Tuning`."""

from __future__ import annotations

from dataclasses import dataclass

from topics.kafka.catalogue import RECORD_BYTES_MAX

CHUNK_RECORDS_MAX = 500
"""Records of one chunk: enough that the cost of an event of Faust is small beside them."""
CHUNK_SHARE_MIN = 100
"""Records of one partition that are decided before the next partition's turn, when many have a backlog: a chunk costs
as much as some records do."""
CHUNK_BYTES_MAX = 1 << 20
"""The same bound for large records; a record that is larger alone is a chunk of its own."""
DECIDE_HOLD_S = 0.005
"""A chunk with large records that has taken so long is cut behind the record in hand, and other tasks have their turn.
Chunks of usual records are not cut: their groups became smaller, and an event of a busy worker a third dearer."""
PREPARED_BYTES_MIN = 32 << 10
"""Records of this size and more are prepared in steps (`Role.prepare`): reading a smaller one takes less than half a
millisecond."""
CHUNKS_QUEUED_MAX = 32
"""Events read ahead per worker, each as large as a chunk may be. Beyond it Faust stops fetching, so a slow role does
not fill memory."""
POLL_RECORDS_MAX = 4_000
"""Records taken from the fetcher at once: enough to keep deciding while the next fetch is on its way."""
POLL_S = 0.25
"""Longest wait of one poll; a stop or a change of partitions is noticed after it."""
NOTHING_TO_POLL_S = 0.02
"""Pause while no partition may be read (between assignment and recovery). Faust sleeps a whole second here."""
FETCH_BESIDE_MS = 5
"""How long the broker may hold a fetch that leaves out a partition with unread data. New records there are not seen
before that fetch is back, so with FETCH_WAIT_MS a busy partition would get its records half a second late."""
FETCH_WAIT_MS = 500
"""How long the broker may hold an empty fetch; a partition that just became ours waits at most this long."""

GROUP_RECORDS_MAX = 20_000
"""Records of one commit group; with all three (two in flight, one gathering) some 60 MB of 1 kB records."""
GROUP_BYTES_MAX = 16 << 20
"""The same bound in bytes: a group of large records stays below what a broker takes in a second."""
BATCH_BYTES_MAX = 512 << 10
"""A producer batch is closed at this size; aiokafka sends one batch per partition and request."""
RECORD_OVERHEAD_BYTES = 16 << 10
"""Bytes that key, headers and framing may add to a value before the record no longer fits RECORD_BYTES_MAX."""
VALUE_BYTES_MAX = RECORD_BYTES_MAX - RECORD_OVERHEAD_BYTES
"""Largest value a role may publish or keep; larger ones set the causing record aside instead of ending the process."""

KEY_BYTES_MAX = 4_096
"""Largest key of a record that a role publishes or keeps: codes of the contract are far shorter, and a key is in the
record's headers again, which RECORD_OVERHEAD_BYTES allows for."""
HEADER_FRAMING_BYTES = 10
"""Two lengths of at most five bytes that each header takes beside its name and value."""

REASON_BYTES_MAX = 4_000
"""A rejection's reason, traceback included, stays readable and far below a record's limit."""
FAILED_IN_A_ROW_MAX = 100
"""So many records of a partition whose decisions failed, with none that was decided between them, show that the code is
broken and not the records: the partition is paused before all of its records are set aside. A hundred tracebacks tell
what is wrong, and each more is a record that somebody has to bring back. A record that the role can judge as bad never
counts."""
PAUSE_RETRY_S = 60.0
"""How often a paused partition's record is tried again: what its decision needs may have changed meanwhile."""

COMMIT_INTERVAL_S = 0.5
"""How often finished offsets are committed: after a crash at most this much is decided again, and skipped."""
GC_THRESHOLDS = (5_000, 50, 20)
"""When garbage is collected: the young objects after so many allocations that were not given back, a millisecond or two
of the event loop (50,000 were 12 to 15 ms); the middle ones after 50 such collections, all after 20 of those. Records
leave no cycles, so the older ones are only walked through."""
CLAIMS_MAX = 5
"""How often an owner outbids claims of other workers while it takes over. Each of those is a stray worker that woke up
at that moment; more of them mean that two groups write the same tables."""
AUDIT_S = 60.0
"""How often an owner looks for late writes in changelogs that it is not writing; several times within the time for
which compaction leaves new records alone."""
RECOVERY_RECORDS_MAX = 5_000
"""Changelog records applied between two looks at the event loop, as nearly as whole batches allow: some 15 ms."""
RECOVERY_FETCH_BYTES = 8 << 20
"""Most of a fetch of changelogs: enough for thousands of records, and its copies stay in memory that is used again
(streams/runtime/durability/memory.py)."""
RECOVERY_TRIM_RECORDS = 100_000
"""From so many records on the buffers of a recovery are worth giving back, which walks through all free memory."""
STANDBY_RECORDS_MAX = 500
"""Records applied to standby tables between two looks at the event loop: some 2 ms, for events are decided beside."""
STANDBY_FETCH_BYTES = 1 << 20
STANDBY_WAIT_MS = 500
"""A standby fetches when so many bytes have come or so much time has passed: it is behind by that much, and a fetch for
each record would cost more than applying it."""
STANDBY_RETRY_S = 1.0
"""Pause after Kafka could not be read."""
STANDBY_SAID_S = 10.0
"""Time after the first partition that a standby leaves out, until the log says which were left out."""
STANDBY_FORGET_S = 60.0
"""How often a standby asks which deletions need not be remembered any more."""
STANDBY_KEY_BYTES = 250
"""Memory of a key beside its value, in two dictionaries."""
LIVE_TIMEOUT_S = 120.0
"""No progress for this long while records wait: /live turns 503, and a liveness probe (as in the chart) restarts it."""
LIVE_POLL_S = 1.0
"""How often progress is checked, so that /live does not take the end of a quiet hour for an hour without progress."""
STOP_ROLE_S = 2.5
"""Time for a role's own `stop` after SIGTERM; with the steps that follow it fits the supervisor's patience."""
STOP_DRAIN_S = 1.0
"""Time for the groups in flight after that; a broker that is gone does not hold up the end."""
STOP_LEAVE_S = 0.5
"""Time for each of the last commit of offsets, leaving the group, closing the producer."""
STOP_S = STOP_ROLE_S + STOP_DRAIN_S + 3 * STOP_LEAVE_S
"""The end of a worker, from the signal on, whatever Kafka does."""
STOP_CUT_OFF_S = STOP_S + 0.25
"""A worker whose end takes longer is ended by a thread: something blocks its event loop. The supervisor kills it a
little later."""
LOCK_WAIT_S = STOP_S + 1.0
"""How long a worker waits for a process of its name and directory to end: one that ends at a signal drains so long."""
SESSION_GRACE_S = 5.0
"""How long after its session Kafka may still list a dead member, because it looks for those now and then."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """Group membership. The defaults hold on a busy 2-core machine; static membership makes restarts quick anyway."""

    session_timeout_s: float = 20.0
    """After this long without a heartbeat another worker takes over. Heartbeats come from a thread of their own."""
    heartbeat_s: float = 0.5
    """How often the others ask, and so learn that one is gone: a session is over this much before they know."""
    rebalance_timeout_s: float = 30.0
    """How long the other workers wait for one that still drains its groups."""
    live_timeout_s: float = LIVE_TIMEOUT_S
    audit_s: float = AUDIT_S
    failed_in_a_row_max: int = FAILED_IN_A_ROW_MAX
    pause_retry_s: float = PAUSE_RETRY_S
    lock_wait_s: float = LOCK_WAIT_S
    session_grace_s: float = SESSION_GRACE_S
