"""The documents say what the code does, and nothing else: settings, routes, commands, flags."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from unittest.mock import Mock

import pytest

from scripts.make_docs import DOCS, PARTS, command_tree, commands, fresh, setting_fields, with_part

if TYPE_CHECKING:
    from typer._click.core import Command

JsonObject = dict[str, Any]

REPOSITORY = DOCS.parent
HANDWRITTEN = sorted([*REPOSITORY.glob("*.md"), *DOCS.rglob("*.md")])
#: a shell takes what follows one of these as something else than our own words
SHELL_BREAKS = {"|", "||", "&", "&&", ";", ">", ">>", "<", "2>"}
_SHELL_BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_ROUTE_HEADING = re.compile(r"^#+ .*`((?:GET|POST|PUT|PATCH|DELETE) /[^`]*)`", re.MULTILINE)
_FIELD_TABLE = re.compile(r"^\| field \|.*\n((?:\|.*\n)+)", re.MULTILINE)
_FIELD_ROW = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)
_CHORE = re.compile(r"^([a-z-]+):.*## ", re.MULTILINE)
_SETTING_ROW = re.compile(r"^\| `([a-z_.]+)` \|", re.MULTILINE)


@pytest.mark.parametrize("document", PARTS)
def test_generated_parts_are_fresh(document: str) -> None:
    stored = (DOCS / document).read_text(encoding="utf-8")
    assert stored == fresh(document), f"docs/{document} is stale: run `make docs`"


def test_every_setting_is_documented_and_described() -> None:
    fields = dict(setting_fields())
    table = (DOCS / "settings.md").read_text(encoding="utf-8")
    assert _SETTING_ROW.findall(table) == list(fields)
    assert [key for key, field in fields.items() if not field.description] == []


def test_every_route_has_a_heading_and_every_heading_a_route() -> None:
    headings = _ROUTE_HEADING.findall((DOCS / "http-api.md").read_text(encoding="utf-8"))
    assert sorted(headings) == sorted(operations())


def test_every_form_field_has_a_row_and_every_row_a_field() -> None:
    text = (DOCS / "http-api.md").read_text(encoding="utf-8")
    rows = {name for table in _FIELD_TABLE.findall(text) for name in _FIELD_ROW.findall(table)}
    # the upload itself is told in prose
    assert rows == form_fields() - {"file", "audio"}


def test_every_command_and_flag_has_help() -> None:
    mute = [
        (" ".join(path), parameter.name)
        for path, command in commands(command_tree())
        for parameter in command.params
        if not command.help or not getattr(parameter, "help", None)
    ]
    assert mute == []


def test_metrics_and_their_document_come_together() -> None:
    has_metrics = (REPOSITORY / "src" / "voxfleet" / "observe" / "metrics.py").exists()
    assert (DOCS / "metrics.md").exists() == has_metrics


def test_a_document_without_markers_is_refused() -> None:
    with pytest.raises(ValueError, match="no part between"):
        with_part("# Settings\n", "settings", "| row |")


def operations() -> dict[str, JsonObject]:
    """Every `METHOD /path` of the server and what OpenAPI says of it."""
    from voxfleet.gateway.api_schemas import GatewaySettings, SpeechService
    from voxfleet.gateway.hotword_lists import HotwordShelf
    from voxfleet.gateway.http_app import GatewayParts, create_app

    # only its routes are read, and none of them is called
    nobody = cast("SpeechService", Mock())
    parts = GatewayParts(hotwords=cast("HotwordShelf", object()))
    app = create_app(nobody, GatewaySettings(upload_dir=Path("/nowhere"), version="0"), parts)
    return {
        f"{method.upper()} {path}": operation
        for path, methods in app.openapi()["paths"].items()
        for method, operation in methods.items()
        # the probes are told with their GET
        if method != "head"
    }


def form_fields() -> set[str]:
    return {
        field
        for operation in operations().values()
        if "requestBody" in operation
        for kind, body in operation["requestBody"]["content"].items()
        if kind == "multipart/form-data"
        for field in body["schema"]["properties"]
    }


# -- shell examples ---------------------------------------------------------------------------


def test_every_example_uses_commands_and_flags_that_exist() -> None:
    wrong = [
        f"{document.relative_to(REPOSITORY)}: {line}: {fault}"
        for document in HANDWRITTEN
        for line in shell_lines(document)
        if (fault := fault_of(line))
    ]
    assert wrong == []


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("voxfleet serve --port 8000", ""),
        ("voxfleet transcribe a.wav --format=srt > a.srt", ""),
        ("voxfleet trancsribe a.wav", "no command 'trancsribe'"),
        ("voxfleet serve --prot 8000", "no flag '--prot'"),
        ('make run ARGS="--port 8000"', ""),
        ('make run ARGS="--prot 8000"', "no flag '--prot'"),
        ("make tests", "no chore 'tests'"),
        ("curl --silly http://127.0.0.1:7860/", ""),
    ],
)
def test_examples_are_really_checked(line: str, fault: str) -> None:
    assert fault_of(line) == fault


def shell_lines(document: Path) -> Iterator[str]:
    """Every command line in the document's blocks marked sh, continued lines joined."""
    for block in _SHELL_BLOCK.findall(document.read_text(encoding="utf-8")):
        yield from block.replace("\\\n", " ").splitlines()


def fault_of(line: str) -> str:
    """What is wrong with a line that starts with one of our words; empty when nothing is."""
    words = own_words(line)
    if words[:1] == ["voxfleet"]:
        return fault_of_command(words[1:])
    if words[:1] == ["make"]:
        return fault_of_chore(words[1:])
    return ""


def own_words(line: str) -> list[str]:
    words: list[str] = []
    for word in shlex.split(line, comments=True):
        if word in SHELL_BREAKS:
            break
        words.append(word)
    return words


def fault_of_command(words: list[str]) -> str:
    command: Command = command_tree()
    rest = list(words)
    while children := getattr(command, "commands", None):
        if not rest or rest[0].startswith("-"):
            break
        if rest[0] not in children:
            return f"no command {rest[0]!r}"
        command = children[rest.pop(0)]
    known = {"-h", "--help"}
    for parameter in command.params:
        known.update(parameter.opts, parameter.secondary_opts)
    flags = [word.split("=")[0] for word in rest if word.startswith("-") and word != "-"]
    return next((f"no flag {flag!r}" for flag in flags if flag not in known), "")


def fault_of_chore(words: list[str]) -> str:
    chores = _CHORE.findall((REPOSITORY / "Makefile").read_text(encoding="utf-8"))
    passed_on = dict(word.split("=", 1) for word in words if "=" in word)
    named = [word for word in words if "=" not in word]
    if strange := [word for word in named if word not in chores]:
        return f"no chore {strange[0]!r}"
    if named == ["run"]:
        return fault_of_command(["serve", *shlex.split(passed_on.get("ARGS", ""))])
    return ""
