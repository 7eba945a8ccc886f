"""Asks the models which hotwords they have no tokens for, by way of a moment of silence.

Only a model knows, and only its workers have it: the question travels as any segment does. Knows no
engine and no list.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from voxfleet.core import (
    BYTES_PER_SAMPLE,
    SAMPLE_RATE_HZ,
    EngineInfo,
    RecognitionOptions,
    SpooledSegment,
    WorkClass,
)
from voxfleet.errors import NotReadyError, VoxfleetError
from voxfleet.media.spool import new_file_id
from voxfleet.transcribe.served_model import ServedModel

_log = logging.getLogger(__name__)

#: long enough to be sound to every engine
_SILENCE_SAMPLES = SAMPLE_RATE_HZ // 2
#: the work is nobody's who may speak: it shares the workers as a client of its own
_CLIENT = "hotwords"


@dataclass(frozen=True, slots=True)
class HotwordCheck:
    """`unknown` words by model, of those that answered; `unchecked` are models that did not.

    A model that takes no hotwords is in neither.
    """

    unknown: dict[str, tuple[str, ...]]
    unchecked: tuple[str, ...]


class HotwordChecker:
    """Asks each of `models` as it is when it is asked; nobody is waited for beyond `limit_s`."""

    def __init__(
        self, models: Iterable[ServedModel], spool_dir: Path, limit_s: float = 5.0
    ) -> None:
        self._models = models
        self._spool_dir = spool_dir
        self._limit_s = limit_s

    async def check(self, words: tuple[str, ...]) -> HotwordCheck:
        """Never raises for what a model or a disk does: that model is unchecked."""
        models = {_name(served): served for served in self._models if _may_take(served)}
        if not models:
            return HotwordCheck({}, ())
        path = self._spool_dir / new_file_id()
        try:
            await asyncio.to_thread(path.write_bytes, bytes(_SILENCE_SAMPLES * BYTES_PER_SAMPLE))
            silence = SpooledSegment(
                path.name, path, 0.0, _SILENCE_SAMPLES, options=RecognitionOptions(hotwords=words)
            )
            answers = await asyncio.gather(
                *(self._ask(served, silence) for served in models.values())
            )
        except OSError as fault:
            _log.warning("hotwords are not checked: %s: %s", path, fault.strerror)
            answers = [None] * len(models)
        finally:
            path.unlink(missing_ok=True)
        return _result(words, dict(zip(models, answers, strict=True)))

    async def _ask(self, served: ServedModel, silence: SpooledSegment) -> frozenset[str] | None:
        """What the model does not know; None when it did not say."""
        try:
            async with asyncio.timeout(self._limit_s):
                with served.in_use():
                    heard = await served.dispatcher.recognise(
                        silence, WorkClass.INTERACTIVE, _CLIENT
                    )
        except TimeoutError:
            why = f"no answer within {self._limit_s:g} s"
        except VoxfleetError as fault:
            why = fault.message
        else:
            return frozenset(heard.unknown_hotwords)
        _log.info("hotwords are not checked by model %s: %s", _name(served), why)
        return None


def _may_take(served: ServedModel) -> bool:
    """Whether it takes hotwords, or cannot tell yet."""
    info = _info(served)
    return info is None or info.hotwords


def _name(served: ServedModel) -> str:
    info = _info(served)
    return served.pool.snapshot().model if info is None else info.model


def _info(served: ServedModel) -> EngineInfo | None:
    try:
        return served.info
    except NotReadyError:
        return None


def _result(words: tuple[str, ...], answers: dict[str, frozenset[str] | None]) -> HotwordCheck:
    return HotwordCheck(
        {
            model: tuple(word for word in words if word in unknown)
            for model, unknown in answers.items()
            if unknown is not None
        },
        tuple(model for model, unknown in answers.items() if unknown is None),
    )
