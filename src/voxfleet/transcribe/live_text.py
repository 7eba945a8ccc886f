"""Marks and digits for a text that is still being recognised: finished sentences out, one by one.

Together the answers are the whole text, each with the space that parts it from the one before. A
text that cannot be had goes out as it was recognised, and a warning says so.
"""

from __future__ import annotations

from collections.abc import Sequence

from voxfleet.engines.text_catalog import CT_PUNC, ITN
from voxfleet.errors import VoxfleetError
from voxfleet.pool_contract import TextProcessor
from voxfleet.transcribe.punctuation_stream import PunctuationStream
from voxfleet.transcribe.stitch import join_texts, wants_space
from voxfleet.transcribe.text_notes import failure_notes, has_grammar, unread_notes


class LiveText:
    """`texts` may be None only where neither marks nor digits are wanted."""

    def __init__(self, texts: TextProcessor | None, *, marks: bool, digits: bool) -> None:
        self._texts = texts
        self._marks = PunctuationStream(self._punctuated) if marks else None
        self._digits = digits
        self._language: str | None = None
        #: what was given out last, which decides about the next border
        self._last = ""
        self._asked = {CT_PUNC: 0, ITN: 0}
        self._faults: dict[str, list[VoxfleetError]] = {CT_PUNC: [], ITN: []}
        self._unread: set[str] = set()

    @property
    def kept(self) -> str:
        """What was said and not given out yet."""
        return self._marks.kept if self._marks else ""

    @property
    def warnings(self) -> tuple[str, ...]:
        return (
            *failure_notes("punctuation", self._faults[CT_PUNC], self._asked[CT_PUNC]),
            *failure_notes("itn", self._faults[ITN], self._asked[ITN]),
            *unread_notes(self._unread),
        )

    async def feed(self, texts: Sequence[str], language: str | None) -> str:
        """What can be given out now that these were said; often nothing."""
        self._language = language
        if self._marks is None:
            return await self._given_out(texts)
        try:
            finished = await self._marks.feed(join_texts(texts))
        except VoxfleetError as fault:
            finished = self._unmarked(self._marks, fault)
        return await self._given_out([finished])

    async def finish(self) -> str:
        """All the rest."""
        if self._marks is None:
            return ""
        try:
            rest = await self._marks.finish()
        except VoxfleetError as fault:
            rest = self._unmarked(self._marks, fault)
        return await self._given_out([rest])

    def _unmarked(self, marks: PunctuationStream, fault: VoxfleetError) -> str:
        self._faults[CT_PUNC].append(fault)
        return marks.release()

    async def _punctuated(self, text: str) -> str:
        (answer,) = await self._answers(CT_PUNC, [text])
        if isinstance(answer, VoxfleetError):
            raise answer
        return answer

    async def _given_out(self, texts: Sequence[str]) -> str:
        said = [text for text in (text.strip() for text in texts) if text]
        if self._digits and said:
            said = await self._with_digits(said)
        return "".join(map(self._bordered, said))

    async def _with_digits(self, texts: list[str]) -> list[str]:
        if not has_grammar(self._language):
            self._unread.add(str(self._language))
            return texts
        answers = await self._answers(ITN, texts)
        self._faults[ITN] += [answer for answer in answers if isinstance(answer, VoxfleetError)]
        return [
            text if isinstance(answer, VoxfleetError) else answer.strip() or text
            for text, answer in zip(texts, answers, strict=True)
        ]

    async def _answers(self, engine: str, texts: Sequence[str]) -> list[str | VoxfleetError]:
        if self._texts is None:
            raise RuntimeError(f"{engine} was asked for where there are no text engines")
        self._asked[engine] += len(texts)
        return await self._texts.process(engine, texts)

    def _bordered(self, text: str) -> str:
        space = " " if self._last and wants_space(self._last, text) else ""
        self._last = text
        return space + text
