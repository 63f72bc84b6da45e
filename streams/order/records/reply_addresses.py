"""Addresses of replies: a gateway's partition of `replies`, or a reply topic of the caller's channel."""

from __future__ import annotations

from streams.runtime.role import Poison
from topics.configuration.channels import Channels
from topics.configuration.settings import Settings
from topics.kafka.catalogue import BY_NAME
from topics.kafka.channel_topics import REPLIES, reply_topics
from topics.records.envelope import Envelope
from topics.records.verdicts import Address


class ReplyAddresses:
    """Checks that an address exists: a reply to another one would end the process, again after each restart."""

    def __init__(self, settings: Settings, channels: Channels) -> None:
        self._partitions = BY_NAME["replies"].partitions or settings.partitions
        self._topics = {
            name: {topic.full_name(settings.topic_prefix): topic.name for topic in reply_topics(channel)}
            for name, channel in channels.channels.items()
        }
        self._expected = f"{settings.topic_prefix}.{REPLIES}.NAME.v1"

    @property
    def topics(self) -> tuple[str, ...]:
        """Every reply topic, by its name in the catalogue's form."""
        return tuple(sorted({name for topics in self._topics.values() for name in topics.values()}))

    def address_of(self, envelope: Envelope) -> Address | None:
        """The address that an envelope names, None without one. Raises Poison when it does not exist."""
        if envelope.reply_topic:
            name = self._topics.get(envelope.channel, {}).get(envelope.reply_topic)
            if name is None:
                raise Poison(
                    "BAD_ENVELOPE",
                    f"header sluice-reply-topic: {envelope.reply_topic[:200]} is no reply topic of channel "
                    f"{envelope.channel}; expected {self._expected}, where reply_topics of the channel has NAME",
                )
            return name
        partition = envelope.reply_partition
        if partition is not None and not 0 <= partition < self._partitions:
            raise Poison("BAD_ENVELOPE", f"header sluice-reply-partition: {partition} is none of {self._partitions}")
        return partition
