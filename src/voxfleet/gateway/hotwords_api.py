"""`/v1/hotwords`: named lists of hotwords, listed, read, put and deleted.

Knows the routes and their shapes; who may use them is not asked here, but no web page can change a
list in its visitor's name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Annotated, TypeVar

from fastapi import APIRouter, Depends, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from voxfleet.errors import OverloadError
from voxfleet.gateway.hotword_lists import HotwordShelf
from voxfleet.gateway.hotword_names import MAX_BODY_BYTES, checked_name, read_words
from voxfleet.gateway.json_orders import refuse_web_pages, small_body
from voxfleet.gateway.preconditions import Precondition, read_precondition, tag_of
from voxfleet.transcribe.hotword_check import HotwordCheck

if TYPE_CHECKING:
    from voxfleet.store.hotword_store import HotwordList

JsonObject = dict[str, object]
CheckHotwords = Callable[[tuple[str, ...]], Awaitable[HotwordCheck]]
Done = TypeVar("Done")

#: what a database can hold
_MAX_VERSION = 2**31 - 1
#: each holds half a megabyte of words at most, and takes some milliseconds
_MAX_WAITING = 64
_NOT_MODIFIED, _NO_CONTENT = HTTPStatus.NOT_MODIFIED, HTTPStatus.NO_CONTENT


class ListedHotwords(BaseModel):
    """A row of `GET /v1/hotwords`."""

    name: str
    version: int
    word_count: int
    updated_at: float


class ListOfHotwordLists(BaseModel):
    data: list[ListedHotwords]


class HotwordVersion(BaseModel):
    """One version of a list; `created_at` is the Unix time of that version."""

    name: str
    version: int
    words: list[str]
    created_at: float


class CheckedHotwords(HotwordVersion):
    """`unknown` are, by model, words it has no tokens for; `unchecked` models could not be asked"""

    unknown: dict[str, list[str]]
    unchecked: list[str]


_Version = Annotated[
    int | None,
    Query(ge=1, le=_MAX_VERSION, description="An older version; the present one when left out."),
]


class HotwordsApi:
    def __init__(self, lists: HotwordShelf, check: CheckHotwords) -> None:
        self._lists = lists
        self._check = check
        # one thread: changes come one after the other, also those whose client has gone, and none
        # takes a thread that an upload needs
        self._thread = ThreadPoolExecutor(1, "hotwords")
        self._waiting = 0

    def router(self) -> APIRouter:
        router = APIRouter(prefix="/v1/hotwords", tags=["hotwords"])
        router.add_api_route("", self.list_all, methods=["GET"], response_model=ListOfHotwordLists)
        router.add_api_route("/{name}", self.read, methods=["GET"], response_model=HotwordVersion)
        changes = [Depends(refuse_web_pages)]
        router.add_api_route(
            "/{name}",
            self.put,
            methods=["PUT"],
            response_model=CheckedHotwords,
            responses={201: {"model": CheckedHotwords, "description": "A new list."}},
            dependencies=changes,
            openapi_extra=_words_body(),
        )
        router.add_api_route(
            "/{name}",
            self.delete,
            methods=["DELETE"],
            status_code=_NO_CONTENT,
            dependencies=changes,
        )
        return router

    async def list_all(self) -> JSONResponse:
        """Every list, by name, with its present version."""
        return JSONResponse({"data": [_row(each) for each in self._lists.all()]})

    async def read(self, name: str, request: Request, version: _Version = None) -> Response:
        """The words of a list; its version is the answer's ETag."""
        name = checked_name(name)
        if version is None:
            found = self._lists.find(name)
        else:
            found = await self._in_thread(partial(self._lists.find_version, name, version))
        tag = {"etag": tag_of(found.version)}
        if _precondition(request).has_seen(found.version):
            return Response(status_code=_NOT_MODIFIED, headers=tag)
        return JSONResponse(_version_object(found), headers=tag)

    async def put(self, name: str, request: Request) -> JSONResponse:
        """Make a list, or a new version of it; tells which words no model can listen for."""
        name = checked_name(name)
        words = read_words(await small_body(request, MAX_BODY_BYTES, "send fewer words"))
        found, is_new = await self._in_thread(
            partial(self._lists.put, name, words, _precondition(request))
        )
        check = await self._check(words)
        status = HTTPStatus.CREATED if is_new else HTTPStatus.OK
        answer = {**_version_object(found), **_check_object(check)}
        return JSONResponse(answer, status, headers={"etag": tag_of(found.version)})

    async def delete(self, name: str, request: Request) -> Response:
        """Remove a list and all its versions."""
        name = checked_name(name)
        await self._in_thread(partial(self._lists.remove, name, _precondition(request)))
        return Response(status_code=_NO_CONTENT)

    async def _in_thread(self, do: Callable[[], Done]) -> Done:
        if self._waiting >= _MAX_WAITING:
            raise OverloadError("too many changes of hotword lists wait already; try again later")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, do)
        finally:
            self._waiting -= 1


def _row(found: HotwordList) -> JsonObject:
    return {
        "name": found.name,
        "version": found.version,
        "word_count": len(found.words),
        "updated_at": round(found.created_s, 3),
    }


def _version_object(found: HotwordList) -> JsonObject:
    return {
        "name": found.name,
        "version": found.version,
        "words": list(found.words),
        "created_at": round(found.created_s, 3),
    }


def _check_object(check: HotwordCheck) -> JsonObject:
    unknown = {model: list(words) for model, words in check.unknown.items()}
    return {"unknown": unknown, "unchecked": list(check.unchecked)}


def _precondition(request: Request) -> Precondition:
    headers = request.headers
    return read_precondition(headers.getlist("if-match"), headers.getlist("if-none-match"))


def _words_body() -> JsonObject:
    """The body as OpenAPI has it: it is read as a stream, which FastAPI cannot see."""
    word: JsonObject = {"type": "string"}
    weights: JsonObject = {
        "type": "object",
        "additionalProperties": {"type": ["number", "string"]},
        "description": "Words and weights; the weights have no effect.",
    }
    text = {**word, "description": "Words parted by commas or lines, without them by spaces."}
    words = {"oneOf": [{"type": "array", "items": word}, text, weights]}
    schema: JsonObject = {
        "type": "object",
        "properties": {"words": words},
        "required": ["words"],
        "additionalProperties": False,
    }
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
