"""The dashboards of Grafana, with the types of Grafana 11.6. Panels ask only for metrics of the catalogue."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from grafana_foundation_sdk.builders.dashboard import Dashboard, DatasourceVariable, Row
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.timeseries import Panel
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef

from monitoring.alert import checked
from monitoring.objectives import OBJECTIVES

SECONDS, BYTES, RATIO, PER_S, COUNT = "s", "bytes", "percentunit", "reqps", "short"
HEIGHT = 7
"""Grid rows of a panel: nine of them fill a screen."""
SOURCE = DataSourceRef(type_val="prometheus", uid="${source}")


@dataclass(frozen=True)
class Graph:
    """A panel: `series` are expressions with the text of their legend."""

    title: str
    unit: str
    meaning: str
    series: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Board:
    uid: str
    title: str
    rows: tuple[tuple[str, tuple[Graph, ...]], ...]


def quantile(share: float, metric: str, by: str = "") -> str:
    also = f", {by}" if by else ""
    return f"histogram_quantile({share}, sum by (le{also}) (rate({metric}_bucket[5m])))"


def _times(title: str, metric: str, meaning: str, by: str = "") -> Graph:
    legend = f"{{{{{by}}}}} " if by else ""
    return Graph(
        title, SECONDS, meaning, tuple((quantile(q, metric, by), f"{legend}p{q * 100:g}") for q in (0.5, 0.99))
    )


_DEAD = 'sluice_delivery_outcomes_total{outcome="dead"}'

OVERVIEW = Board(
    "sluice",
    "Sluice",
    (
        (
            "Objectives",
            tuple(
                Graph(
                    f"{objective.title}: errors",
                    RATIO,
                    f"{objective.promise} The share of errors of the last hour, and what uses the budget up in 30 "
                    f"days.",
                    ((objective.recorded("1h"), "last hour"), (f"vector({1 - objective.target:.6g})", "budget")),
                )
                for objective in OBJECTIVES
            ),
        ),
        (
            "Calls",
            (
                Graph(
                    "Answers",
                    PER_S,
                    "Requests answered, by channel and status",
                    (
                        (
                            "sum by (channel, status) (rate(sluice_gateway_requests_total[5m]))",
                            "{{channel}} {{status}}",
                        ),
                    ),
                ),
                _times("Verdict", "sluice_gateway_verdict_seconds", "How long calls wait for their verdict", "channel"),
                Graph(
                    "Calls in hand",
                    COUNT,
                    "Calls that are worked on, and how many may be",
                    (
                        ("sum by (channel) (sluice_gateway_calls_in_hand)", "{{channel}}"),
                        ("sum(sluice_gateway_calls_limit)", "limit"),
                    ),
                ),
                Graph(
                    "Verdicts",
                    PER_S,
                    "Commands decided, over HTTP and Kafka",
                    (
                        (
                            "sum by (channel, verdict) (rate(sluice_orders_verdicts_total[5m]))",
                            "{{channel}} {{verdict}}",
                        ),
                    ),
                ),
                Graph(
                    "Set aside",
                    COUNT,
                    "Records that no role could decide, in 15 minutes",
                    (
                        (
                            "sum by (role, code) (increase(sluice_runtime_records_rejected_total[15m]))",
                            "{{role}} {{code}}",
                        ),
                    ),
                ),
                Graph(
                    "Stuck orders",
                    COUNT,
                    "Waits that are longer than their channel allows",
                    (("sum by (step) (sluice_orders_stuck)", "{{step}}"),),
                ),
            ),
        ),
        (
            "Destinations",
            (
                Graph(
                    "Queue age",
                    SECONDS,
                    "Age of the request that has waited longest",
                    (("max by (destination) (sluice_delivery_queue_age_seconds)", "{{destination}}"),),
                ),
                Graph(
                    "Budget used",
                    RATIO,
                    "Share of each limit that is not free",
                    (
                        (
                            "max by (destination, limit) (sluice_delivery_budget_used_ratio)",
                            "{{destination}} {{limit}}",
                        ),
                    ),
                ),
                Graph(
                    "Breaker",
                    COUNT,
                    "0: all is sent; 1: a probe; 2: nothing is sent",
                    (("max by (destination) (sluice_delivery_breaker_state)", "{{destination}}"),),
                ),
                Graph(
                    "Attempts",
                    PER_S,
                    "Requests sent, by the class of their answer",
                    (
                        (
                            "sum by (destination, response_class) (rate(sluice_delivery_attempts_total[5m]))",
                            "{{destination}} {{response_class}}",
                        ),
                    ),
                ),
                _times("Submission", "sluice_delivery_submission_seconds", "From a create to its end", "channel"),
                Graph(
                    "Dead letters",
                    COUNT,
                    "Requests given up, in 15 minutes",
                    (
                        (
                            f"sum by (destination, channel) (increase({_DEAD}[15m]))",
                            "{{destination}} {{channel}}",
                        ),
                    ),
                ),
            ),
        ),
        (
            "Stock",
            (
                Graph(
                    "Oldest unsent",
                    SECONDS,
                    "Age of the position that has waited longest",
                    (("max by (channel) (sluice_stock_channel_oldest_age_seconds)", "{{channel}}"),),
                ),
                _times("Out of stock", "sluice_stock_out_of_stock_seconds", "From 0 to its acknowledgement", "channel"),
                Graph(
                    "Waiting and refused SKUs",
                    COUNT,
                    "Positions that the channel has not acknowledged, and those that it refuses",
                    (
                        ("sum by (channel) (sluice_stock_channel_dirty)", "{{channel}} waiting"),
                        ("sum by (channel) (sluice_stock_channel_refused)", "{{channel}} refused"),
                    ),
                ),
            ),
        ),
    ),
)
PROCESSES = Board(
    "sluice-processes",
    "Sluice: processes",
    (
        (
            "Processes",
            (
                Graph("Ready", COUNT, "1 while /ready answers 200", (("sluice_ready", "{{role}} {{instance}}"),)),
                Graph(
                    "Processor",
                    COUNT,
                    "Processor seconds in a second",
                    (('rate(process_cpu_seconds_total{job="sluice"}[5m])', "{{role}} {{instance}}"),),
                ),
                Graph(
                    "Memory",
                    BYTES,
                    "Resident memory",
                    (('process_resident_memory_bytes{job="sluice"}', "{{role}} {{instance}}"),),
                ),
                Graph(
                    "Free disk", BYTES, "Where the state lies", (("sluice_disk_free_bytes", "{{role}} {{instance}}"),)
                ),
                Graph(
                    "Event loop late",
                    RATIO,
                    "By how much a gateway's loop is late, of each second",
                    (("rate(sluice_gateway_loop_late_seconds_total[5m])", "{{instance}}"),),
                ),
                Graph(
                    "Connections",
                    COUNT,
                    "Open connections of callers",
                    (("sum by (instance) (sluice_gateway_connections)", "{{instance}}"),),
                ),
            ),
        ),
        (
            "Runtime",
            (
                Graph(
                    "Lag",
                    COUNT,
                    "Records not yet finished",
                    (("sum by (role) (sluice_runtime_lag_records)", "{{role}}"),),
                ),
                Graph(
                    "Decided",
                    PER_S,
                    "Records decided",
                    (("sum by (role) (rate(sluice_runtime_records_decided_total[5m]))", "{{role}}"),),
                ),
                _times("Group commit", "sluice_runtime_group_seconds", "From closing a group to its last ack", "role"),
                Graph(
                    "Tables",
                    BYTES,
                    "Bytes of values in this worker's partitions",
                    (("sum by (role, table) (sluice_runtime_table_bytes)", "{{role}} {{table}}"),),
                ),
                Graph(
                    "Rebalances",
                    COUNT,
                    "In half an hour",
                    (("sum by (role) (increase(sluice_runtime_rebalances_total[30m]))", "{{role}}"),),
                ),
                Graph(
                    "Standbys",
                    COUNT,
                    "Partitions of other workers that are kept current",
                    (("sum by (role) (sluice_runtime_standby_partitions)", "{{role}}"),),
                ),
            ),
        ),
        (
            "Journal",
            (
                Graph("Age", SECONDS, "How far it is behind", (("max(sluice_journal_age_seconds)", "age"),)),
                _times("Delay", "sluice_journal_delay_seconds", "From a batch's oldest record to its commit"),
                Graph(
                    "Rows",
                    PER_S,
                    "Rows written",
                    (("sum by (table) (rate(sluice_journal_rows_total[5m]))", "{{table}}"),),
                ),
            ),
        ),
    ),
)
BOARDS = (OVERVIEW, PROCESSES)


def texts() -> dict[str, str]:
    """The JSON that Grafana imports, by file name."""
    return {
        f"{board.uid}.json": json.dumps(_built(board), cls=JSONEncoder, indent=1, sort_keys=True) + "\n"
        for board in BOARDS
    }


def _built(board: Board) -> Any:
    made = Dashboard(board.title).uid(board.uid).tags(["sluice"]).refresh("30s").time("now-6h", "now").timezone("utc")
    made.with_variable(DatasourceVariable("source").type("prometheus").label("Prometheus"))
    for title, graphs in board.rows:
        made.with_row(Row(title))
        for graph in graphs:
            made.with_panel(_panel(graph))
    return made.build()


def _panel(graph: Graph) -> Panel:
    panel = Panel().title(graph.title).description(graph.meaning).unit(graph.unit).datasource(SOURCE)
    panel.height(HEIGHT).span(8)
    for number, (expression, legend) in enumerate(graph.series):
        query = Dataquery().expr(checked(expression)).legend_format(legend).ref_id(chr(ord("A") + number))
        panel.with_target(query.datasource(SOURCE))
    return panel
