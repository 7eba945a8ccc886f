"""The words that OpenAPI's schemas are written with. Knows JSON Schema; knows no object of ours.

An object has the keys that are written down and no others, so that a test sees one that nobody
documented.
"""

from __future__ import annotations

from collections.abc import Mapping

Schema = dict[str, object]


def text(description: str, *allowed: str) -> Schema:
    schema: Schema = {"type": "string", "description": description}
    return schema | {"enum": list(allowed)} if allowed else schema


def number(description: str) -> Schema:
    return {"type": "number", "description": description}


def whole(description: str, at_least: int | None = 0) -> Schema:
    schema: Schema = {"type": "integer", "description": description}
    return schema if at_least is None else schema | {"minimum": at_least}


def flag(description: str) -> Schema:
    return {"type": "boolean", "description": description}


def or_null(schema: Schema) -> Schema:
    """The same, or null where nobody knows."""
    described = {"description": schema["description"]} if "description" in schema else {}
    return {"anyOf": [schema, {"type": "null"}], **described}


def listed(items: Schema, description: str = "") -> Schema:
    schema: Schema = {"type": "array", "items": items}
    return schema | {"description": description} if description else schema


def ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def record(
    description: str, needed: Mapping[str, Schema], maybe: Mapping[str, Schema] | None = None
) -> Schema:
    """An object with the keys `needed`, and those of `maybe` where there is something to tell."""
    return {
        "type": "object",
        "description": description,
        "properties": {**needed, **(maybe or {})},
        "required": list(needed),
        "additionalProperties": False,
    }


def mapping(values: Schema, description: str) -> Schema:
    return {"type": "object", "additionalProperties": values, "description": description}
