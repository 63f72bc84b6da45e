"""CPU in the benchmarks: that of each part, of processes that have ended, too, divided by the units of work."""

from __future__ import annotations

import subprocess
import sys

import pytest

from bench.processes import ROOT, CpuTimes, VoidRunError, cpu_each, cpu_median, cpu_text, module_result

BURN = "import time\nwhile time.process_time() < 0.1: pass\nprint('{}', flush=True)\n"


def burning(then: str = "") -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", BURN + then], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_what_a_process_used_counts_when_it_has_ended() -> None:
    times = CpuTimes()
    first, second = burning("input()"), burning("input()")
    for process in (first, second):
        times.add("role", process.pid)
        assert process.stdout is not None
        process.stdout.readline()
    assert times.now()["role"] >= 0.15
    times.end(first.pid)
    for process in (first, second):
        process.kill()
        process.communicate()
    assert times.now()["role"] >= 0.15, "the one was told to end, the other was killed"


def test_a_module_is_counted_to_its_end_and_a_fault_of_it_is_told() -> None:
    assert module_result(burning()) == {}
    with pytest.raises(VoidRunError, match="no such"):
        module_result(burning("raise SystemExit('no such')"))


def test_each_part_is_divided_by_the_units_and_one_that_did_nothing_is_left_out() -> None:
    before, after = {"broker": 1.0, "gateway": 2.0}, {"broker": 1.5, "gateway": 2.0, "load": 0.25}
    found = cpu_each("post", 1_000, before, after)
    assert found == {"unit": "post", "us": {"broker": 500.0, "load": 250.0}}
    assert cpu_text(found, "at capacity") == "CPU us for each post (at capacity): broker 500.0, load 250.0"
    other = cpu_each("post", 500, before, after)
    assert cpu_median([found, other, other])["us"] == {"broker": 1_000.0, "load": 500.0}
    assert cpu_each("post", 0, before, after)["us"] == {}


def test_every_benchmark_reports_it_and_the_page_says_for_which_unit() -> None:
    page = (ROOT / "docs" / "benches.md").read_text(encoding="utf-8")
    for folder in sorted(path.parent for path in (ROOT / "bench").glob("*/benchmark.py")):
        source = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
        assert '"cpu":' in source, folder
        assert "cpu_text(" in source, folder
        assert f"| `{folder.name}` |" in page, folder
