"""Tests of the journal without Kafka."""
