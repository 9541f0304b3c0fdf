"""Log-ins: keys, passwords, the platform's own client, and the person's own token from the Hub."""

import asyncio
import base64
import json
import time

import pytest
from cubehub_catalogue.auth import ApiKey, Basic, OAuth2Client, Person
from cubehub_catalogue.errors import CatalogueError, ForbiddenError, SignInError, UpstreamError
from cubehub_catalogue.http import Client, client_for
from cubehub_catalogue.settings import Catalogue, load_settings
from cubehub_catalogue.tokens.bearer import BearerCredentials, Token, token_of
from cubehub_catalogue.tokens.oauth2 import read_token
from cubehub_tests.catalogue_net import answer, answering


async def no_pause(_):
    pass


def run(auth, handler, use, **more):
    """Run `use(client, server)` for a catalogue with this log-in."""

    async def go():
        async with answering(handler) as server:
            url = server.url
            made = auth(url) if callable(auth) else auth
            catalogue = Catalogue(id="a", title="A", url=url, private=True, auth=made, timeout=20, **more)
            client = client_for(catalogue)
            client._pause = no_pause
            try:
                return await use(client, server)
            finally:
                await client.close()

    return asyncio.run(go())


@pytest.mark.parametrize("where", ["header", "query"])
def test_a_key(monkeypatch, where):
    monkeypatch.setenv("A_KEY", "k-1234")

    async def use(client, server):
        await client.json("x", params={"a": "1"})
        monkeypatch.setenv("A_KEY", "k-5678")
        got = await client.json("x")
        assert "k-5678" not in got.url
        if where == "header":
            assert [one.headers["x-key"] for one in server.asked] == ["k-1234", "k-5678"]
            assert server.asked[0].path == "/x?a=1"
        else:
            assert [one.path for one in server.asked] == ["/x?a=1&X-Key=k-1234", "/x?X-Key=k-5678"]

    run(ApiKey(type="api_key", value_env="A_KEY", **{where: "X-Key"}), lambda _: answer({}), use)


def test_the_token_of_the_server_where_there_is_one(monkeypatch, tmp_path):
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "t-1234")
    (tmp_path / "c.yaml").write_text("catalogues: [{id: a, title: A, url: /stac/, auth: {type: hub}}]")

    async def go():
        async with (
            answering(
                lambda one: answer({}, 302, Location="/user/ben/x") if "sent-on" in one.path else answer({})
            ) as hub,
        ):
            (catalogue,) = load_settings(tmp_path / "c.yaml", platform_url=hub.url).catalogues
            client = client_for(catalogue)
            try:
                await client.json("x")
                monkeypatch.delenv("JUPYTERHUB_API_TOKEN")
                await client.json("x?again")
                monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "t-1234")
                for address in ("/user/ben/x", "/stacx", "/stac/%2e%2e/user/ben", "/stac/%252e%252e/user/ben",
                                "/stac/..%2fuser/ben", "/stac/..%5cuser/ben"):  # fmt: skip
                    await client.json(hub.url + address)
                await client.json("sent-on")
            finally:
                await client.close()
            assert [one.headers.get("authorization") for one in hub.asked] == [
                "token t-1234", None, *[None] * 6, "token t-1234", None,
            ]  # fmt: skip

    asyncio.run(go())


def test_a_user_name_and_a_password(tmp_path):
    (tmp_path / "p").write_text("pass:word\n")

    async def use(client, server):
        await client.json("x")
        sent = server.asked[0].headers["authorization"]
        assert base64.b64decode(sent.removeprefix("Basic ")) == b"ana:pass:word"

    run(Basic(type="basic", username="ana", password_file=tmp_path / "p"), lambda _: answer({}), use)


def test_a_secret_that_is_not_there_asks_nobody():
    async def use(client, server):
        with pytest.raises(SignInError) as error:
            await client.json("x")
        assert error.value.code == "no_credentials"
        assert server.connections == 0

    run(ApiKey(type="api_key", header="X-Key", value_env="NOT_SET_AT_ALL"), lambda _: answer({}), use)


