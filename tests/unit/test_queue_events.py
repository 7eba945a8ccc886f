"""Any order of events: no segment is lost or doubled, and each batch keeps the rules."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.unit.made_tickets import names, ticket
from voxfleet.core import WorkClass, padded_duration_s
from voxfleet.errors import WorkerLostError
from voxfleet.scheduling.queue import SegmentQueue
from voxfleet.scheduling.retries import MAX_LOSSES, Ticket, after_loss

RATIO = 2.0


class Events(RuleBasedStateMachine):
    """The queue beside plain lists of what waits, what travels and what has ended."""

    def __init__(self) -> None:
        super().__init__()
        self.queue = SegmentQueue(RATIO)
        #: in the order of arrival
        self.lines: dict[str, Ticket] = {}
        self.groups: list[list[Ticket]] = []
        self.travelling: list[list[Ticket]] = []
        self.ended: list[str] = []
        self.added = 0
        self.now_s = 0.0

    @rule(
        tenths=st.integers(1, 300),
        work_class=st.sampled_from(WorkClass),
        client=st.sampled_from("abc"),
        patience_s=st.one_of(st.just(float("inf")), st.integers(1, 20)),
    )
    def add(self, tenths: int, work_class: WorkClass, client: str, patience_s: float) -> None:
        name = str(self.added)
        self.added += 1
        new = ticket(name, tenths / 10, work_class, client, self.now_s + patience_s)
        self.lines[name] = new
        self.queue.add(new)

    @precondition(lambda self: self.added)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        name = str(data.draw(st.integers(0, self.added - 1)))
        self.queue.cancel(name)
        if name in names(self.waiting()):
            self._end([name])

    @rule(budget_s=st.floats(0.1, 200))
    def take(self, budget_s: float) -> None:
        head = self.queue.head()
        batch = self.queue.take(budget_s)
        assert (batch[0] if batch else None) is head
        if self.groups:
            assert batch == self.groups.pop(0)
        elif batch:
            self._check(batch, budget_s)
            for each in batch:
                assert self.lines.pop(each.segment.id) is each
        else:
            assert not self.lines
        if batch:
            self.travelling.append(batch)

    @precondition(lambda self: self.travelling)
    @rule(data=st.data())
    def answer(self, data: st.DataObject) -> None:
        batch = self.travelling.pop(data.draw(st.integers(0, len(self.travelling) - 1)))
        self.ended += names(batch)

    @precondition(lambda self: self.travelling)
    @rule(data=st.data(), blames_work=st.booleans())
    def lose(self, data: st.DataObject, blames_work: bool) -> None:
        batch = self.travelling.pop(data.draw(st.integers(0, len(self.travelling) - 1)))
        after = after_loss(batch, "w", WorkerLostError("worker w died", blames_work=blames_work))
        self.queue.put_back(after.again)
        self.groups += [list(group) for group in after.again]
        self.ended += [each.segment.id for each, _ in after.failed]
        assert all(each.losses < MAX_LOSSES for group in after.again for each in group)

    @rule(passed_s=st.integers(0, 10))
    def expire(self, passed_s: int) -> None:
        self.now_s += passed_s
        late = [each for each in self.waiting() if each.deadline_s <= self.now_s]
        expired = self.queue.expire(self.now_s)
        assert sorted(names(expired)) == sorted(names(late))
        self._end(names(expired))

    @invariant()
    def counts_agree(self) -> None:
        waiting = list(self.waiting())
        assert len(self.queue) == len(waiting)
        samples = sum(each.segment.sample_count for each in waiting)
        assert self.queue.waiting_s == samples / 16_000
        for work_class in WorkClass:
            of_class = sum(each.work_class is work_class for each in waiting)
            assert self.queue.waiting_of(work_class) == of_class

    @invariant()
    def every_place_is_in_the_line(self) -> None:
        head = self.queue.head()
        for each in self.waiting():
            place = self.queue.place(each.segment.id)
            assert place is not None
            assert 0 <= place < len(self.queue)
            assert head is not each or place == 0

    @invariant()
    def nobody_is_lost_or_doubled(self) -> None:
        travelling = [name for batch in self.travelling for name in names(batch)]
        everybody = [*names(self.waiting()), *travelling, *self.ended]
        assert sorted(everybody) == sorted(str(number) for number in range(self.added))

    def teardown(self) -> None:
        assert sorted(names(self.queue.take_all())) == sorted(names(self.waiting()))
        assert len(self.queue) == 0
        assert self.queue.take(1000) == []

    def waiting(self) -> Iterable[Ticket]:
        for group in self.groups:
            yield from group
        yield from self.lines.values()

    def _end(self, gone: list[str]) -> None:
        for name in gone:
            self.lines.pop(name, None)
        self.groups = [
            kept
            for group in self.groups
            if (kept := [each for each in group if each.segment.id not in gone])
        ]
        self.ended += gone

    def _check(self, batch: list[Ticket], budget_s: float) -> None:
        """One class, the first that waits or batch work; length, budget and deadlines."""
        head = batch[0]
        first = next(each for each in WorkClass if each in {t.work_class for t in self.waiting()})
        assert head.work_class in (first, WorkClass.BATCH)
        assert {each.work_class for each in batch} == {head.work_class}
        padded_s = padded_duration_s([each.segment for each in batch])
        assert len(batch) == 1 or padded_s <= budget_s
        head_s = head.segment.duration_s
        for each in batch:
            assert head_s / RATIO <= each.segment.duration_s <= head_s * RATIO
        rivals = [
            each
            for each in self.lines.values()
            if (each.work_class, each.client) == (head.work_class, head.client)
        ]
        assert head is min(rivals, key=lambda each: each.deadline_s)


TestEvents = Events.TestCase
TestEvents.settings = settings(max_examples=60, stateful_step_count=50, deadline=None)
