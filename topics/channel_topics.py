"""The topics that channels add to the catalogue's."""

from __future__ import annotations

from topics.catalogue import DAY_MS, TOPICS, Cleanup, Topic
from topics.configuration import Channel, Channels

REPLIES = "replies"


def topics_of(channels: Channels | None) -> tuple[Topic, ...]:
    """Every topic that a Sluice with these channels has (None: with any); one that two channels share counts once."""
    found = {topic.name: topic for topic in TOPICS}
    for channel in channels.channels.values() if channels is not None else ():
        found.update({topic.name: topic for topic in reply_topics(channel)})
    return tuple(found.values())


def reply_topics(channel: Channel) -> tuple[Topic, ...]:
    """Where the channel's direct producers have their verdicts sent."""
    return tuple(
        Topic(
            name=f"{REPLIES}.{name}",
            key="event id",
            cleanup=Cleanup.DELETE,
            retention_ms=DAY_MS,
            writers=("orders",),
            readers=("direct producers",),
            why="Verdicts and answers to a direct producer that named this topic in `sluice-reply-topic`",
            personal_data=True,
        )
        for name in sorted(channel.reply_topics)
    )
