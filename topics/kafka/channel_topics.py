"""Topics of channels, beside those of the catalogue."""

from __future__ import annotations

from topics.configuration.channels import Channel, Channels, FarSide
from topics.kafka.catalogue import DAY_MS, TOPICS, Cleanup, Topic

REPLIES = "replies"
CHANNEL = "channel"


def topics_of(channels: Channels | None) -> tuple[Topic, ...]:
    """Every topic of a Sluice with these channels (None: of any Sluice); a topic that two channels share comes once."""
    found = {topic.name: topic for topic in TOPICS}
    for channel in channels.channels.values() if channels is not None else ():
        found.update({topic.name: topic for topic in (*reply_topics(channel), *far_side_topics(channel))})
    return tuple(found.values())


def reply_topics(channel: Channel) -> tuple[Topic, ...]:
    """Topics for verdicts to the channel's direct producers."""
    return tuple(reply_topic(name) for name in sorted(channel.reply_topics))


def far_side_topics(channel: Channel) -> tuple[Topic, ...]:
    """Topics for requests to a channel whose far side is `kafka`, and for its answers."""
    return (request_topic(channel.name), answer_topic(channel.name)) if channel.uses(FarSide.KAFKA) else ()


def reply_topic(name: str) -> Topic:
    return Topic(
        name=f"{REPLIES}.{name}",
        key="event id",
        cleanup=Cleanup.DELETE,
        retention_ms=DAY_MS,
        writers=("orders",),
        readers=("direct producers",),
        why="Verdicts and answers to a direct producer that named this topic in `sluice-reply-topic`",
        personal_data=True,
    )


def request_topic(channel: str) -> Topic:
    return Topic(
        name=f"{CHANNEL}.{channel}.requests",
        key="as orders.commands; stock: channel|location",
        cleanup=Cleanup.DELETE,
        retention_ms=7 * DAY_MS,
        writers=("delivery",),
        readers=("the channel",),
        why="Requests of Sluice to a channel whose far side is `kafka`: one record for each attempt",
        personal_data=True,
    )


def answer_topic(channel: str) -> Topic:
    return Topic(
        name=f"{CHANNEL}.{channel}.answers",
        key="chosen by the channel",
        cleanup=Cleanup.DELETE,
        retention_ms=DAY_MS,
        writers=("the channel",),
        readers=("delivery",),
        why="Answers of the channel, with the correlation id of the request",
        personal_data=True,
    )
