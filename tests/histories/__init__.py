"""Deliveries through a misbehaving receiver, with workers killed and partitions moved: `make torture`.

What counts is the score that `sluice torture` gives to the receiver's log, and nothing that Sluice says of itself.
"""
