"""`/v1/hotwords` over a real database: versions, conditions, hostile names and bodies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from fastapi import FastAPI

from tests.integration.standin_service import fault_of
from voxfleet.errors import NotFoundError, VersionError
from voxfleet.gateway.hotword_lists import MAX_LISTS, HotwordShelf
from voxfleet.gateway.hotword_names import MAX_BODY_BYTES
from voxfleet.gateway.hotwords_api import HotwordsApi
from voxfleet.gateway.preconditions import Precondition
from voxfleet.store.database import Database, open_database
from voxfleet.store.hotword_store import KEPT_VERSIONS, HotwordStore
from voxfleet.transcribe.hotword_check import HotwordCheck

NOW_S = 1_700_000_000.25


async def knows_ascii(words: tuple[str, ...]) -> HotwordCheck:
    """Of two models one cannot be asked."""
    unknown = tuple(word for word in words if not word.isascii())
    return HotwordCheck({"main": unknown}, ("plain",))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    opened = open_database(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def lists(database: Database) -> HotwordShelf:
    return HotwordShelf(HotwordStore(database), lambda: NOW_S)


@pytest.fixture
async def lists_client(app: FastAPI, lists: HotwordShelf) -> AsyncIterator[httpx.AsyncClient]:
    """The whole application with the routes of these very lists."""
    app.include_router(HotwordsApi(lists, knows_ascii).router())
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as made:
        yield made


async def put(
    client: httpx.AsyncClient, name: str, words: object, **headers: str
) -> httpx.Response:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    address = f"/v1/hotwords/{quote(name, safe='')}"
    return await client.put(address, json={"words": words}, headers=named)


async def test_a_list_is_put_read_and_deleted(lists_client: httpx.AsyncClient) -> None:
    address = "/v1/hotwords/products"
    made = await put(lists_client, "products", ["Foo", "通义", "Foo "])
    version = {
        "name": "products",
        "version": 1,
        "words": ["Foo", "通义"],
        "created_at": NOW_S,
    }
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    assert made.json() == {**version, "unknown": {"main": ["通义"]}, "unchecked": ["plain"]}
    read = await lists_client.get(address)
    assert (read.status_code, read.headers["etag"], read.json()) == (200, '"1"', version)
    row = {"name": "products", "version": 1, "word_count": 2, "updated_at": NOW_S}
    assert (await lists_client.get("/v1/hotwords")).json() == {"data": [row]}
    assert (await lists_client.delete(address)).status_code == 204
    assert fault_of(await lists_client.get(address)) == (404, "not_found", "name")
    assert fault_of(await lists_client.delete(address)) == (404, "not_found", "name")
    assert (await lists_client.get("/v1/hotwords")).json() == {"data": []}


async def test_versions_count_up_and_never_mean_two_things(
    lists_client: httpx.AsyncClient,
) -> None:
    first = await put(lists_client, "a", "x, y")
    same = await put(lists_client, "a", {"x": 20, "y": 3})
    other = await put(lists_client, "a", ["y", "x"])
    assert [each.status_code for each in (first, same, other)] == [201, 200, 200]
    assert [each.json()["version"] for each in (first, same, other)] == [1, 1, 2]
    old = await lists_client.get("/v1/hotwords/a", params={"version": 1})
    assert (old.headers["etag"], old.json()["words"]) == ('"1"', ["x", "y"])
    await lists_client.delete("/v1/hotwords/a")
    again = await put(lists_client, "a", "z")
    assert again.status_code == 201
    assert again.json()["version"] > 2
    gone = await lists_client.get("/v1/hotwords/a", params={"version": 1})
    assert fault_of(gone) == (404, "not_found", "version")


async def test_a_version_that_is_not_kept_is_told_from_those_that_are(
    lists_client: httpx.AsyncClient,
) -> None:
    for n in range(KEPT_VERSIONS + 1):
        await put(lists_client, "a", [str(n)])
    gone = await lists_client.get("/v1/hotwords/a", params={"version": 1})
    assert fault_of(gone) == (404, "not_found", "version")
    assert ": 2, 3, 4" in gone.json()["error"]["message"]
    for version in ("0", "-1", "x", str(2**31), "9" * 30):
        refused = await lists_client.get("/v1/hotwords/a", params={"version": version})
        assert fault_of(refused) == (400, "invalid_value", "version")


async def test_a_change_may_be_made_on_condition(lists_client: httpx.AsyncClient) -> None:
    assert (await put(lists_client, "a", "x", if_match='"1"')).status_code == 412
    assert (await put(lists_client, "a", "x", if_none_match="*")).status_code == 201
    assert (await put(lists_client, "a", "y", if_none_match="*")).status_code == 412
    assert (await put(lists_client, "a", "y", if_match='"1"')).status_code == 200
    late = await put(lists_client, "a", "z", if_match='"1"')
    assert fault_of(late) == (412, "version_mismatch", None)
    assert "version 2" in late.json()["error"]["message"]
    refused = await lists_client.delete("/v1/hotwords/a", headers={"if-match": '"1"'})
    assert refused.status_code == 412
    read = await lists_client.get("/v1/hotwords/a", headers={"if-none-match": '"1"'})
    assert (read.status_code, read.json()["words"]) == (200, ["y"])
    seen = await lists_client.get("/v1/hotwords/a", headers={"if-none-match": '"2"'})
    assert (seen.status_code, seen.content, seen.headers["etag"]) == (304, b"", '"2"')
    removed = await lists_client.delete("/v1/hotwords/a", headers={"if-match": '"2"'})
    assert removed.status_code == 204


async def test_of_many_who_saw_the_same_version_one_wins(
    lists_client: httpx.AsyncClient, lists: HotwordShelf
) -> None:
    await put(lists_client, "a", "x")
    answers = await asyncio.gather(
        *(put(lists_client, "a", f"w{n}", if_match='"1"') for n in range(20))
    )
    assert sorted(answer.status_code for answer in answers) == [200, *[412] * 19]
    (won,) = (answer.json() for answer in answers if answer.status_code == 200)
    assert (won["version"], tuple(won["words"])) == (2, lists.words("a"))


async def test_of_many_at_once_each_is_a_version(
    lists_client: httpx.AsyncClient, database: Database
) -> None:
    answers = await asyncio.gather(*(put(lists_client, "a", f"w{n}") for n in range(15)))
    assert sorted(answer.json()["version"] for answer in answers) == list(range(1, 16))
    assert [answer.status_code for answer in answers].count(201) == 1
    store = HotwordStore(database)
    for answer in answers:
        kept = store.find("a", answer.json()["version"])
        assert kept is not None
        assert list(kept.words) == answer.json()["words"]


async def test_a_name_is_the_same_in_every_spelling(
    lists_client: httpx.AsyncClient, lists: HotwordShelf
) -> None:
    assert (await put(lists_client, "cafe\u0301-产品", "x")).status_code == 201
    assert (await put(lists_client, "caf\u00e9-产品", "y")).json()["version"] == 2
    assert lists.words("cafe\u0301-产品") == ("y",)


@pytest.mark.parametrize(
    "name",
    [
        "..%5Cx",
        "%2e%2e%5C",
        "a%00",
        "x" * 65,
        "%F0%9F%99%82",
        "%E2%80%AEabc",
        "%ff",
        "a%20b",
        "%40a",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_hostile_names(
    lists_client: httpx.AsyncClient, lists: HotwordShelf, method: str, name: str
) -> None:
    answer = await lists_client.request(method, f"/v1/hotwords/{name}", json={"words": "x"})
    assert fault_of(answer) == (400, "invalid_value", "name")
    assert lists.all() == ()


@pytest.mark.parametrize("name", ["..%2Fx", "a%2Fb", "", "a/b"])
async def test_what_is_no_segment_of_a_path_is_no_route(
    lists_client: httpx.AsyncClient, name: str
) -> None:
    answer = await lists_client.put(f"/v1/hotwords/{name}", json={"words": "x"})
    assert fault_of(answer) == (404, "not_found", None)


async def test_an_unknown_list_names_its_neighbours(
    lists_client: httpx.AsyncClient, lists: HotwordShelf
) -> None:
    with pytest.raises(NotFoundError, match="none at all"):
        lists.words("a")
    for name in ("team-a", "team-b", "products", "people", "产品"):
        await put(lists_client, name, "x")
    with pytest.raises(NotFoundError, match=r"'people', 'products', 'team-a', 'team-b'$"):
        lists.words("team")
    for name in ("", "zzz", "x" * 100_000, "a\n\x1b[31m"):
        with pytest.raises(NotFoundError, match="beside it there are '") as refused:
            lists.words(name)
        assert refused.value.message.isprintable()
        assert len(refused.value.message) < 500


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"origin": "https://example.org"},
    ],
)
async def test_no_page_of_others_changes_a_list(
    lists_client: httpx.AsyncClient, lists: HotwordShelf, headers: dict[str, str]
) -> None:
    await put(lists_client, "a", "x")
    body = json.dumps({"words": "y"}).encode()
    for method in ("PUT", "DELETE"):
        answer = await lists_client.request(method, "/v1/hotwords/a", content=body, headers=headers)
        assert fault_of(answer) == (400, "bad_request", None)
    assert lists.words("a") == ("x",)


async def test_a_body_that_is_longer_than_any_list_is_not_kept(
    lists_client: httpx.AsyncClient, lists: HotwordShelf
) -> None:
    body = b'{"words": "x"}'.ljust(MAX_BODY_BYTES + 1)
    headers = {"content-type": "application/json"}
    answer = await lists_client.put("/v1/hotwords/a", content=body, headers=headers)
    assert fault_of(answer) == (400, "bad_request", None)
    assert lists.all() == ()
    answer = await lists_client.put("/v1/hotwords/a", content=body[:-1], headers=headers)
    assert answer.status_code == 201


def test_there_are_only_so_many_lists(lists: HotwordShelf) -> None:
    for n in range(3):
        lists.put(f"list-{n}", ("x",), Precondition())
    # as if the others had been put
    lists._present.update({str(n): lists.find("list-0") for n in range(MAX_LISTS - 3)})
    with pytest.raises(Exception, match="1000 lists are all there may be"):
        lists.put("one-more", ("x",), Precondition())
    found, is_new = lists.put("list-0", ("y",), Precondition())
    assert (found.version, is_new) == (2, False)


async def test_lists_are_there_after_a_restart(
    lists_client: httpx.AsyncClient, database: Database
) -> None:
    await put(lists_client, "a", "x")
    await put(lists_client, "a", "y")
    await put(lists_client, "b", "z")
    await lists_client.delete("/v1/hotwords/b")
    again = HotwordShelf(HotwordStore(database))
    assert [each.name for each in again.all()] == ["a"]
    assert again.words("a") == ("y",)


def test_two_servers_of_one_database_see_what_the_other_did(database: Database) -> None:
    here, there = (HotwordShelf(HotwordStore(database), lambda: NOW_S) for _ in range(2))
    here.put("a", ("x",), Precondition())
    here.put("b", ("y",), Precondition())
    assert there.all() == ()
    there.renew()
    assert there.all() == here.all()
    # a change is made to what is there, not to what was seen of it
    here.put("a", ("x2",), Precondition())
    with pytest.raises(VersionError):
        there.put("a", ("lost",), Precondition(match=frozenset({"1"})))
    found, is_new = there.put("a", ("x3",), Precondition())
    assert (found.version, is_new) == (3, False)
    here.remove("b", Precondition())
    with pytest.raises(NotFoundError):
        there.remove("b", Precondition())
    here.renew()
    assert here.words("a") == ("x3",)
    assert [each.name for each in here.all()] == [each.name for each in there.all()] == ["a"]


async def test_openapi_tells_bodies_and_answers(lists_client: httpx.AsyncClient) -> None:
    paths = (await lists_client.get("/openapi.json")).json()["paths"]
    one = paths["/v1/hotwords/{name}"]
    assert set(one) == {"get", "put", "delete"}
    assert set(one["put"]["responses"]) >= {"200", "201"}
    schema = one["put"]["requestBody"]["content"]["application/json"]["schema"]
    assert schema["required"] == ["words"]
    assert "204" in one["delete"]["responses"]
