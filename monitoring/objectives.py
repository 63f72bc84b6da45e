"""The five objectives, and the alerts on the rates at which their error budgets burn.

Two windows must burn at once: the long one says that it matters, the short one that it goes on. The factors are those
by which 2 %, 5 %, 10 % and 10 % of a budget of 30 days are gone in an hour, six hours, a day and three days.
"""

from __future__ import annotations

from dataclasses import dataclass

from monitoring.alert import PAGE, TICKET, Alert, Step, checked
from topics.contract.definition import Mode
from topics.contract.touchpoints import TOUCHPOINTS
from topics.metrics.catalogue import BY_NAME

WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
BURNS = (("1h", "5m", 14.4, PAGE), ("6h", "30m", 6.0, PAGE), ("1d", "2h", 3.0, TICKET), ("3d", "6h", 1.0, TICKET))
"""Long window, short window, factor, severity."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """`error`: the share of what went wrong within `{window}`. `target`: the share that is to go well. `bound`: the
    metric and the bound of its buckets that `error` reads. `bad`, `mild`, `good`: series that burn the budget at
    once, slowly and not."""

    name: str
    title: str
    target: float
    error: str
    promise: str
    notice: str
    look: tuple[Step, ...]
    end: tuple[Step, ...]
    bad: tuple[tuple[str, str], ...]
    mild: tuple[tuple[str, str], ...]
    good: tuple[tuple[str, str], ...]
    bound: tuple[str, float] | None = None

    def recorded(self, window: str) -> str:
        return f"sluice:{self.name}_errors:ratio_{window}"

    def rules(self) -> list[tuple[str, str]]:
        """Recording rules: name and expression."""
        return [(self.recorded(window), checked(self.error.replace("WINDOW", window))) for window in WINDOWS]

    def alerts(self) -> list[Alert]:
        return [self._alert(*burn) for burn in BURNS]

    def _alert(self, long: str, short: str, factor: float, severity: str) -> Alert:
        threshold = f"{factor * (1 - self.target):.6g}"
        return Alert(
            name=f"{self.title}BudgetBurns",
            severity=severity,
            labels={"window": long},
            expr=f"{self.recorded(long)} > {threshold} and {self.recorded(short)} > {threshold}",
            hold="2m",
            summary=f"The error budget of this objective burns too fast: {self.promise}",
            means=f"The objective is: {self.promise} Its error budget for 30 days burns {factor:g} times too fast over "
            f"{long}, and still does over the last {short}.",
            notice=self.notice,
            look=self.look,
            end=self.end,
            over=f"`{self.recorded(short)}` falls below {threshold}; the alert ends within {short}.",
            proofs=(),
        )

    def proofs(self) -> list[tuple[dict[str, str], list[Alert]]]:
        """Series of 70 minutes, and the alerts that fire at their end."""
        alerts = self.alerts()
        return [(dict(self.bad), alerts), (dict(self.mild), alerts[-1:]), (dict(self.good), [])]


OTHERS = "|".join(("api.*", "unknown", *(one.name for one in TOUCHPOINTS if one.mode is Mode.RELAY)))
"""Calls that are not the contract's, and those whose answer waits for a far side."""


def bucket(metric: str, bound: float) -> str:
    """The series with this bound. Raises ValueError where the metric has no such bucket."""
    if bound not in BY_NAME[metric].buckets:
        raise ValueError(f"{metric} has no bucket {bound}")
    return f'{metric}_bucket{{le="{float(bound)}"}}'


def slow(metric: str, bound: float) -> str:
    """The share of a histogram's observations above a bound."""
    return f"1 - sum(rate({bucket(metric, bound)}[WINDOW])) / sum(rate({metric}_count[WINDOW]))"


_VERDICT = ("sluice_gateway_verdict_seconds", 1.0)
_SUBMIT = ("sluice_delivery_submission_seconds", 60.0)
_STOCK = ("sluice_stock_out_of_stock_seconds", 10.0)
_JOURNAL = ("sluice_journal_delay_seconds", 1.0)
_CREATES = 'sluice_delivery_requests_total{touchpoint="create-outward-order"}'
_STATUS = Step(words="Which role is down, not ready, or behind?", commands=("sluice topics check",))


def _answered(touchpoint: str, status: int) -> str:
    return f'sluice_gateway_requests_total{{channel="demo",touchpoint="{touchpoint}",status="{status}"}}'


def _answers(good: int, bad: int) -> tuple[tuple[str, str], ...]:
    call = "create-outward-order"
    return (_answered(call, 200), f"0+{good}x70"), (_answered(call, 503), f"0+{bad}x70")


def _within(bound: tuple[str, float], good: int) -> tuple[tuple[str, str], ...]:
    """Of 100 observations a minute, `good` within the bound."""
    name, seconds = bound
    return (f'{name}_bucket{{le="{float(seconds)}"}}', f"0+{good}x70"), (f"{name}_count", "0+100x70")


def _submitted(good: int) -> tuple[tuple[str, str], ...]:
    requested = _CREATES.replace("{", '{destination="increff",channel="demo",')
    return _within(_SUBMIT, good)[0], (requested, "0+100x70")


