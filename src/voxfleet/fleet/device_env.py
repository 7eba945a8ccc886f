"""Which device a worker sees: the environment that hides every other one from it. Pure.

Knows the rule of PyTorch that `cuda:1` is the second of the cards in CUDA_VISIBLE_DEVICES.
"""

from __future__ import annotations

VISIBLE = "CUDA_VISIBLE_DEVICES"


def on_device(device: str, shown: str | None) -> tuple[str, dict[str, str]]:
    """What the worker is told its device is, and the environment that leaves it only that.

    `shown` is our own CUDA_VISIBLE_DEVICES: `cuda:1` is the second of those, as it is for PyTorch.
    """
    kind, _, index = device.partition(":")
    if kind != "cuda":
        return device, {VISIBLE: ""}
    number = index or "0"
    if shown is None and number.isdecimal():
        chosen = number
    elif shown is not None and number.isdecimal() and int(number) < len(shown.split(",")):
        chosen = shown.split(",")[int(number)].strip()
    else:
        # no such device: the worker refuses it by the name it was given
        return device, {}
    # the one device that is left is the first
    return "cuda:0", {VISIBLE: chosen}
