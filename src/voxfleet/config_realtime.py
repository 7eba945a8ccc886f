"""Settings of realtime sessions: how many, how long, and how much reading they may cost."""

from __future__ import annotations

from pydantic import Field

from voxfleet.config_pool import Section


class RealtimeSection(Section):
    latency_goal_s: float = Field(
        default=0.5, gt=0, description="Time in which live speech should be answered."
    )
    max_sessions: int = Field(
        default=200, ge=0, description="Sessions at once; one more is refused. 0 takes none."
    )
    max_session_s: float = Field(
        default=14_400, gt=0, description="How long a session may last; then it is ended in order."
    )
    idle_timeout_s: float = Field(
        default=600, gt=0, description="How long a session may be without sound from its client."
    )
    max_ahead_s: float = Field(
        default=30,
        ge=1,
        description="Sound of a session that may wait to be heard; a client that sends faster is"
        " read no further.",
    )
    window_s: float = Field(
        default=8,
        ge=2,
        le=30,
        description="How much of an utterance is read again as it grows; what is older is settled.",
    )
    reread_share: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Share of the measured speed that reading unfinished utterances may take.",
    )
    secret_lifetime_s: int = Field(
        default=600,
        ge=10,
        le=7200,
        description="How long a key of `POST /v1/realtime/client_secrets` is valid, where the"
        " request does not say.",
    )
    funasr_port: int | None = Field(
        default=None,
        ge=0,
        le=65_535,
        description="A port of its own for FunASR's protocol (its clients expect 10095), beside"
        " `/funasr` on the server's own port. Not set: none.",
    )
