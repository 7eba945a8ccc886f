"""The numbers and the strides of convolutions that a conditional branch of an ONNX file holds.

Reads only the protobuf fields this needs, so that no ONNX library is loaded. Knows no model.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# field numbers of onnx.proto: ModelProto, GraphProto, NodeProto, AttributeProto, TensorProto
_MODEL_GRAPH = 7
_GRAPH_NODE = 1
_NODE_OUTPUT, _NODE_OPERATOR, _NODE_ATTRIBUTE = 2, 4, 5
_ATTRIBUTE_NAME, _ATTRIBUTE_TENSOR, _ATTRIBUTE_GRAPH, _ATTRIBUTE_INTEGERS = 1, 5, 6, 8
_TENSOR_DIMENSIONS, _TENSOR_TYPE, _TENSOR_RAW = 1, 2, 9
_FLOAT = 1
_VARINT, _LENGTH_DELIMITED = 0, 2
_FIXED_BYTES = {1: 8, 5: 4}
_VARINT_BYTES = 10

_Fields = dict[int, list[int | memoryview]]


@dataclass(frozen=True, slots=True)
class Branch:
    """Arrays by the name of the constant, and the first stride of each convolution in order."""

    constants: dict[str, NDArray[np.float32]]
    strides: tuple[int, ...]


def read_branch(model: bytes, name: str) -> Branch:
    """The branch of that name of the first If; ValueError says what is wrong with the file."""
    graph = _one(_fields(memoryview(model)), _MODEL_GRAPH)
    for node in _nodes(graph):
        if _text(node, _NODE_OPERATOR) == "If":
            branch = _nodes(_one(_attribute(node, name), _ATTRIBUTE_GRAPH))
            return Branch(_constants(branch), _strides(branch))
    raise ValueError("it has no If")


def _constants(nodes: list[_Fields]) -> dict[str, NDArray[np.float32]]:
    found = {}
    for node in nodes:
        if _text(node, _NODE_OPERATOR) != "Constant":
            continue
        tensor = _fields(_one(_attribute(node, "value"), _ATTRIBUTE_TENSOR))
        if tensor[_TENSOR_TYPE] == [_FLOAT]:
            found[_text(node, _NODE_OUTPUT)] = _array(tensor)
    return found


def _array(tensor: _Fields) -> NDArray[np.float32]:
    dimensions = _integers(tensor[_TENSOR_DIMENSIONS])
    raw = _one(tensor, _TENSOR_RAW)
    if len(raw) != 4 * math.prod(dimensions) or max(dimensions, default=0) > len(raw):
        raise ValueError("a tensor's shape and its bytes differ")
    return np.frombuffer(raw, "<f4").astype(np.float32).reshape(dimensions)


def _strides(nodes: list[_Fields]) -> tuple[int, ...]:
    convolutions = [node for node in nodes if _text(node, _NODE_OPERATOR) == "Conv"]
    attributes = [_attribute(node, "strides")[_ATTRIBUTE_INTEGERS] for node in convolutions]
    return tuple(integer for values in attributes for integer in _integers(values)[:1])


def _nodes(graph: memoryview) -> list[_Fields]:
    return [_fields(_message(node)) for node in _fields(graph)[_GRAPH_NODE]]


def _attribute(node: _Fields, name: str) -> _Fields:
    for attribute in node[_NODE_ATTRIBUTE]:
        fields = _fields(_message(attribute))
        if _text(fields, _ATTRIBUTE_NAME) == name:
            return fields
    raise ValueError(f"an operator lacks {name}")


def _text(fields: _Fields, number: int) -> str:
    return bytes(_one(fields, number)).decode("utf-8")


def _one(fields: _Fields, number: int) -> memoryview:
    if len(fields[number]) != 1:
        raise ValueError(f"field {number} is there {len(fields[number])} times, not once")
    return _message(fields[number][0])


def _message(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message belongs")
    return value


def _integers(values: list[int | memoryview]) -> list[int]:
    """Of a repeated field, packed or not."""
    integers = []
    for value in values:
        integers += [value] if isinstance(value, int) else _packed(value)
    return integers


def _packed(message: memoryview) -> list[int]:
    integers, at = [], 0
    while at < len(message):
        integer, at = _varint(message, at)
        integers.append(integer)
    return integers


def _fields(message: memoryview) -> _Fields:
    fields: _Fields = defaultdict(list)
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        value, at = _value(message, at, key & 7)
        fields[key >> 3].append(value)
    return fields


def _value(message: memoryview, at: int, wire_type: int) -> tuple[int | memoryview, int]:
    if wire_type == _VARINT:
        return _varint(message, at)
    if wire_type == _LENGTH_DELIMITED:
        size, at = _varint(message, at)
    elif wire_type in _FIXED_BYTES:
        size = _FIXED_BYTES[wire_type]
    else:
        raise ValueError(f"wire type {wire_type} is unknown")
    if size > len(message) - at:
        raise ValueError("it ends within a field")
    return message[at : at + size], at + size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(message[at : at + _VARINT_BYTES]):
        value |= (byte & 127) << (7 * place)
        if byte < 128:
            return value, at + place + 1
    raise ValueError("it ends within a number")
