"""Shares of a limit among channels, whatever they do: bounded, fair, nothing left unused, and nothing lost."""

from __future__ import annotations

from math import inf

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.admission.calls import API_CALLS_MAX, CLAIMED, IN_HAND, WAITING, Calls, Ticket
from gateway.admission.limiter import Limiter
from gateway.admission.shares import fair_level
from gateway.ports import Overloaded

CHANNELS = ("a", "b", "c", "d", "e")
LIMIT = 12
RELAYS = 4


class CallsMachine(RuleBasedStateMachine):
    """Connections of five channels and a stranger; each has one call at a time, which may end at any stage."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = Calls(CHANNELS, Limiter(LIMIT, LIMIT, 1.0), relays_max=RELAYS)
        self.free: list[tuple[str, Ticket]] = []
        self.going: list[tuple[str, Ticket]] = []
        self.now = 0.0
        self.refusals = 0

    @rule(name=st.sampled_from((*CHANNELS, "stranger")), again=st.booleans())
    def comes(self, name: str, again: bool) -> None:
        """A call comes in, on a connection that this channel has used, or on a new one."""
        of_its_own = [one for one in self.free if one[0] == name]
        ticket = of_its_own[0][1] if again and of_its_own else Ticket(self.calls)
        if again and of_its_own:
            self.free.remove(of_its_own[0])
        claimed = self.calls.claimed(name)
        proven = ticket.proven is claimed
        held, holds = self.calls.shares.held, claimed.held + (0 if proven else claimed.claims)
        within = holds < max(1, LIMIT // self.active(claimed))
        alone = held == claimed.held and not self.calls.shares.contended
        refused = self.calls.is_refused(ticket, claimed)
        if within or (alone and held < LIMIT):
            assert not refused
        if refused:
            self.refusals += 1
            assert self.calls.shares.held == held, "a refusal takes no place"
            self.free.append((name, ticket))
        else:
            self.going.append((name, ticket))

    def active(self, claimed: object) -> int:
        return len({id(party) for party in self.calls.shares.active} | {id(claimed)})

    @precondition(lambda self: self.going)
    @rule(data=st.data(), relay=st.booleans())
    def is_authenticated(self, data: st.DataObject, relay: bool) -> None:
        name, ticket = data.draw(st.sampled_from(self.going))
        if name == "stranger" or ticket.stage == WAITING or ticket._relay:
            return
        try:
            ticket.enter(name, relay=relay)
        except Overloaded:
            assert relay

    @precondition(lambda self: self.going)
    @rule(data=st.data())
    def is_acknowledged(self, data: st.DataObject) -> None:
        _name, ticket = data.draw(st.sampled_from(self.going))
        ticket.acknowledged(0.01)

    @precondition(lambda self: self.going)
    @rule(data=st.data(), times=st.integers(1, 3))
    def ends(self, data: st.DataObject, times: int) -> None:
        """Answered, cancelled or cut off: the handler and the connection both say so, in any number."""
        at = data.draw(st.integers(0, len(self.going) - 1))
        name, ticket = self.going.pop(at)
        for _ in range(times):
            ticket.leave()
        self.free.append((name, ticket))

    @rule(seconds=st.floats(0.05, 2.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.calls.adjust(self.now, seconds)

    @invariant()
    def counts_are_those_of_the_tickets(self) -> None:
        stages = [ticket.stage for _name, ticket in self.going]
        assert self.calls.shares.held == sum(stage in (IN_HAND, CLAIMED) for stage in stages)
        assert self.calls.relays.held == sum(ticket._relay for _name, ticket in self.going)
        for party in (*map(self.calls.party, CHANNELS), self.calls.others):
            assert party.held >= 0
            assert party.claims >= 0

    @invariant()
    def the_sum_is_bounded(self) -> None:
        harmonic = sum(1 / number for number in range(1, len(CHANNELS) + 2))
        claims = sum(party.claims for party in (*map(self.calls.party, CHANNELS), self.calls.others))
        assert self.calls.shares.held <= LIMIT * harmonic + len(CHANNELS) + claims


CallsMachine.TestCase.settings = settings(max_examples=40, stateful_step_count=50, deadline=None)
TestCalls = CallsMachine.TestCase


@given(
    limit=st.integers(1, 500), demands=st.lists(st.one_of(st.integers(0, 200).map(float), st.just(inf)), max_size=20)
)
def test_the_level_is_max_min_fair(limit: int, demands: list[float]) -> None:
    level = fair_level(limit, demands)
    given_out = sum(min(demand, level) for demand in demands)
    assert given_out <= limit + 1e-6
    if sum(demands) >= limit:
        assert given_out >= limit - 1e-6, "nothing is left over while somebody wants it"
    assert level >= limit / max(1, len(demands)) - 1e-9, "nobody has less than an equal share"


def flood(calls: Calls, channel: str, count: int) -> list[Ticket]:
    """Calls of one channel at once; those that were let in."""
    tickets = [Ticket(calls) for _ in range(count)]
    taken = [ticket for ticket in tickets if not calls.is_refused(ticket, calls.party(channel))]
    for ticket in taken:
        ticket.enter(channel)
    return taken


def test_a_stall_is_no_overload_for_a_channel_whose_rate_is_within_its_share() -> None:
    """Two channels, one with ten times what can be served (40 a window), one with a tenth; then nothing is answered."""
    calls = Calls(CHANNELS, Limiter(20, 2_000, 0.001))
    calls.limiter.limit = 20
    now, going, refused = 0.0, list[Ticket](), 0
    for window in range(140):
        stalled = 100 <= window < 109
        going += flood(calls, "a", 400)
        few = flood(calls, "b", 4)
        refused += 4 - len(few)
        going += few
        if not stalled:
            for ticket in going:
                ticket.leave()
            going.clear()
        now += 0.1
        calls.adjust(now, 0.1)
        assert calls.party("a").held <= 20, "the stall gives the flood nothing"
    assert refused == 0


def test_names_that_strangers_claim_take_no_shares() -> None:
    """Strangers claim all idle names at once, more than there is room for; one channel works."""
    calls = Calls(CHANNELS, Limiter(LIMIT, LIMIT, 1.0))
    now, going = 0.0, list[Ticket]()
    for _window in range(20):
        claims = [Ticket(calls) for _ in range(40 * len(CHANNELS))]
        for number, ticket in enumerate(claims):
            calls.is_refused(ticket, calls.claimed(CHANNELS[1 + number % (len(CHANNELS) - 1)]))
        for ticket in claims:
            ticket.leave()
        going += flood(calls, "a", LIMIT)
        now += 0.1
        calls.adjust(now, 0.1)
        assert {party.name for party in calls.shares.active} <= {"a", "-"}
        assert calls.shares.share >= LIMIT // 2
        for ticket in going:
            ticket.leave()
        going.clear()


def test_an_idle_channel_has_room_among_claims_of_other_names() -> None:
    calls = Calls(CHANNELS, Limiter(LIMIT, LIMIT, 1.0))
    flood(calls, "a", 10 * LIMIT)
    for _ in range(10 * LIMIT):
        calls.is_refused(Ticket(calls), calls.others)
    assert len(flood(calls, "b", 2)) == 2


def test_api_has_places_of_its_own() -> None:
    calls = Calls(CHANNELS, Limiter(LIMIT, LIMIT, 1.0))
    while not calls.is_refused(Ticket(calls), calls.party("a")):
        pass
    tickets = [Ticket(calls) for _ in range(API_CALLS_MAX)]
    for ticket in tickets:
        ticket.enter_api()
    assert not calls.has_api_room()
    tickets[0].leave()
    assert calls.has_api_room()
