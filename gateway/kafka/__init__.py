"""The gateway's writers to Kafka and readers from it."""

CLIENT_ID = "sluice-gateway"
"""By which brokers know any client of a gateway, in their logs and quotas."""
