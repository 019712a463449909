"""A store that breaks a promise of a capability is caught, each by its own sentence."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from subscription_lifecycle import Entry, MemoryStore
from subscription_lifecycle.ports import Parked, Store, Write
from subscription_lifecycle.testing.conformance import check_store

EVERYTHING = 1_000_000


class LeasesWhatIsNotDue(MemoryStore):
    def lease(self, until: datetime, limit: int, expires: datetime, /) -> Sequence[str]:
        return super().lease(until + timedelta(days=36_500), limit, expires)


class LeasesWithoutLimit(MemoryStore):
    def lease(self, until: datetime, limit: int, expires: datetime, /) -> Sequence[str]:
        return super().lease(until, EVERYTHING, expires)


class LeasesById(MemoryStore):
    def lease(self, until: datetime, limit: int, expires: datetime, /) -> Sequence[str]:
        return sorted(super().lease(until, limit, expires))[::-1]


class LeasesNothing(MemoryStore):
    def lease(self, until: datetime, limit: int, expires: datetime, /) -> Sequence[str]:
        return self.due(until, limit)


class LimitsBeforeItPassesOver(MemoryStore):
    def lease(self, until: datetime, limit: int, expires: datetime, /) -> Sequence[str]:
        first = self.due(until, 2)
        return [id for id in super().lease(until, limit, expires) if limit == 2 or id in first]


class HidesWhatIsLeased(MemoryStore):
    def due(self, until: datetime, limit: int, /) -> Sequence[str]:
        return [id for id in super().due(until, limit) if self._leases.get(id, until) <= until]


class LeasesForEver(MemoryStore):
    def lease(self, until: datetime, limit: int, expires: datetime, /) -> Sequence[str]:
        return super().lease(until, limit, expires.replace(year=9000))


class LeasesEndEarly(MemoryStore):
    def lease(self, until: datetime, limit: int, expires: datetime, /) -> Sequence[str]:
        return super().lease(until, limit, expires - timedelta(seconds=1))


class LeasesEndAMomentEarly(MemoryStore):
    def lease(self, until: datetime, limit: int, expires: datetime, /) -> Sequence[str]:
        return super().lease(until, limit, expires - timedelta(microseconds=1))


class AWriteEndsTheLease(MemoryStore):
    def write(self, write: Write, /) -> None:
        super().write(write)
        self._leases.pop(write.subscription.id, None)


class LooksBeforeItLeases(MemoryStore):
    """No transaction: several look before any of them leases."""

    def __init__(self) -> None:
        super().__init__()
        self._all = threading.Barrier(3, timeout=0.5)

    def lease(self, until: datetime, limit: int, expires: datetime, /) -> Sequence[str]:
        if limit != 1:
            return super().lease(until, limit, expires)
        free = [id for id in self.due(until, EVERYTHING) if self._leases.get(id, until) <= until][:limit]
        try:
            self._all.wait()
        except threading.BrokenBarrierError:
            pass
        self._leases |= dict.fromkeys(free, expires)
        return free


class LosesWhatItLeases(MemoryStore):
    def lease(self, until: datetime, limit: int, expires: datetime, /) -> Sequence[str]:
        leased = super().lease(until, limit + 1 if limit == 1 else limit, expires)
        return leased[:limit]


class SweepersAreInTheWay(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self._busy = threading.Lock()

    def lease(self, until: datetime, limit: int, expires: datetime, /) -> Sequence[str]:
        if limit == 1 and threading.current_thread() is not threading.main_thread():
            raise TimeoutError("the database is locked")
        return super().lease(until, limit, expires)


class ListsLateOnes(MemoryStore):
    def payers(self, since: datetime, /) -> Sequence[str]:
        return super().payers(since + timedelta(microseconds=1))


class ListsEverybody(MemoryStore):
    def payers(self, since: datetime, /) -> Sequence[str]:
        return sorted(self._records) if super().payers(since) else ()


class ListsByWhatCameFirst(MemoryStore):
    def payers(self, since: datetime, /) -> Sequence[str]:
        return [id for id in self._records if id in super(ListsByWhatCameFirst, self).payers(since)]


class ListsForEver(MemoryStore):
    def payers(self, since: datetime, /) -> Sequence[str]:
        return super().payers(datetime(1, 1, 1, tzinfo=UTC))


PAYERS = "payers answers ids with an entry about a payment written since then, by id, each once."


class CountsNoFailures(MemoryStore):
    def failed(self, entry: Entry, error: str, /) -> int:
        super().failed(entry, error)
        return 1


class CountsBySubscription(MemoryStore):
    def failed(self, entry: Entry, error: str, /) -> int:
        super().failed(entry, error)
        return sum(count for count, _ in self._failures.values())


class AFailureIsTheEnd(MemoryStore):
    def failed(self, entry: Entry, error: str, /) -> int:
        self._undelivered.pop(entry.id, None)
        return super().failed(entry, error)


class ParksAtOnce(MemoryStore):
    def parked(self) -> Sequence[Parked]:
        return [
            Parked("entry", *id.rsplit("/", 1)[:1], int(id.rsplit("/", 1)[1]), error)  # type: ignore[call-arg]
            for id, (_, error) in self._failures.items()
        ]


class OffersWhatIsParked(MemoryStore):
    def undelivered(self, limit: int, /) -> Sequence[Entry]:
        return (*self._parked.values(), *super().undelivered(limit))


class ParksTheWholeSubscription(MemoryStore):
    def park(self, entry: Entry, /) -> None:
        for other in [one for one in self._undelivered.values() if one.subscription == entry.subscription]:
            super().park(other)


class ForgetsTheError(MemoryStore):
    def park(self, entry: Entry, /) -> None:
        super().park(entry)
        self._failures.pop(entry.id, None)


class KeepsTheFirstError(MemoryStore):
    def failed(self, entry: Entry, error: str, /) -> int:
        return super().failed(entry, self._failures.get(entry.id, (0, error))[1])


class ARepeatUnparks(MemoryStore):
    def write(self, write: Write, /) -> None:
        super().write(write)
        for entry in write.entries:
            self.unpark(entry.subscription, entry.version)


class ParkedIsForgotten(MemoryStore):
    def history(self, id: str, /) -> Sequence[Entry]:
        return [entry for entry in super().history(id) if entry.id not in self._parked]


class UnparksEverything(MemoryStore):
    def unpark(self, subscription: str, version: int, /) -> None:
        for entry in list(self._parked.values()):
            super().unpark(entry.subscription, entry.version)


class UnparkForgetsAnyFailures(MemoryStore):
    def unpark(self, subscription: str, version: int, /) -> None:
        super().unpark(subscription, version)
        self._failures.pop(f"{subscription}/{version}", None)


class UnparkedStaysListed(MemoryStore):
    def unpark(self, subscription: str, version: int, /) -> None:
        before = dict(self._parked)
        super().unpark(subscription, version)
        self._parked = before


class UnparkDelivers(MemoryStore):
    def unpark(self, subscription: str, version: int, /) -> None:
        super().unpark(subscription, version)
        self._undelivered.pop(f"{subscription}/{version}", None)


class UnparksToTheEnd(MemoryStore):
    def unpark(self, subscription: str, version: int, /) -> None:
        super().unpark(subscription, version)
        if entry := self._undelivered.pop(f"{subscription}/{version}", None):
            self._undelivered[entry.id] = entry


class UnparksToTheFront(MemoryStore):
    def unpark(self, subscription: str, version: int, /) -> None:
        super().unpark(subscription, version)
        if entry := self._undelivered.pop(f"{subscription}/{version}", None):
            self._undelivered = {entry.id: entry, **self._undelivered}


class UnparkRemembersFailures(MemoryStore):
    def unpark(self, subscription: str, version: int, /) -> None:
        before = dict(self._failures)
        super().unpark(subscription, version)
        self._failures = before


class ParksWhatWasDelivered(MemoryStore):
    def park(self, entry: Entry, /) -> None:
        self._undelivered.pop(entry.id, None)
        self._parked[entry.id] = entry


class ParkedInTheOrderOfParking(MemoryStore):
    def parked(self) -> Sequence[Parked]:
        found = {(parked.subscription, parked.version): parked for parked in super().parked()}
        return [found[entry.subscription, entry.version] for entry in self._parked.values()]


class RemembersNothing(MemoryStore):
    def remember(self, reference: str, gateway_id: str, /) -> str:
        return gateway_id


class TheLastNameStays(MemoryStore):
    def remember(self, reference: str, gateway_id: str, /) -> str:
        self._names[reference] = gateway_id
        return gateway_id


class AnswersTheNameItWasGiven(MemoryStore):
    def remember(self, reference: str, gateway_id: str, /) -> str:
        super().remember(reference, gateway_id)
        return gateway_id


class OneReferenceForAName(MemoryStore):
    def remember(self, reference: str, gateway_id: str, /) -> str:
        if gateway_id in self._names.values() and self._names.get(reference) is None:
            return "taken"
        return super().remember(reference, gateway_id)


class KnowsAnyName(MemoryStore):
    def recall(self, reference: str, /) -> str | None:
        return super().recall(reference) or next(iter(self._names.values()), None)


class AWriteEndsTheName(MemoryStore):
    def write(self, write: Write, /) -> None:
        super().write(write)
        self._names.clear()


class LooksBeforeItRemembers(MemoryStore):
    def __init__(self) -> None:
        super().__init__()
        self._both = threading.Barrier(2, timeout=0.5)

    def remember(self, reference: str, gateway_id: str, /) -> str:
        if gateway_id not in ("one", "another"):
            return super().remember(reference, gateway_id)
        known = self.recall(reference)
        self._both.wait()
        if known is None:
            self._names[reference] = gateway_id
        return known or gateway_id


BROKEN: dict[Callable[[], Store], str] = {
    LeasesWhatIsNotDue: "lease answers nothing that is not due.",
    LeasesWithoutLimit: "lease answers what is due, the earliest first, and no more than the limit.",
    LeasesById: "lease answers what is due, the earliest first, and no more than the limit.",
    LeasesNothing: "lease passes over what another lease holds, and the limit counts what is free.",
    LimitsBeforeItPassesOver: "lease passes over what another lease holds, and the limit counts what is free.",
    HidesWhatIsLeased: "due does not mind leases.",
    LeasesForEver: "A lease ends at its own instant, by itself.",
    LeasesEndEarly: "A lease holds until the microsecond before it ends.",
    LeasesEndAMomentEarly: "A lease holds until the microsecond before it ends.",
    AWriteEndsTheLease: "A write leaves a lease alone.",
    LooksBeforeItLeases: "Two who ask at once never get the same id.",
    LosesWhatItLeases: "What is due is leased by somebody.",
    SweepersAreInTheWay: "Sweepers that ask at once are not in each other's way: [TimeoutError",
    ListsLateOnes: PAYERS,
    ListsEverybody: PAYERS,
    ListsByWhatCameFirst: PAYERS,
    ListsForEver: "payers answers nothing where no payment was written of since then.",
    CountsNoFailures: "failed answers how often the delivery of this entry failed.",
    CountsBySubscription: "failed counts each entry by itself.",
    AFailureIsTheEnd: "What failed and is not parked is still offered.",
    ParksAtOnce: "What failed is not parked by itself.",
    OffersWhatIsParked: "undelivered does not offer what is parked, and offers the rest.",
    ParksTheWholeSubscription: "undelivered does not offer what is parked, and offers the rest.",
    ForgetsTheError: "parked lists the entry with its last error; parking twice does nothing.",
    KeepsTheFirstError: "parked lists the entry with its last error; parking twice does nothing.",
    ARepeatUnparks: "A repeated write does not offer again what is parked.",
    ParkedIsForgotten: "What is parked stays in the history.",
    UnparksEverything: "unpark leaves alone what is not parked, and the rest.",
    UnparkForgetsAnyFailures: "unpark leaves alone what is not parked, and the rest.",
    UnparkedStaysListed: "unpark takes it off the list.",
    UnparkDelivers: "unpark offers the entry again, once.",
    UnparksToTheEnd: "What is unparked comes before what is newer of its subscription.",
    UnparksToTheFront: "What is unparked comes before what is newer of its subscription.",
    UnparkRemembersFailures: "unpark forgets the failures.",
    ParksWhatWasDelivered: "What was delivered is not parked.",
    ParkedInTheOrderOfParking: "parked is by subscription and version.",
    RemembersNothing: "recall answers the name that was given.",
    TheLastNameStays: "The first name given to a reference stays.",
    AnswersTheNameItWasGiven: "The first name given to a reference stays.",
    OneReferenceForAName: "Each reference has its own name.",
    KnowsAnyName: "Each reference has its own name.",
    AWriteEndsTheName: "A name is kept, whatever is written.",
    LooksBeforeItRemembers: "Two who name a payment at once are both told the name that stays.",
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_a_broken_store_is_caught(broken: Callable[[], Store]) -> None:
    with pytest.raises(AssertionError) as caught:
        check_store(broken)
    assert str(caught.value).startswith(BROKEN[broken])