@pytest.mark.parametrize("kind", ["key", "password", "token"])
def test_what_a_catalogue_says_back_hides_the_secret(monkeypatch, kind):
    monkeypatch.setenv("SECRET", "very-secret-indeed")
    auth = {
        "key": ApiKey(type="api_key", header="X-Key", value_env="SECRET"),
        "password": Basic(type="basic", username="ana", password_env="SECRET"),
        "token": lambda url: OAuth2Client(type="oauth2_client", token_url=f"{url}/token", client_id="c", client_secret_env="SECRET"),
    }[kind]  # fmt: skip

    def handler(asked):
        if asked.path == "/token":
            return answer({"access_token": "very-secret-indeed-2"})
        sent = [value for name, value in asked.headers.items() if name in ("x-key", "authorization")]
        return answer({"detail": f"not with {sent[0]}"}, 500)

    async def use(client, _):
        with pytest.raises(UpstreamError) as error:
            await client.json("x")
        told = json.dumps(error.value.to_dict(), ensure_ascii=False)
        assert "not with " in told
        assert "…" in told
        for secret in ("very-secret-indeed", base64.b64encode(b"ana:very-secret-indeed").decode()):
            assert secret not in told

    run(auth, handler, use)


def oauth2(url):
    return OAuth2Client(
        type="oauth2_client",
        token_url=f"{url}/token",
        client_id="cli ent",
        client_secret_env="S",
        scope="a b",
    )


class Issuing:
    """A catalogue that gives tokens itself, and takes the last one alone."""

    def __init__(self, life=300, answers=()):
        self.life, self.given, self.answers = life, 0, list(answers)

    def __call__(self, asked):
        if asked.path == "/token":
            if self.answers:
                return self.answers.pop(0)
            self.given += 1
            return answer(
                {"access_token": f"token-{self.given}", "token_type": "bearer", "expires_in": self.life}
            )
        good = asked.headers.get("authorization") == f"Bearer token-{self.given}"
        return answer({"ok": True}) if good else answer({"detail": "expired"}, 401)


def test_the_platforms_own_client(monkeypatch):
    monkeypatch.setenv("S", "s&cret")

    async def use(client, server):
        await asyncio.gather(*(client.json("x") for _ in range(5)))
        tokens = [one for one in server.asked if one.path == "/token"]
        assert len(tokens) == 1
        assert tokens[0].body == b"grant_type=client_credentials&scope=a+b"
        assert base64.b64decode(tokens[0].headers["authorization"][6:]) == b"cli%20ent:s%26cret"

    run(oauth2, Issuing(), use)


def test_a_token_that_is_refused_is_replaced_once(monkeypatch):
    monkeypatch.setenv("S", "s")
    issuing = Issuing()

    async def use(client, server):
        await client.json("x")
        issuing.given = 10  # revoked there
        assert (await client.json("x")).value == {"ok": True}
        assert [one.path for one in server.asked] == ["/token", "/x", "/x", "/token", "/x"]

    run(oauth2, issuing, use)


def test_a_catalogue_that_goes_on_refusing(monkeypatch):
    monkeypatch.setenv("S", "s")

    def handler(asked):
        return answer({"access_token": "t"}) if asked.path == "/token" else answer({}, 401)

    async def use(client, server):
        with pytest.raises(SignInError) as error:
            await client.json("x")
        assert "https://id.example" in error.value.hint
        # the same token again is not worth asking with
        assert [one.path for one in server.asked] == ["/token", "/x", "/token"]

    run(oauth2, handler, use, sign_in="https://id.example")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (answer({"error": "invalid_client"}, 401), "client_refused"),
        (answer({"error": "invalid_scope"}, 400), "client_refused"),
        (answer({}, 500), "upstream_error"),
        (answer({"access_token": "a b"}), "no_token"),
        (answer({"access_token": ""}), "no_token"),
        (answer({"access_token": "t", "token_type": "mac"}), "no_token"),
        (answer([]), "no_token"),
        (answer(b"<html>", kind="text/html"), "answer_unusable"),
        (answer(b"", 302, Location="https://elsewhere.example/token"), "too_many_redirects"),
    ],
)
def test_no_token(monkeypatch, said, code):
    monkeypatch.setenv("S", "s")

    async def use(client, server):
        with pytest.raises(CatalogueError) as error:
            await client.json("x")
        assert error.value.code == code
        assert [one.path for one in server.asked] == ["/token"]

    run(oauth2, Issuing(answers=[said]), use)


