"""Whether the fsmn-vad detector can be had; looks into no file and loads nothing."""

from __future__ import annotations

from pathlib import Path

from voxfleet.errors import ParameterError


def present_fsmn(fsmn_dir: Path | None) -> Path:
    """Raises ParameterError where there is none."""
    if fsmn_dir is None:
        raise ParameterError(
            "vad=fsmn: this server has no fsmn-vad model; "
            "use vad=silero or vad=auto, or have audio.fsmn_dir set",
            param="vad",
        )
    return fsmn_dir
