"""Which card a device's name means, by the rules of CUDA_VISIBLE_DEVICES. Pure.

Knows no pool and no plan; a card whose memory nobody tells is a card all the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from voxfleet.errors import PlanError
from voxfleet.pool_contract import GpuSnapshot

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_ORDER = "CUDA_DEVICE_ORDER"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a worker can run: the CPU, or one card.

    `key` tells which share their faults: a card's UUID, "" for the CPU. The engine is told `told`,
    operators see `shown`, `label` is its name in a sentence. Free memory is None where unknown.
    """

    key: str
    told: str
    shown: str
    label: str
    pin: str
    free_mb: int | None
    total_mb: int

    @property
    def environment(self) -> dict[str, str]:
        """What hides every other card from the worker; an index is the driver's own number."""
        by_index = {_ORDER: "PCI_BUS_ID"} if self.pin.isdecimal() else {}
        return {_VISIBLE: self.pin, **by_index}


def cpu_place(free_mb: int) -> Place:
    """0 is free memory that nobody tells."""
    return Place("", "cpu", "cpu", "this machine", "", free_mb or None, 0)


def visible_cards(gpus: Sequence[GpuSnapshot], visible: str | None) -> tuple[Place, ...]:
    """The cards in the order of their names `cuda:0`, `cuda:1`, …

    `visible` is our own CUDA_VISIBLE_DEVICES: it chooses cards and their order, and ends, as for
    CUDA, at the first entry that is no card. A part of a card (MIG) is taken at its word.
    """
    every = sorted(gpus, key=lambda gpu: gpu.index)
    chosen = every if visible is None else _chosen(gpus, visible)
    return tuple(_card(card, number) for number, card in enumerate(chosen))


def places_named(
    names: Sequence[str], cards: Sequence[Place], cpu: Place, missing: str
) -> tuple[Place, ...]:
    """What the names of a pool's devices mean; raises PlanError for one that is not there.

    `missing` says why there are no cards at all.
    """
    found: dict[str, Place] = {}
    for name in names:
        for place in [cpu] if name == "cpu" else _cards_named(name, cards, missing):
            found[place.key] = place
    return tuple(found.values())


def why_no_cards(gpus: Sequence[GpuSnapshot], visible: str | None) -> str:
    if gpus and visible is not None:
        return (
            f"{_VISIBLE}={visible!r} hides every GPU of this machine: correct it,"
            " or set device to cpu"
        )
    return (
        "this machine has no NVIDIA GPU: set device to cpu,"
        " or repair the driver if nvidia-smi lists none either"
    )


def _chosen(gpus: Sequence[GpuSnapshot], visible: str) -> list[GpuSnapshot | str]:
    chosen: list[GpuSnapshot | str] = []
    for entry in (part.strip() for part in visible.split(",")):
        card = entry if entry.startswith("MIG-") else _by_entry(gpus, entry)
        if card is None:
            break
        chosen.append(card)
    return chosen


def _by_entry(gpus: Sequence[GpuSnapshot], entry: str) -> GpuSnapshot | None:
    if entry.isdecimal():
        return next((gpu for gpu in gpus if gpu.index == int(entry)), None)
    # CUDA takes the beginning of a UUID where only one card has it
    matching = [gpu for gpu in gpus if entry.startswith("GPU-") and gpu.uuid.startswith(entry)]
    return matching[0] if len(matching) == 1 else None


def _card(card: GpuSnapshot | str, number: int) -> Place:
    shown = f"cuda:{number}"
    if isinstance(card, str):
        return Place(card, "cuda:0", shown, card, card, None, 0)
    key, pin = card.uuid or f"gpu-{card.index}", card.uuid or str(card.index)
    free_mb = card.memory_free_mb if card.memory_total_mb else None
    # the one card that is left to the worker is its first
    return Place(key, "cuda:0", shown, f"GPU {card.index}", pin, free_mb, card.memory_total_mb)


def _cards_named(name: str, cards: Sequence[Place], missing: str) -> Sequence[Place]:
    if not cards:
        raise PlanError(f"device {name}: {missing}", param="device")
    if name == "cuda":
        return cards
    found = [card for card in cards if name == card.shown]
    if name.startswith("GPU-"):
        found = [card for card in cards if card.key.startswith(name)]
    if len(found) == 1:
        return found
    known = ", ".join(f"{card.shown} ({card.key})" for card in cards)
    fault = "means several cards" if found else "is not there"
    raise PlanError(f"device {name} {fault}; there are {known}", param="device")