def test_a_clients_secret_is_sent_to_nobody_else(monkeypatch):
    monkeypatch.setenv("S", "s")

    async def use(client, server):
        with pytest.raises(ForbiddenError):
            await client.json("http://127.0.0.2:1/x")
        assert server.asked == [] or all("/token" in one.path for one in server.asked)

    run(oauth2, Issuing(), use)


class Issuer:
    """Gives tokens by a clock of its own."""

    def __init__(self, clock, life=300.0):
        self.clock, self.life, self.count, self.wait = clock, life, 0, None

    async def issue(self, *, instead_of):
        del instead_of
        self.count += 1
        number = self.count
        if self.wait is not None:
            await self.wait.wait()
        return token_of(f"t{number}", self.life, self.clock())

    async def close(self):
        pass


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(("life", "kept"), [(300, 270), (60, 30), (40, 20), (10, 5)])
def test_a_token_is_let_go_before_it_ends(life, kept):
    async def go():
        clock = Clock()
        issuer = Issuer(clock, life)
        credentials = BearerCredentials(issuer, clock)
        assert (await credentials.given()).headers == {"Authorization": "Bearer t1"}
        clock.now += kept - 0.5
        await credentials.given()
        assert issuer.count == 1
        clock.now += 1
        assert (await credentials.given()).headers == {"Authorization": "Bearer t2"}

    asyncio.run(go())


def test_one_question_for_all_who_wait_and_one_who_gives_up():
    async def go():
        clock = Clock()
        issuer = Issuer(clock)
        issuer.wait = asyncio.Event()
        credentials = BearerCredentials(issuer, clock)
        waits = [asyncio.create_task(credentials.given()) for _ in range(10)]
        await asyncio.sleep(0)
        waits[0].cancel()
        issuer.wait.set()
        got = await asyncio.gather(*waits, return_exceptions=True)
        assert isinstance(got[0], asyncio.CancelledError)
        assert {one.headers["Authorization"] for one in got[1:]} == {"Bearer t1"}
        assert issuer.count == 1
        await credentials.close()

    asyncio.run(go())


def test_many_refusals_at_once_bring_one_new_token():
    async def go():
        clock = Clock()
        issuer = Issuer(clock)
        credentials = BearerCredentials(issuer, clock)
        old = await credentials.given()
        assert all(await asyncio.gather(*(credentials.renew(old) for _ in range(10))))
        assert issuer.count == 2
        assert await credentials.renew(old)
        assert issuer.count == 2

    asyncio.run(go())


def test_tokens_are_in_no_repr():
    assert "secret" not in repr(Token("secret", 1.0))
    assert "secret" not in repr(read_token({"access_token": "secret", "expires_in": "x"}, "A", time.time()))


PERSON = Person(type="person", audience="partner-stac")


def with_hub(monkeypatch, hub, handler, use, **more):
    """Run `use(client, hub, server)` for a catalogue that is asked as the person."""

    async def go():
        async with answering(hub) as hubs:
            monkeypatch.setenv("JUPYTERHUB_API_URL", f"{hubs.url}/hub/api")
            monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "token-of-the-server")
            monkeypatch.setenv("CUBEHUB_URL", "https://hub.example")
            async with answering(handler) as server:
                made = Catalogue(
                    id="a", title="A", url=server.url, private=True, auth=PERSON, timeout=20, **more
                )
                client = client_for(made)
                try:
                    await use(client, hubs, server)
                finally:
                    await client.close()

    asyncio.run(go())


