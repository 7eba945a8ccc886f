"""The bytes of a live stream that another process may still need: not heard yet, or heard lately.

Pure: counts samples of the stream's own rate from its start, and knows where they lie at 16 kHz.
"""

from __future__ import annotations

from voxfleet.audio.live_rate import RateChange
from voxfleet.core import SAMPLE_RATE_HZ

#: what is sent at once, so that a stream far behind does not hold up the others
_MOST_SENT_S = 1.0
#: what speech detectors take at once: less is not worth a message
_CHUNK_SAMPLES = 512
#: sound before what may be cut: a detector that begins anew must come to hear as the last one did
_CONTEXT_S = 0.5


class Backlog:
    def __init__(self, change: RateChange, sample_bytes: int, keep_s: float) -> None:
        self._change = change
        self._width = sample_bytes
        self._keep = round(keep_s * SAMPLE_RATE_HZ)
        self._bytes = bytearray()
        self._kept_from = 0
        self._stretch_from = 0
        #: how far the process has been sent sound, and has heard it
        self.sent = 0
        self.heard = 0

    @property
    def fed(self) -> int:
        """Whole samples: half of one waits for its other half."""
        return self._kept_from + len(self._bytes) // self._width

    @property
    def unheard_s(self) -> float:
        return (self.fed - self.heard) / self._change.sample_rate_hz

    @property
    def worth_sending(self) -> bool:
        """With what was fed since, the process can hear more than with what it was sent."""
        return self._chunks(self.fed) > self._chunks(self.sent)

    def feed(self, sound: bytes) -> None:
        self._bytes += sound

    def drop_half(self) -> bool:
        """Of a sample whose other half does not follow; whether there was one."""
        whole = len(self._bytes) // self._width * self._width
        half = len(self._bytes) > whole
        del self._bytes[whole:]
        return half

    def take(self, until: int | None = None) -> bytes:
        """The next sound to send, no more than to the sample `until`."""
        end = min(
            self.fed if until is None else until,
            self.sent + round(_MOST_SENT_S * self._change.sample_rate_hz),
        )
        first, last = ((at - self._kept_from) * self._width for at in (self.sent, end))
        self.sent = end
        return bytes(self._bytes[first:last])

    def begin_stretch(self) -> None:
        """What follows what was sent is heard for itself."""
        self._stretch_from = self.sent

    def forget(self, position: int) -> None:
        """Nothing before will be needed: not of what was heard, and never what is older than may
        be kept."""
        change = self._change
        heard = change.position(self.heard)
        oldest = max(min(position, heard), heard - self._keep)
        keep_from = change.samples_before(oldest - round(_CONTEXT_S * SAMPLE_RATE_HZ))
        if keep_from > self._kept_from:
            del self._bytes[: (keep_from - self._kept_from) * self._width]
            self._kept_from = keep_from

    def rewind(self) -> int:
        """All that is kept is to be sent again; where it begins at 16 kHz."""
        self.sent = self.heard = self._stretch_from = self._kept_from
        return self._change.position(self._kept_from)

    def _chunks(self, samples: int) -> int:
        return self._change.made_of(samples - self._stretch_from) // _CHUNK_SAMPLES
