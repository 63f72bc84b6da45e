"""Alerts on causes in records and in the journal."""

from __future__ import annotations

from monitoring.alert import PAGE, TICKET, Alert, Proof, Step, grown

_STATUS = Step(words="How do all roles do?", commands=("sluice status",))
_REJECTED = Step(words="Which records, with their reasons?", commands=("sluice rejected",))

RECORDS = (
    Alert(
        name="PartitionPaused",
        severity=PAGE,
        expr="max by (role, partition) (sluice_runtime_partition_paused) == 1",
        hold="1m",
        summary="A partition waits at a record whose decision fails.",
        means="So many decisions failed in a row that the role no longer sets records aside: more likely is a "
        "defect of "
        "this version. It tries the record again and again ([operations.md](../operations.md)).",
        notice="All orders of that partition wait; their callers get 503 with a receipt.",
        look=(
            Step(
                words="`/ready` of the role names the partition, the offset and the error.", commands=("sluice status",)
            ),
            _REJECTED,
        ),
        end=(
            Step(words="A new version does it: go back to the one before, or forward to one that is mended."),
            Step(
                words="One record is at fault: set it aside and let its partition go on.",
                commands=("sluice skip orders.commands/3/4711 --reason WHY --wait",),
            ),
        ),
        over="The partition is no longer paused, and its lag falls.",
        proofs=(
            Proof(
                series={'sluice_runtime_partition_paused{role="orders",partition="3"}': "1x20"},
                at="5m",
                labels={"role": "orders", "partition": "3"},
            ),
            Proof(
                series={'sluice_runtime_partition_paused{role="orders",partition="3"}': "1 0x20"}, at="5m", labels=None
            ),
        ),
    ),
    Alert(
        name="CommandsRejected",
        severity=TICKET,
        expr=grown("sluice_runtime_records_rejected_total", "15m", "role, code"),
        hold="0m",
        summary="Records were set aside that no role could decide.",
        means="They are on `commands.rejected`, untouched, with their reason: of a producer that writes what "
        "nobody can "
        "read, of a channel that was removed, or of a defect (`DECISION_FAILED`).",
        notice="The sender of a direct command waits for a verdict in vain; HTTP callers got theirs.",
        look=(_REJECTED,),
        end=(
            Step(words="Let the producer send it rightly, under an id of its own.", commands=("sluice check FILE",)),
            Step(words="`DECISION_FAILED`: keep the record and the log for whoever mends it."),
        ),
        over="None came for 15 minutes.",
        proofs=(
            Proof(
                series={'sluice_runtime_records_rejected_total{role="orders",code="BAD_JSON"}': "_x5 1x60"},
                at="8m",
                labels={"role": "orders", "code": "BAD_JSON"},
            ),
            Proof(
                series={'sluice_runtime_records_rejected_total{role="orders",code="BAD_JSON"}': "1x60"},
                at="40m",
                labels=None,
            ),
        ),
    ),
    Alert(
        name="InvariantViolated",
        severity=PAGE,
        expr="sum by (role, invariant) (sluice_invariant_violations_total) > 0",
        hold="0m",
        summary="Stored state is not as it must be.",
        means="A check of durable state failed: a defect of Sluice, or somebody else wrote into its topics.",
        notice="Perhaps nothing; an order may have been decided wrongly.",
        look=(
            Step(
                words="The log names the invariant, the key and the position.",
                commands=("grep invariant .sluice/logs/orders.log",),
            ),
            Step(words="What became of the order?", commands=("sluice order CODE",)),
        ),
        end=(
            Step(words="Keep the log and the topics' records for whoever mends it; note each order that is named."),
            Step(words="Restart the role when that is done: the count begins anew.", commands=("sluice run orders",)),
        ),
        over="The count of the restarted process stays 0.",
        proofs=(
            Proof(
                series={'sluice_invariant_violations_total{role="orders",invariant="x"}': "1x20"},
                at="2m",
                labels={"role": "orders", "invariant": "x"},
            ),
            Proof(
                series={'sluice_invariant_violations_total{role="orders",invariant="x"}': "0x20"}, at="2m", labels=None
            ),
        ),
    ),
    Alert(
        name="UnreadableRecords",
        severity=TICKET,
        expr="sum by (role, topic) (sluice_unreadable_records_total) > 0",
        hold="0m",
        summary="A process met records that it cannot read.",
        means="A version that is newer wrote them, or somebody who should not write there. What then holds for "
        "their keys "
        "is in [unreadable.md](../unreadable.md).",
        notice="It depends on the topic: a subscription may wait, a position may be the last that could be read.",
        look=(
            Step(
                words="`/ready` names the topic, the log each record.",
                commands=("grep unreadable .sluice/logs/gateway.log",),
            ),
        ),
        end=(
            Step(
                words="Run the version that wrote them, or write a readable record, or a deletion, under the same key."
            ),
            Step(words="Restart the process: the count begins anew.", commands=("sluice run gateway",)),
        ),
        over="The count of the restarted process stays 0.",
        proofs=(
            Proof(
                series={'sluice_unreadable_records_total{role="gateway",topic="subscriptions"}': "1x20"},
                at="2m",
                labels={"role": "gateway", "topic": "subscriptions"},
            ),
            Proof(
                series={'sluice_unreadable_records_total{role="gateway",topic="subscriptions"}': "0x20"},
                at="2m",
                labels=None,
            ),
        ),
    ),
    Alert(
        name="JournalBehind",
        severity=TICKET,
        expr="sluice_journal_age_seconds > 60",
        hold="5m",
        summary="The journal is more than a minute behind the topics.",
        means="Its database is slow or away, or its process has more to read than it can.",
        notice="Lists and stories of operators are old; orders go on.",
        look=(
            Step(words="`/ready` of the journal says what its database answers.", commands=("sluice status",)),
            Step(words="`sluice_journal_batch_seconds` and `sluice_journal_lag_records` say which it is."),
        ),
        end=(
            Step(words="Bring the database back, or give it disk and memory; the journal catches up by itself."),
            Step(
                words="The database is lost: an empty one will do, the topics fill it again as far as they reach back.",
                commands=("sluice run journal",),
            ),
        ),
        over="`sluice_journal_age_seconds` is below 60.",
        proofs=(
            Proof(series={'sluice_journal_age_seconds{role="journal"}': "90x20"}, at="10m", labels={"role": "journal"}),
            Proof(series={'sluice_journal_age_seconds{role="journal"}': "1x20"}, at="10m", labels=None),
        ),
    ),
    Alert(
        name="JournalDatabaseFails",
        severity=TICKET,
        expr="increase(sluice_journal_batches_failed_total[15m]) > 3",
        hold="0m",
        summary="The journal's database refuses what is written.",
        means="Batches failed and are tried again: the database is away, full, or its tables are another version's.",
        notice="As of [journal-behind](journal-behind.md), soon.",
        look=(
            Step(
                words="The journal's log has the database's words.", commands=("tail -n 50 .sluice/logs/journal.log",)
            ),
        ),
        end=(
            Step(
                words="Mend the database; the journal goes on where its tables end.", commands=("sluice run journal",)
            ),
        ),
        over="No batch failed for 15 minutes.",
        proofs=(
            Proof(
                series={'sluice_journal_batches_failed_total{role="journal"}': "0+1x30"},
                at="20m",
                labels={"role": "journal"},
            ),
            Proof(series={'sluice_journal_batches_failed_total{role="journal"}': "5x30"}, at="20m", labels=None),
        ),
    ),
)
