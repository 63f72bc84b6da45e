"""Alerts on causes in processes: gone, not ready, behind, without room."""

from __future__ import annotations

from monitoring.alert import JOB, PAGE, TICKET, Alert, Proof, Step
from topics.metrics.definition import ALL

_STATUS = Step(words="How do all roles do?", commands=("sluice status",))

PROCESSES = (
    Alert(
        name="RoleDown",
        severity=PAGE,
        expr=f'up{{job="{JOB}"}} == 0',
        hold="1m",
        summary="A process of Sluice does not answer on its admin port.",
        means="Prometheus cannot ask a process for its metrics: it is gone, hangs, or its admin port cannot be "
        "reached.",
        notice="Nothing, while another process of the role has its partitions; without one, what the role does "
        "waits: calls "
        "get 503 (gateway, orders), nothing is sent (delivery), stock stands still (inventory). Nothing is lost.",
        look=(
            _STATUS,
            Step(
                words="The end of its log says why it ended; `sluice up` keeps it in `logs/` of its data directory.",
                commands=("tail -n 50 .sluice/logs/orders.log",),
            ),
        ),
        end=(
            Step(
                words="Its supervisor (`sluice up`, Kubernetes, compose) starts it again. If none does, start it "
                "with the "
                "settings that it had: it takes its state from Kafka.",
                commands=("sluice run orders",),
            ),
            Step(
                words="It runs and does not answer: end it, and its supervisor starts it again.",
                commands=("kill -KILL PID",),
            ),
            Step(words="It ends at each start: the last line of its log names the setting or the record."),
        ),
        over="`up` is 1 again for the address that the alert names.",
        proofs=(
            Proof(
                series={f'up{{job="{JOB}",instance="h:1",role="orders"}}': "1 1 0x20"},
                at="5m",
                labels={"job": JOB, "instance": "h:1", "role": "orders"},
            ),
            Proof(series={f'up{{job="{JOB}",instance="h:1",role="orders"}}': "1 0 1x20"}, at="5m", labels=None),
        ),
    ),
    Alert(
        name="RoleMissing",
        severity=PAGE,
        expr=" or ".join(f'absent(sluice_ready{{role="{role}"}})' for role in ALL),
        hold="2m",
        summary="No process of a role is there.",
        means="Prometheus knows no process of the role at all: none runs, or its scrape configuration lacks it.",
        notice="As of [role-down](role-down.md), for the whole role.",
        look=(_STATUS,),
        end=(
            Step(
                words="Start one, or add it to the targets ([monitoring.md](../monitoring.md)).",
                commands=("sluice run orders",),
            ),
            Step(words='You run no journal: silence the alert for `role="journal"`.'),
        ),
        over="`sluice_ready` has a series of the role.",
        proofs=(
            Proof(
                series={f'sluice_ready{{role="{role}"}}': "1x20" for role in ALL if role != "delivery"},
                at="5m",
                labels={"role": "delivery"},
            ),
            Proof(series={f'sluice_ready{{role="{role}"}}': "1x20" for role in ALL}, at="5m", labels=None),
        ),
    ),
    Alert(
        name="RoleNotReady",
        severity=PAGE,
        expr="sluice_ready == 0",
        hold="2m",
        summary="A process runs and cannot work.",
        means="`/ready` answers 503: Kafka is away, a table is still being read, or the journal's database does "
        "not answer.",
        notice="Calls get 503, or what the role does waits. Nothing is lost.",
        look=(
            Step(
                words="`/ready` of the process says the reason. Its address is in the alert.",
                commands=("curl -s http://127.0.0.1:8081/ready",),
            ),
            Step(words="Does Kafka serve its topics?", commands=("sluice topics check",)),
        ),
        end=(
            Step(words="Bring Kafka, or the database, back: the process goes on by itself."),
            Step(words="A topic is missing: make it.", commands=("sluice topics create",)),
        ),
        over="`sluice_ready` is 1.",
        proofs=(
            Proof(series={'sluice_ready{role="orders"}': "1 0x20"}, at="5m", labels={"role": "orders"}),
            Proof(series={'sluice_ready{role="orders"}': "1 0 1x20"}, at="5m", labels=None),
        ),
    ),
    Alert(
        name="LagGrows",
        severity=PAGE,
        expr="sum by (role) (sluice_runtime_lag_records) > 1000 and "
        "sum by (role) (deriv(sluice_runtime_lag_records[10m])) > 0",
        hold="10m",
        summary="A role is behind, and falls further behind.",
        means="More records come than the role decides. Of delivery this counts records that it has not taken up "
        "yet; what "
        "waits for a destination is no lag.",
        notice="Verdicts come late, then not in time (503 with a receipt); stock on marketplaces is older than it was.",
        look=(
            _STATUS,
            Step(
                words="Is its processor busy (`process_cpu_seconds_total`), does Kafka acknowledge slowly "
                "(`sluice_runtime_group_seconds`), or is a partition paused ([partition-paused](partition-paused.md))?"
            ),
        ),
        end=(
            Step(
                words="Busy: start another worker of the role under a name of its own; it takes partitions over.",
                commands=("sluice run orders --instance second",),
            ),
            Step(words="As many workers as partitions: compile the hot modules.", commands=("make compiled",)),
        ),
        over="`sluice_runtime_lag_records` falls.",
        proofs=(
            Proof(
                series={'sluice_runtime_lag_records{role="orders",partition="0"}': "0+200x40"},
                at="35m",
                labels={"role": "orders"},
            ),
            Proof(
                series={'sluice_runtime_lag_records{role="orders",partition="0"}': "9000-200x40"}, at="35m", labels=None
            ),
        ),
    ),
    Alert(
        name="RebalancesOften",
        severity=TICKET,
        expr="sum by (role) (increase(sluice_runtime_rebalances_total[30m])) > 6",
        hold="5m",
        summary="Workers of a role get and lose partitions again and again.",
        means="A worker leaves and joins its group again and again: it is killed (memory), stands still too long, or "
        "reaches Kafka badly.",
        notice="Short pauses of what the role does.",
        look=(_STATUS, Step(words="Which worker restarted (`process_start_time_seconds`), and what does its log say?")),
        end=(Step(words="Give it the memory that it needs, or take the worker that cannot stay away."),),
        over="`sluice_runtime_rebalances_total` grows no more.",
        proofs=(
            Proof(
                series={'sluice_runtime_rebalances_total{role="orders"}': "0+1x60"}, at="50m", labels={"role": "orders"}
            ),
            Proof(series={'sluice_runtime_rebalances_total{role="orders"}': "0 2x60"}, at="50m", labels=None),
        ),
    ),
    Alert(
        name="StandbyMissing",
        severity=TICKET,
        expr='count by (role) (sluice_runtime_partitions{role="orders"}) > 1 unless on (role) '
        'sum by (role) (sluice_runtime_standby_partitions{role="orders"}) > 0',
        hold="15m",
        summary="No worker keeps the tables of another worker's partitions.",
        means="Several workers of the orders role run, and none has a standby: if one is lost, its partitions wait "
        "until "
        "their tables are read from Kafka.",
        notice="Nothing until a worker is lost; then a longer pause.",
        look=(Step(words="Standbys need memory: `SLUICE_STANDBY_BYTES_MAX` of each worker, and its log, say more."),),
        end=(Step(words="Raise `SLUICE_STANDBY_BYTES_MAX`, or add a worker, and restart the workers one by one."),),
        over="`sluice_runtime_standby_partitions` is above 0 at one of them.",
        proofs=(
            Proof(
                series={
                    'sluice_runtime_partitions{role="orders",instance="a"}': "4x40",
                    'sluice_runtime_partitions{role="orders",instance="b"}': "4x40",
                    'sluice_runtime_standby_partitions{role="orders",instance="a"}': "0x40",
                },
                at="30m",
                labels={"role": "orders"},
            ),
            Proof(series={'sluice_runtime_partitions{role="orders",instance="a"}': "8x40"}, at="30m", labels=None),
        ),
    ),
    Alert(
        name="DiskNearlyFull",
        severity=PAGE,
        expr="sluice_disk_free_bytes / sluice_disk_size_bytes < 0.1",
        hold="5m",
        summary="The disk with a process's state has less than a tenth free.",
        means="State that outgrows memory, snapshots in the making and a SQLite journal lie there "
        "(`SLUICE_STATE_DIR`).",
        notice="Nothing yet. When it is full, the process ends at its next write, and starts in vain.",
        look=(Step(words="What takes the room?", commands=("df -h .", "du -sh .sluice/*")),),
        end=(
            Step(words="Make the disk larger, or give Kafka, whose logs grow most, a disk of its own."),
            Step(words="Keep less in the journal: a smaller `SLUICE_JOURNAL_DAYS`, then restart that role."),
        ),
        over="More than a tenth is free.",
        proofs=(
            Proof(
                series={
                    'sluice_disk_free_bytes{role="orders"}': "5x20",
                    'sluice_disk_size_bytes{role="orders"}': "100x20",
                },
                at="10m",
                labels={"role": "orders"},
            ),
            Proof(
                series={
                    'sluice_disk_free_bytes{role="orders"}': "50x20",
                    'sluice_disk_size_bytes{role="orders"}': "100x20",
                },
                at="10m",
                labels=None,
            ),
        ),
    ),
    Alert(
        name="FilesNearlyGone",
        severity=TICKET,
        expr=f'process_open_fds{{job="{JOB}"}} / process_max_fds{{job="{JOB}"}} > 0.9',
        hold="5m",
        summary="A process has nearly as many files open as it may.",
        means="Connections and files together come near the limit of the process.",
        notice="New connections will be refused.",
        look=(Step(words="`sluice_gateway_connections` says how many are callers'."),),
        end=(Step(words="Raise the hard limit (`ulimit -Hn`) and restart the process, or start another gateway."),),
        over="Less than nine tenths are open.",
        proofs=(
            Proof(
                series={
                    f'process_open_fds{{job="{JOB}",role="gateway"}}': "95x20",
                    f'process_max_fds{{job="{JOB}",role="gateway"}}': "100x20",
                },
                at="10m",
                labels={"job": JOB, "role": "gateway"},
            ),
            Proof(
                series={
                    f'process_open_fds{{job="{JOB}",role="gateway"}}': "50x20",
                    f'process_max_fds{{job="{JOB}",role="gateway"}}': "100x20",
                },
                at="10m",
                labels=None,
            ),
        ),
    ),
)
