"""The reader of ONNX files against files written here, and against broken ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxfleet.audio.silero_onnx import read_branch

BRANCH = "then_branch"
WEIGHTS = np.arange(6, dtype="<f4").reshape(2, 3)


def varint(value: int) -> bytes:
    low = [value >> shift & 127 for shift in range(0, max(1, value.bit_length()), 7)]
    return bytes([*(byte | 128 for byte in low[:-1]), low[-1]])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def message(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def tensor(dimensions: bytes, raw: bytes, kind: int = 1) -> bytes:
    return dimensions + number(2, kind) + message(9, raw)


def unpacked(field: int, *values: int) -> bytes:
    return b"".join(number(field, value) for value in values)


def packed(field: int, *values: int) -> bytes:
    return message(field, b"".join(varint(value) for value in values))


def constant(name: str, value: bytes) -> bytes:
    attribute = message(1, b"value") + message(5, value)
    return message(2, name.encode()) + message(4, b"Constant") + message(5, attribute)


def convolution(strides: bytes) -> bytes:
    return message(4, b"Conv") + message(5, message(1, b"strides") + strides)


def model(*nodes: bytes, operator: bytes = b"If", branch: str = BRANCH) -> bytes:
    graph = b"".join(message(1, node) for node in nodes)
    condition = message(4, operator) + message(5, message(1, branch.encode()) + message(6, graph))
    # fields that are not asked for, of every wire type, are passed over
    others = number(1, 8) + varint(20 << 3 | 1) + bytes(8) + varint(21 << 3 | 5) + bytes(4)
    root = message(1, message(4, b"Equal")) + message(1, condition)
    return others + message(7, root)


def whole() -> bytes:
    return model(
        constant("a", tensor(unpacked(1, 2, 3), WEIGHTS.tobytes())),
        convolution(unpacked(8, 128)),
        constant("b", tensor(packed(1, 300), bytes(1200))),
        constant("size", tensor(b"", bytes(8), kind=7)),
        convolution(packed(8, 2, 1)),
    )


def test_floats_and_strides_of_the_branch_are_found() -> None:
    branch = read_branch(whole(), BRANCH)
    assert set(branch.constants) == {"a", "b"}
    assert np.array_equal(branch.constants["a"], WEIGHTS)
    assert branch.constants["b"].shape == (300,)
    assert branch.strides == (128, 2)


@pytest.mark.parametrize(
    ("broken", "fault"),
    [
        (b"", "field 7 is there 0 times"),
        (b"not a model", "wire type 6"),
        (model(operator=b"Add"), "no If"),
        (model(branch="else_branch"), "lacks then_branch"),
        (model(constant("a", tensor(unpacked(1, 2), bytes(12)))), "shape and its bytes"),
        (model(constant("a", tensor(unpacked(1, 2**62, 0), b""))), "shape and its bytes"),
        (model(constant("a", number(1, 1) + number(2, 1))), "field 9 is there 0 times"),
        (number(7, 1), "a number where a message belongs"),
        (b"\x80" * 20, "within a number"),
        (varint(7 << 3 | 3), "wire type 3"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(broken: bytes, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        read_branch(broken, BRANCH)


def test_a_file_cut_short_anywhere_is_refused() -> None:
    for end in range(len(whole())):
        with pytest.raises(ValueError, match=r"ends within|not once|lacks"):
            read_branch(whole()[:end], BRANCH)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(whole()) - 1), st.integers(0, 255))
def test_no_byte_changed_breaks_the_reader(at: int, byte: int) -> None:
    changed = bytearray(whole())
    changed[at] = byte
    try:
        branch = read_branch(bytes(changed), BRANCH)
    except ValueError:
        return
    assert all(array.dtype == np.float32 for array in branch.constants.values())