def test_the_persons_own_token_comes_from_the_hub_and_goes_to_the_catalogue_alone(monkeypatch):
    def hub(_):
        return answer({"access_token": "of-ana", "token_type": "Bearer", "expires_in": 300})

    async def use(client, hubs, server):
        await asyncio.gather(*(client.json("x") for _ in range(5)))
        (asked,) = hubs.asked
        assert (asked.method, asked.path, asked.json) == (
            "POST",
            "/hub/api/cubehub/access-token",
            {"audience": "partner-stac"},
        )
        assert asked.headers["authorization"] == "token token-of-the-server"
        assert {one.headers["authorization"] for one in server.asked} == {"Bearer of-ana"}
        assert all("token-of-the-server" not in str(one) for one in server.asked)

    with_hub(monkeypatch, hub, lambda _: answer({}), use)


def test_only_catalogues_that_say_so_are_asked_as_the_person(monkeypatch):
    async def go():
        async with (
            answering(lambda _: answer({"access_token": "t"})) as hubs,
            answering(lambda _: answer({})) as server,
        ):
            monkeypatch.setenv("JUPYTERHUB_API_URL", f"{hubs.url}/hub/api")
            monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "token-of-the-server")
            client = client_for(Catalogue(id="a", title="A", url=server.url, private=True))
            await client.json("x")
            await client.close()
            assert hubs.connections == 0
            assert "authorization" not in server.asked[0].headers

    asyncio.run(go())


def test_a_401_is_tried_once_more_and_then_the_person_signs_in(monkeypatch):
    numbers = iter(range(100))

    def hub(_):
        return answer({"access_token": f"t{next(numbers)}", "expires_in": 300})

    async def use(client, hubs, server):
        with pytest.raises(SignInError) as error:
            await client.json("x")
        assert (error.value.status, error.value.code) == (401, "sign_in")
        assert "https://account.example" in error.value.hint
        assert [one.headers["authorization"] for one in server.asked] == ["Bearer t0", "Bearer t1"]
        assert [one.json.get("fresh", False) for one in hubs.asked] == [False, True]

    with_hub(monkeypatch, hub, lambda _: answer({}, 401), use, sign_in="https://account.example")


def test_where_no_log_in_would_help_the_hubs_hint_is_told(monkeypatch):
    told = {
        "code": "audience_refused",
        "message": "No tokens for that.",
        "hint": "Tell your administrator: name it.",
    }

    async def use(client, _hubs, server):
        with pytest.raises(SignInError, match="No tokens for that") as error:
            await client.json("x")
        assert error.value.hint == told["hint"]
        assert server.connections == 0
        assert "token-of-the-server" not in json.dumps(error.value.to_dict())

    with_hub(
        monkeypatch, lambda _: answer(told, 403), lambda _: answer({}), use, sign_in="https://account.example"
    )


def too_many(**headers):
    told = {"code": "too_many", "message": "Your servers asked too often.", "hint": "Try again in 9 s."}
    return answer(told, 429, **headers)


def paused(client):
    """Have the waits for the Hub written down, and not made."""
    waits = []

    async def pause(seconds):
        waits.append(seconds)

    client.credentials._issuer._pause = pause
    return waits


def test_a_hub_that_was_asked_too_often_is_asked_again_when_it_says(monkeypatch):
    said = [too_many(Retry_After="9"), too_many()]

    async def use(client, hubs, _server):
        waits = paused(client)
        assert (await client.json("x")).value == {"ok": True}
        assert waits == [9, 2]
        assert len(hubs.asked) == 3

    def hub(_):
        return said.pop(0) if said else answer({"access_token": "t", "expires_in": 300})

    with_hub(monkeypatch, hub, lambda _: answer({"ok": True}), use)


