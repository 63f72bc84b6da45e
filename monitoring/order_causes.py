"""Alerts on causes in orders, stock and calls."""

from __future__ import annotations

from monitoring.alert import PAGE, TICKET, Alert, Proof, Step

_DESTINATIONS = Step(words="How do the destinations do?", commands=("sluice destinations",))

ORDERS_AND_STOCK = (
    Alert(
        name="OrdersStuck",
        severity=TICKET,
        expr="sum by (step) (sluice_orders_stuck) > 0",
        hold="5m",
        summary="Orders wait at a step for longer than their channel allows.",
        means="The watchdog has raised an alarm: the next word of Increff, the marketplace or the warehouse is "
        "missing.",
        notice="Those orders are late.",
        look=(
            Step(words="Which orders must be handed over soon?", commands=("sluice due",)),
            Step(words="What does one of them wait for?", commands=("sluice order CODE",)),
        ),
        end=(
            Step(
                words="It says what moves it: often a call of the other side. One that was refused is sent again.",
                commands=("sluice orders resubmit CODE --reason WHY --yes",),
            ),
        ),
        over="`sluice_orders_stuck` is 0: each order that moves ends its own alarm.",
        proofs=(
            Proof(series={'sluice_orders_stuck{partition="0",step="pack"}': "2x20"}, at="10m", labels={"step": "pack"}),
            Proof(series={'sluice_orders_stuck{partition="0",step="pack"}': "0x20"}, at="10m", labels=None),
        ),
    ),
    Alert(
        name="StockWaits",
        severity=PAGE,
        expr="max by (channel) (sluice_stock_channel_oldest_age_seconds) > 300",
        hold="5m",
        summary="A channel has not acknowledged a position for five minutes.",
        means="The channel is down, refuses the SKU, or its budget does not suffice.",
        notice="The marketplace shows stock that is five minutes old or more, and may oversell.",
        look=(
            Step(words="Which location waits?", commands=("sluice inventory status",)),
            _DESTINATIONS,
        ),
        end=(
            Step(
                words="Down: [destination-down](destination-down.md). Budget: [budget-exhausted](budget-exhausted.md). "
                "Refused: [stock-refused](stock-refused.md). Paused by an operator: let it go on.",
                commands=("sluice inventory resume CHANNEL",),
            ),
        ),
        over="`sluice_stock_channel_oldest_age_seconds` is below 300.",
        proofs=(
            Proof(
                series={'sluice_stock_channel_oldest_age_seconds{channel="demo"}': "400x20"},
                at="10m",
                labels={"channel": "demo"},
            ),
            Proof(series={'sluice_stock_channel_oldest_age_seconds{channel="demo"}': "3x20"}, at="10m", labels=None),
        ),
    ),
    Alert(
        name="StockRefused",
        severity=TICKET,
        expr="sum by (channel) (sluice_stock_channel_refused) > 0",
        hold="1h",
        summary="A channel has refused SKUs for an hour.",
        means="It answers that it does not take them: it does not know the SKU, or the location.",
        notice="The marketplace shows another quantity for these SKUs, or does not list them.",
        look=(Step(words="Which, and in which words?", commands=("sluice inventory refused CHANNEL",)),),
        end=(
            Step(
                words="List them at the marketplace, or take them from the offer ([stock.md](../stock.md)); they "
                "are tried "
                "again by themselves, and at once by a resync.",
                commands=("sluice inventory resync CHANNEL LOCATION",),
            ),
        ),
        over="`sluice_stock_channel_refused` is 0.",
        proofs=(
            Proof(
                series={'sluice_stock_channel_refused{channel="demo"}': "4x90"}, at="80m", labels={"channel": "demo"}
            ),
            Proof(series={'sluice_stock_channel_refused{channel="demo"}': "4x30 0x60"}, at="80m", labels=None),
        ),
    ),
)

CALLERS = (
    Alert(
        name="GatewayOverloaded",
        severity=PAGE,
        expr='sum by (channel) (rate(sluice_gateway_refused_total{reason!="api"}[5m])) > 1',
        hold="5m",
        summary="The gateway refuses calls, because more are in hand than it can answer in time.",
        means="A caller sends too much, or answers take long because Kafka or a far side does "
        "([overload.md](../overload.md)).",
        notice="Callers of the channel get 503 with `Retry-After`; those of others are served within their shares.",
        look=(
            Step(
                words="Whose calls (`sluice_gateway_calls_in_hand`)? How long does Kafka take "
                "(`sluice_gateway_verdict_seconds`)?"
            ),
            Step(words="The log names channel and bound.", commands=("grep refused .sluice/logs/gateway.log",)),
        ),
        end=(
            Step(
                words="One caller is mistaken: tell it. All are many: start another gateway "
                "([gateways.md](../gateways.md)).",
                commands=("sluice run gateway --port 8080 --gateways 2 --number 1",),
            ),
        ),
        over="`sluice_gateway_refused_total` grows no more.",
        proofs=(
            Proof(
                series={'sluice_gateway_refused_total{channel="demo",reason="calls"}': "0+300x20"},
                at="15m",
                labels={"channel": "demo"},
            ),
            Proof(
                series={'sluice_gateway_refused_total{channel="demo",reason="calls"}': "300x20"}, at="15m", labels=None
            ),
        ),
    ),
    Alert(
        name="CredentialsGuessed",
        severity=TICKET,
        expr='sum by (side) (rate(sluice_gateway_failed_authentications_total{brake!="off"}[10m])) > 0',
        hold="10m",
        summary="Somebody sends wrong credentials again and again.",
        means="A program has an old password, or somebody guesses ([access.md](../access.md)).",
        notice="The program's calls are refused; rightly authenticated callers are served.",
        look=(Step(words="From which address?", commands=("grep authentication .sluice/logs/gateway.log",)),),
        end=(
            Step(
                words="Give the program its password. If it is a stranger, close the address at the load balancer, "
                "and change "
                "the secret if it is weak.",
                commands=("kill -HUP PID",),
            ),
        ),
        over="No failure for ten minutes.",
        proofs=(
            Proof(
                series={'sluice_gateway_failed_authentications_total{side="api",brake="on"}': "0+5x40"},
                at="30m",
                labels={"side": "api"},
            ),
            Proof(
                series={'sluice_gateway_failed_authentications_total{side="api",brake="off"}': "0+5x40"},
                at="30m",
                labels=None,
            ),
        ),
    ),
    Alert(
        name="GatewayStandsStill",
        severity=TICKET,
        expr="sum by (instance) (increase(sluice_gateway_standstills_total[1h])) > 3",
        hold="0m",
        summary="A gateway process stood still again and again.",
        means="For seconds it got no processor: its machine has too much to do, or was paused.",
        notice="Calls of these moments are refused with 503, so that nothing old is taken.",
        look=(Step(words="How busy is the machine?", commands=("uptime",)),),
        end=(Step(words="Move it, or what crowds it, to another machine."),),
        over="None for an hour.",
        proofs=(
            Proof(
                series={'sluice_gateway_standstills_total{instance="g"}': "0+1x70"}, at="65m", labels={"instance": "g"}
            ),
            Proof(series={'sluice_gateway_standstills_total{instance="g"}': "9x70"}, at="65m", labels=None),
        ),
    ),
)
