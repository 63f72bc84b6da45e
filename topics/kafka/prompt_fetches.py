"""aiokafka's choice of the next fetches, changed where it lets a consumer wait although records are there.

aiokafka has one fetch under way to a node, and remembers the nodes in a set. A node leaves the set by a callback of the
fetch's task, one turn of the event loop after the task has ended. If something else woke the fetcher in that turn, for
example a reader that took its records, the fetcher finds the node still in the set. It then sends no fetch, although
none is under way, and looks again 0.2 s later by itself. With a busy partition among idle ones this happened several
times a second, and one record in ten came 0.2 s late.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any
from weakref import WeakKeyDictionary


def fetch_from_idle_nodes(fetcher: Any) -> None:
    """From now on, counts a node as busy while a task waits for its answer, and no longer."""
    choose = fetcher._get_actions_per_node
    asked: WeakKeyDictionary[Coroutine[Any, Any, Any], int] = WeakKeyDictionary()

    def noting(ask: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
        def noted(assignment: Any, node: int, what: Any) -> Coroutine[Any, Any, Any]:
            asking = ask(assignment, node, what)
            asked[asking] = node
            return asking

        return noted

    def chosen(assignment: Any) -> Any:
        asking = [task.get_coro() for task in fetcher._pending_tasks if not task.done()]
        if all(each in asked for each in asking):  # else a fetch began before this: as aiokafka does until it ends
            fetcher._in_flight = {asked[each] for each in asking}
        return choose(assignment)

    fetcher._proc_fetch_request = noting(fetcher._proc_fetch_request)
    fetcher._update_fetch_positions = noting(fetcher._update_fetch_positions)
    fetcher._get_actions_per_node = chosen
