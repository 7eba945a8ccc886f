"""When a start that failed leaves hope, and when it does not."""

from voxfleet.media.media_starts import Starts


def test_one_place_that_fails_again_and_again_does_not_speak_for_the_others() -> None:
    starts = Starts(2)
    verdicts = []
    for slot in (0, 0, 0, 0, 1):
        starts.fail(slot, "no memory")
        verdicts.append(starts.all_failed)
    assert verdicts == [False, False, False, False, True]


def test_three_failures_in_a_row_are_hopeless_until_one_succeeds() -> None:
    starts = Starts(1)
    verdicts = []
    for reason in "abc":
        starts.fail(0, reason)
        verdicts.append((starts.hopeless, starts.reason))
    starts.succeed()
    verdicts.append((starts.hopeless or starts.all_failed, starts.reason))
    failed = [(last == "c", f"decoding cannot start: {last}") for last in "abc"]
    assert verdicts == [*failed, (False, "")]
