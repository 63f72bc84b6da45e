"""Limiters: one class for each shape in which targets document what they accept. Pure.

The far side counts a request when it arrives, at some moment between our send and our end (answer, error or time-out).
So each shape counts a unit from before its send until after its end, and by its own rule from then on. Each class has
its proof. `pool.py` is their common base, `limits.py` holds several limits at once.
"""
