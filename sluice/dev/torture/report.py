"""Renders a score as text, and as JSON."""

from __future__ import annotations

from typing import Any

from sluice.dev.torture.score import FAULTS, Score


def render(score: Score) -> str:
    reached = f"{score.deliveries:,} deliveries in {score.lanes:,} lanes, {score.acknowledged:,} acknowledged"
    lines = [f"{score.requests:,} requests: {reached}, {score.repeats:,} repeats after that"]
    if score.met:
        met = ", ".join(f"{name} {count:,}" for name, count in score.met.most_common())
        lines.append(f"faults it met: {sum(score.met.values()):,} ({met})")
    lines += [f"fullest window of {name}: {count:,}" for name, count in score.fullest.items()]
    for name in FAULTS:
        count = "not checked" if name in score.unchecked else f"{score.faults[name]:,}"
        lines.append(f"  {name:<18}{count:>12}")
        lines += [f"      {example}" for example in score.examples.get(name, ())]
    return "\n".join(lines)


def as_json(score: Score) -> dict[str, Any]:
    return {
        "requests": score.requests,
        "deliveries": score.deliveries,
        "lanes": score.lanes,
        "acknowledged": score.acknowledged,
        "repeats": score.repeats,
        "met": dict(score.met),
        "fullest": score.fullest,
        "faults": {name: None if name in score.unchecked else score.faults[name] for name in FAULTS},
        "examples": score.examples,
    }
