"""Limiters: one module for each shape in which targets document what they accept. Pure.

The far side counts a request when it arrives, at some moment between our send and our end (answer, error or time-out).
So each shape counts a unit from before its send until after its end, and by its own rule from then on; the proof is in
each module. `pool.py` is what they share, `limits.py` holds several at once.
"""
