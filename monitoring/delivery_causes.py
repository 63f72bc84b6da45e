"""Alerts on causes in traffic: destinations, budgets, subscriptions."""

from __future__ import annotations

from monitoring.alert import PAGE, TICKET, Alert, Proof, Step, grown

_DESTINATIONS = Step(words="How do the destinations do?", commands=("sluice destinations",))
_WAITING = Step(words="What waits, and why?", commands=("sluice deliveries --state waiting",))

DELIVERY = (
    Alert(
        name="DestinationDown",
        severity=PAGE,
        expr="max by (destination) (sluice_delivery_breaker_state) > 0",
        hold="3m",
        summary="A destination does not answer, and nothing is sent to it but probes.",
        means="So many requests in a row failed that the breaker opened; one request at a time asks whether it is "
        "up again.",
        notice="Orders or stock wait; nothing is lost or overtaken. Relays, whose callers wait, are answered 503.",
        look=(
            _DESTINATIONS,
            Step(words="What does it answer?", commands=("sluice deliveries --state waiting --attempts",)),
        ),
        end=(
            Step(
                words="Tell whoever runs it. When it answers again, the breaker closes within a minute, and all is "
                "sent."
            ),
            Step(words="Its address or credentials changed: write them into channels.toml and restart delivery."),
        ),
        over="`sluice_delivery_breaker_state` is 0, and the age of the queue falls.",
        proofs=(
            Proof(
                series={'sluice_delivery_breaker_state{destination="increff",shard="0"}': "2 1 2 2 1 2x20"},
                at="6m",
                labels={"destination": "increff"},
            ),
            Proof(
                series={'sluice_delivery_breaker_state{destination="increff",shard="0"}': "2 2 0x20"},
                at="6m",
                labels=None,
            ),
        ),
    ),
    Alert(
        name="RequestsWait",
        severity=TICKET,
        expr="max by (destination) (sluice_delivery_queue_age_seconds) > 900",
        hold="5m",
        summary="A request has waited for longer than 15 minutes.",
        means="Its lane is held, backs off, or waits for the budget, the far side's `Retry-After`, or an "
        "operator's pause.",
        notice="One order, or all of a destination, come late.",
        look=(_WAITING, Step(words="Why does that order wait?", commands=("sluice order CODE",))),
        end=(
            Step(
                words="A request holds its lane: try it again, or let the lane go on without it.",
                commands=("sluice deliveries retry CODE ID", "sluice deliveries skip CODE ID"),
            ),
            Step(
                words="The budget is spent: [budget-exhausted](budget-exhausted.md). It is down: "
                "[destination-down](destination-down.md)."
            ),
        ),
        over="`sluice_delivery_queue_age_seconds` is below 900.",
        proofs=(
            Proof(
                series={'sluice_delivery_queue_age_seconds{destination="increff",shard="0"}': "1000x20"},
                at="10m",
                labels={"destination": "increff"},
            ),
            Proof(
                series={'sluice_delivery_queue_age_seconds{destination="increff",shard="0"}': "9x20"},
                at="10m",
                labels=None,
            ),
        ),
    ),
    Alert(
        name="DeadLettersGrow",
        severity=TICKET,
        expr=grown('sluice_delivery_outcomes_total{outcome="dead"}', "15m", "destination, channel"),
        hold="0m",
        summary="Requests were given up.",
        means="Their whole schedule of attempts is over. Each is on `deliveries.dead`, and its order says so.",
        notice="A far side lacks something: an order, a cancellation, a fact.",
        look=(
            Step(words="Which, grouped by what the far side said?", commands=("sluice dead-letters --group",)),
            _DESTINATIONS,
        ),
        end=(
            Step(
                words="The far side is well again: see what a redrive would send, and send it.",
                commands=(
                    "sluice redrive --destination increff --dry-run",
                    "sluice redrive --destination increff --yes --reason WHY",
                ),
            ),
        ),
        over="None came for 15 minutes, and `sluice dead-letters` lists none that has no end.",
        proofs=(
            Proof(
                series={
                    'sluice_delivery_outcomes_total{destination="increff",channel="demo",touchpoint="pack-order",'
                    'outcome="dead"}': "_x5 1x60"
                },
                at="8m",
                labels={"destination": "increff", "channel": "demo"},
            ),
            Proof(
                series={
                    'sluice_delivery_outcomes_total{destination="increff",channel="demo",touchpoint="pack-order",'
                    'outcome="delivered"}': "0+9x60"
                },
                at="40m",
                labels=None,
            ),
        ),
    ),
    Alert(
        name="BudgetExhausted",
        severity=TICKET,
        expr="max by (destination) (avg_over_time(sluice_delivery_budget_used_ratio[15m])) > 0.9",
        hold="15m",
        summary="A destination's budget has been spent for half an hour.",
        means="More is to be sent than the limit of the destination allows: nothing can hurry it, and more workers "
        "do not.",
        notice="What is less urgent comes late: stock that is in stock before stock that went out, creates before "
        "updates.",
        look=(_DESTINATIONS, _WAITING),
        end=(
            Step(words="Ask for a higher limit, and write it into channels.toml ([pacing.md](../pacing.md))."),
            Step(
                words="A resync or a snapshot spends it: let it end, or pause the location that can wait.",
                commands=("sluice inventory pause CHANNEL LOCATION",),
            ),
        ),
        over="The mean of `sluice_delivery_budget_used_ratio` falls below 0.9.",
        proofs=(
            Proof(
                series={'sluice_delivery_budget_used_ratio{destination="increff",shard="0",limit="m"}': "1x60"},
                at="40m",
                labels={"destination": "increff"},
            ),
            Proof(
                series={
                    'sluice_delivery_budget_used_ratio{destination="increff",shard="0",limit="m"}': "0.5 1 0.4 1 0.3x60"
                },
                at="40m",
                labels=None,
            ),
        ),
    ),
    Alert(
        name="DestinationPaused",
        severity=TICKET,
        expr="max by (destination) (sluice_delivery_paused) == 1",
        hold="1h",
        summary="A destination has been paused for an hour.",
        means="An operator paused it; nothing is sent until somebody resumes it, or the pause ends.",
        notice="All that is for the destination waits.",
        look=(
            Step(words="Who paused it, and why?", commands=("sluice audit --action pause-destination",)),
            _DESTINATIONS,
        ),
        end=(
            Step(
                words="If its cause is over, let it go on; otherwise leave a note why not.",
                commands=("sluice destinations resume increff --reason WHY",),
            ),
        ),
        over="`sluice_delivery_paused` is 0.",
        proofs=(
            Proof(
                series={'sluice_delivery_paused{destination="increff",shard="0"}': "1x80"},
                at="70m",
                labels={"destination": "increff"},
            ),
            Proof(
                series={'sluice_delivery_paused{destination="increff",shard="0"}': "1x30 0x50"}, at="70m", labels=None
            ),
        ),
    ),
    Alert(
        name="UnknownDestination",
        severity=TICKET,
        expr="sum by (role) (sluice_delivery_unknown_destination_requests) > 0",
        hold="5m",
        summary="Requests wait for a destination that is not configured.",
        means="A channel was removed from channels.toml while requests for it waited.",
        notice="What was meant for that channel stays here.",
        look=(_WAITING,),
        end=(
            Step(
                words="Put the channel back until its requests are sent, and restart delivery.",
                commands=("sluice run delivery",),
            ),
        ),
        over="`sluice_delivery_unknown_destination_requests` is 0.",
        proofs=(
            Proof(
                series={'sluice_delivery_unknown_destination_requests{role="delivery",partition="1"}': "3x20"},
                at="10m",
                labels={"role": "delivery"},
            ),
            Proof(
                series={'sluice_delivery_unknown_destination_requests{role="delivery",partition="1"}': "0x20"},
                at="10m",
                labels=None,
            ),
        ),
    ),
    Alert(
        name="SubscriptionDisabled",
        severity=TICKET,
        expr="sum by (role) (sluice_delivery_disabled_subscriptions) > 0",
        hold="5m",
        summary="Sluice disabled a subscription, and nobody has enabled it.",
        means="Its endpoint answered 410, or accepted nothing for too long.",
        notice="The subscriber gets no facts; those of meanwhile it must ask for "
        "([subscriptions.md](../subscriptions.md)).",
        look=(Step(words="Which, and why?", commands=("sluice subscriptions list",)),),
        end=(
            Step(
                words="The endpoint is well again: enable it. It is gone for good: remove it.",
                commands=("sluice subscriptions enable ID", "sluice subscriptions remove ID"),
            ),
        ),
        over="`sluice_delivery_disabled_subscriptions` is 0.",
        proofs=(
            Proof(
                series={'sluice_delivery_disabled_subscriptions{role="delivery"}': "1x20"},
                at="10m",
                labels={"role": "delivery"},
            ),
            Proof(series={'sluice_delivery_disabled_subscriptions{role="delivery"}': "0x20"}, at="10m", labels=None),
        ),
    ),
    Alert(
        name="FactsWithheld",
        severity=TICKET,
        expr="max by (destination) (sluice_delivery_withheld) == 1",
        hold="5m",
        summary="Facts for a subscriber wait, because this worker cannot sign or address them.",
        means="The key under which secrets are sealed is another one here, or the endpoint's network is not allowed.",
        notice="The subscriber gets nothing, though its endpoint is well.",
        look=(Step(words="The log says which of both.", commands=("grep withheld .sluice/logs/delivery.log",)),),
        end=(
            Step(
                words="Give delivery the `SLUICE_SECRET_KEY` of the gateway, the former one behind it, and restart it.",
                commands=("sluice run delivery",),
            ),
            Step(words="Or give the subscription a new secret.", commands=("sluice subscriptions rotate ID",)),
        ),
        over="`sluice_delivery_withheld` is gone.",
        proofs=(
            Proof(
                series={'sluice_delivery_withheld{destination="subscription:s",shard="0"}': "1x20"},
                at="10m",
                labels={"destination": "subscription:s"},
            ),
            Proof(
                series={'sluice_delivery_withheld{destination="subscription:s",shard="0"}': "1 _x20"},
                at="10m",
                labels=None,
            ),
        ),
    ),
)