@pytest.mark.parametrize(("after", "waits"), [("60", []), ("3", [3, 3])])
def test_a_hub_that_goes_on_saying_so_is_told_to_the_person(monkeypatch, after, waits):
    async def use(client, hubs, server):
        made = paused(client)
        with pytest.raises(UpstreamError) as error:
            await client.json("x")
        assert not isinstance(error.value, SignInError)
        assert (error.value.code, error.value.upstream_status) == ("too_many", None)
        assert "too often" in error.value.message
        assert f"in {after} s" in error.value.hint
        assert made == waits
        assert len(hubs.asked) == len(waits) + 1
        assert server.asked == []

    with_hub(monkeypatch, lambda _: too_many(Retry_After=after), lambda _: answer({}), use)


def test_a_catalogue_that_refuses_each_token_has_the_last_word(monkeypatch):
    said = [answer({"access_token": "t", "expires_in": 300})]

    async def use(client, _hubs, server):
        waits = paused(client)
        for _ in range(2):
            with pytest.raises(SignInError, match="no such person"):
                await client.json("x")
        assert waits == []
        assert len(server.asked) == 2

    def hub(_):
        return said.pop(0) if said else too_many(Retry_After="9")

    with_hub(monkeypatch, hub, lambda _: answer({"detail": "no such person"}, 401), use)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize(
    ("said", "hint"),
    [
        ({"code": "no_scope", "description": "Not this token.", "hint": "Restart your server t-1234."}, "Restart your server …."),
        ({"description": "Not this token."}, "Stop your server and start it again"),
        ({"description": "Not this token.", "hint": 3}, "Stop your server and start it again"),
        ([], "Stop your server and start it again"),
    ],
)  # fmt: skip
def test_what_the_platforms_own_catalogue_says_to_do_is_told(monkeypatch, tmp_path, status, said, hint):
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "t-1234")
    (tmp_path / "c.yaml").write_text("catalogues: [{id: a, title: A, url: /stac/, auth: {type: hub}}]")

    async def go():
        async with answering(lambda _: answer(said, status)) as hub:
            (catalogue,) = load_settings(tmp_path / "c.yaml", platform_url=hub.url).catalogues
            own = client_for(catalogue)
            other = client_for(Catalogue(id="b", title="B", url=hub.url, private=True))
            try:
                for client, is_platform in ((own, True), (other, False)):
                    with pytest.raises(UpstreamError) as error:
                        await client.json("x")
                    assert (hint in error.value.hint) is is_platform
            finally:
                await own.close()
                await other.close()

    asyncio.run(go())


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (answer({"code": "sign_in", "message": "You are not logged in any more."}, 401), "sign_in"),
        (answer({"code": "away", "message": "The account service does not answer."}, 503), "upstream_error"),
        (answer({"access_token": "with\nline"}), "no_token"),
    ],
)
def test_what_the_hub_says(monkeypatch, said, code):
    async def use(client, _hubs, server):
        with pytest.raises(UpstreamError) as error:
            await client.json("x")
        assert error.value.code == code
        assert isinstance(error.value, SignInError) == (code == "sign_in")
        if code == "sign_in":
            assert "https://hub.example/hub/login" in error.value.hint
            assert "logged in any more" in error.value.message
        assert server.connections == 0
        assert "token-of-the-server" not in json.dumps(error.value.to_dict())

    with_hub(monkeypatch, lambda _: said, lambda _: answer({}), use)


def test_without_a_hub(monkeypatch):
    monkeypatch.delenv("JUPYTERHUB_API_URL", raising=False)

    async def go():
        client = Client(Catalogue(id="a", title="A", url="https://a.example", auth=PERSON))
        await client.close()
        asked = client_for(Catalogue(id="a", title="A", url="https://a.example", auth=PERSON))
        with pytest.raises(SignInError) as error:
            await asked.json("x")
        await asked.close()
        assert error.value.code == "no_platform"

    asyncio.run(go())