OBJECTIVES = (
    Objective(
        name="accept",
        title="Accept",
        target=0.999,
        promise="99.9 % of the calls of marketplaces and Increff that wait for no far side are answered without a 5xx.",
        error=f'sum(rate(sluice_gateway_requests_total{{touchpoint!~"{OTHERS}",status=~"5.."}}[WINDOW])) / '
        f'sum(rate(sluice_gateway_requests_total{{touchpoint!~"{OTHERS}"}}[WINDOW]))',
        notice="Marketplaces get 503 with `Retry-After` and send again; their queues grow, and orders come late. "
        "Nothing that was answered with 2xx is lost.",
        look=(
            Step(
                words="Which calls, of which channel, with which status: the panel *Answers* of the dashboard "
                "*Sluice*. The "
                "reason is in each line of the gateway's log with a 5xx: `UNAVAILABLE` means Kafka, "
                "`OVERLOADED` too many calls, a late verdict the orders role.",
            ),
            Step(words="Does Kafka serve its topics?", commands=("sluice topics check",)),
        ),
        end=(
            Step(words="Kafka is away: bring it back; gateways go on by themselves, without a restart."),
            Step(
                words="Too many calls: [gateway-overloaded](gateway-overloaded.md). The orders role is behind: "
                "[lag-grows](lag-grows.md). A role is gone: [role-down](role-down.md)."
            ),
        ),
        bad=_answers(950, 50),
        mild=_answers(998, 2),
        good=(*_answers(1_000, 0), (_answered("pack-order", 503), "0+500x70")),
    ),
    Objective(
        name="verdict",
        title="Verdict",
        target=0.995,
        promise="99.5 % of the calls that wait for a verdict have it within 1 s.",
        error=slow(*_VERDICT),
        bound=_VERDICT,
        notice="Calls of marketplaces take long; beyond 5 s they are answered 503 with a receipt, and a repeat "
        "learns the "
        "verdict.",
        look=(
            Step(
                words="Is the orders role behind (`sluice_runtime_lag_records`), or does Kafka acknowledge slowly "
                "(`sluice_runtime_group_seconds`)? The dashboard *Sluice* shows both.",
            ),
            Step(
                words="Was there a rebalance (`sluice_runtime_rebalance_began_timestamp_seconds`)? It ends by itself."
            ),
            _STATUS,
        ),
        end=(
            Step(words="The role is behind: [lag-grows](lag-grows.md). A worker is gone: [role-down](role-down.md)."),
            Step(words="Kafka is slow: look at the disks and the in-sync replicas of its brokers."),
        ),
        bad=_within(_VERDICT, 80),
        mild=_within(_VERDICT, 99),
        good=_within(_VERDICT, 100),
    ),
    Objective(
        name="submitted",
        title="Submitted",
        target=0.99,
        promise="99 % of orders are submitted to Increff within 60 s.",
        error=f"clamp_min(1 - sum(rate({bucket(*_SUBMIT)}[WINDOW])) / sum(rate({_CREATES}[WINDOW])), 0)",
        bound=_SUBMIT,
        notice="Warehouses see orders late; packing and dispatch times slip.",
        look=(
            Step(
                words="Is Increff down ([destination-down](destination-down.md)), or its budget spent "
                "([budget-exhausted](budget-exhausted.md))? The dashboard *Sluice* shows breaker, budget and queue age."
            ),
            Step(words="Where is one such order, and why?", commands=("sluice order CODE",)),
        ),
        end=(
            Step(words="End the cause on the page that fits; what waits is sent by itself, creates in sequence."),
            Step(
                words="Single orders hold a lane: send them again or let them go.",
                commands=("sluice deliveries retry CODE ID", "sluice deliveries skip CODE ID"),
            ),
        ),
        bad=_submitted(50),
        mild=_submitted(98),
        good=_submitted(100),
    ),
    Objective(
        name="out_of_stock",
        title="OutOfStock",
        target=0.99,
        promise="99 % of the SKUs that go out of stock are acknowledged as 0 by their channel within 10 s.",
        error=slow(*_STOCK),
        bound=_STOCK,
        notice="A marketplace sells what is not there, and orders are cancelled for want of stock.",
        look=(
            Step(words="Which channel and location wait, and for how long?", commands=("sluice inventory status",)),
            Step(words="What does the channel refuse?", commands=("sluice inventory refused CHANNEL",)),
        ),
        end=(
            Step(
                words="The channel is down: [destination-down](destination-down.md). It waits: "
                "[stock-waits](stock-waits.md). An operator paused it: let it go on.",
                commands=("sluice inventory resume CHANNEL",),
            ),
        ),
        bad=_within(_STOCK, 70),
        mild=_within(_STOCK, 98),
        good=_within(_STOCK, 100),
    ),
    Objective(
        name="journal",
        title="Journal",
        target=0.99,
        promise="99 % of the journal's batches are written within 1 s of their oldest record.",
        error=slow(*_JOURNAL),
        bound=_JOURNAL,
        notice="Operators' lists and stories are late; nothing that is decided depends on the journal.",
        look=(
            Step(
                words="How old is it (`sluice_journal_age_seconds`), and how long does a batch take "
                "(`sluice_journal_batch_seconds`)? Slow batches mean the database."
            ),
        ),
        end=(Step(words="Follow [journal-behind](journal-behind.md)."),),
        bad=_within(_JOURNAL, 50),
        mild=_within(_JOURNAL, 98),
        good=_within(_JOURNAL, 100),
    ),
)
