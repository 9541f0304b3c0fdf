"""The handler in a real Hub, by real tokens; only Keycloak is stood in for."""

import asyncio
import json
import logging
import time

import jwt
from cubehub import entitlements
from cubehub.access_tokens import HANDLERS, SETTINGS_KEY, Exchange
from jupyterhub import orm, roles
from jupyterhub.app import JupyterHub
from jupyterhub.auth import Authenticator
from jupyterhub.crypto import CryptKeeper
from tornado.httpclient import AsyncHTTPClient, HTTPRequest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from traitlets.config import Config

KEY = "a key of thirty-two bytes or more"
LIST = "catalogues: [{auth: {type: person, audience: stac}}]"


def token(**claims):
    return jwt.encode({"iat": time.time(), "exp": time.time() + 300, **claims}, KEY)


class StandIn(Authenticator):
    """Trades tokens, and renews log-ins, as Keycloak's authenticator does."""

    client_id, client_secret, token_url = "hub", "hub-secret", "http://keycloak/token"
    refreshed = 0
    ended = False

    def get_handlers(self, _app):
        return [*HANDLERS, *entitlements.HANDLERS]

    async def refresh_user(self, user, _handler=None, **_):
        type(self).refreshed += 1
        if self.ended:
            return False
        return {"name": user.name, "auth_state": {"access_token": token(), "refresh_token": "r"}}

    async def httpfetch(self, *_, **__):
        return {"access_token": token(aud="stac")}


def hub_config(tmp_path):
    config = Config()
    config.JupyterHub.db_url = "sqlite:///:memory:"
    config.JupyterHub.authenticator_class = StandIn
    config.JupyterHub.cookie_secret = b"c" * 32
    config.JupyterHub.log_level = logging.CRITICAL
    config.JupyterHub.pid_file = ""
    config.JupyterHub.data_files_path = str(tmp_path)
    config.JupyterHub.tornado_settings = {
        SETTINGS_KEY: Exchange(lambda: tmp_path / "c.yaml", steady=lambda: 0.0)
    }
    config.ConfigurableHTTPProxy.auth_token = "t"
    config.StandIn.enable_auth_state = True
    config.StandIn.allow_all = True
    config.StandIn.auth_refresh_age = 300
    config.StandIn.auth_refresh_strict = True
    return config


def run(tmp_path, monkeypatch, use, **settings):
    """Run `use(ask, people)`; `ask(token)` posts and gives status and JSON."""
    (tmp_path / "c.yaml").write_text(LIST)
    monkeypatch.setenv("JUPYTERHUB_CRYPT_KEY", "6b" * 32)
    monkeypatch.setattr(StandIn, "refreshed", 0)
    monkeypatch.setattr(StandIn, "ended", False)
    config = hub_config(tmp_path)
    config.JupyterHub.update(settings)

    async def go():
        hub = JupyterHub(config=config)
        await hub.initialize([])
        server = HTTPServer(hub.tornado_application)
        sockets = bind_sockets(0, "127.0.0.1")
        server.add_sockets(sockets)
        url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}/hub/api/cubehub/access-token"
        people = {}
        for name in ("ana", "ben"):
            made = orm.User(name=name)
            hub.db.add(made)
            hub.db.commit()
            user = people[name] = hub.users[made]
            roles.assign_default_roles(hub.db, entity=made)
            user._auth_refreshed = time.monotonic()
            await user.save_auth_state({"access_token": token(), "refresh_token": "r"})
            user.spawners[""]._spawn_pending = True

        async def ask(sent, audience="stac", notices=False, **more):
            headers = {"Authorization": f"token {sent}"} if sent else {}
            request = HTTPRequest(url, "POST", headers, json.dumps({"audience": audience, **more}))
            if notices:
                request = HTTPRequest(url.replace("access-token", "notices?wait=0"), "GET", headers)
            client = AsyncHTTPClient(force_instance=True)
            try:
                answer = await client.fetch(request, raise_error=False)
            finally:
                client.close()
            return answer.code, json.loads(answer.body), answer.headers

        try:
            await use(ask, people)
        finally:
            server.stop()
            await server.close_all_connections()
            JupyterHub.clear_instance()
            CryptKeeper.clear_instance()

    asyncio.run(go())


OWN, OTHER = ["access:servers!server=ana/", "users:activity!user=ana"], ["access:servers!server=ben/"]


def test_a_server_gets_a_token_and_nobody_else(tmp_path, monkeypatch):
    async def use(ask, people):
        ana, ben = people["ana"], people["ben"]
        own = ana.new_api_token(note="Server at /user/ana/", scopes=OWN)
        status, told, headers = await ask(own)
        assert (status, set(told)) == (200, {"access_token", "token_type", "expires_in"})
        claims = jwt.decode(told["access_token"], options={"verify_signature": False})
        assert claims["aud"] == "stac"
        assert (told["token_type"], told["expires_in"] > 290) == ("Bearer", True)
        assert headers["Cache-Control"] == "no-store"
        assert StandIn.refreshed == 0
        assert (await ask(own, "hub"))[:2][1]["code"] == "audience_refused"
        assert (await ask(own, ["stac"]))[0] == 400
        strangers = {
            "all of hers": ana.new_api_token(),
            "hers for nothing": ana.new_api_token(scopes=["read:users:name!user=ana"]),
            "hers for all her servers": ana.new_api_token(scopes=["access:servers!user=ana"]),
            "hers for a server that does not run": ana.new_api_token(
                scopes=["access:servers!server=ana/other"]
            ),
            "nobody's": "rubbish",
            "none": None,
        }
        for name, sent in strangers.items():
            status, told, _ = await ask(sent)
            assert status == 403, name
            assert "access_token" not in told
        theirs = ben.new_api_token(scopes=OTHER)
        assert (await ask(theirs))[0] == 200
        ben.spawners[""]._spawn_pending = False
        assert (await ask(theirs))[0] == 403

    run(tmp_path, monkeypatch, use)


def test_who_is_shared_a_server_gets_nothing_of_its_owner(tmp_path, monkeypatch):
    async def use(ask, people):
        ana, ben = people["ana"], people["ben"]
        orm.Share.grant(ana.db, ben.spawners[""].orm_spawner, ana.orm_user)
        shared = ana.new_api_token(scopes=OTHER)
        status, told, _ = await ask(shared)
        assert (status, told["code"]) == (403, "forbidden")
        status, told, _ = await ask(shared, notices=True)
        assert (status, told["code"]) == (403, "forbidden")
        # of a server of one's own: here it is none that has notices
        status, told, _ = await ask(ana.new_api_token(scopes=OWN), notices=True)
        assert (status, told["code"]) == (404, "not_found")

    run(tmp_path, monkeypatch, use)


def test_a_log_in_is_renewed_once_more_than_the_request_itself_did(tmp_path, monkeypatch):
    async def use(ask, people):
        ana = people["ana"]
        own = ana.new_api_token(scopes=OWN)
        await ana.save_auth_state({"access_token": token(exp=time.time() + 3), "refresh_token": "r"})
        assert (await ask(own))[0] == 200
        assert StandIn.refreshed == 1
        # the Hub renews it at the beginning of the request, and that is not enough
        ana._auth_refreshed = None
        await ana.save_auth_state({"access_token": token(exp=time.time() + 3), "refresh_token": "r"})
        assert (await ask(own))[0] == 200

    run(tmp_path, monkeypatch, use)


def test_a_log_in_that_has_ended(tmp_path, monkeypatch):
    async def use(ask, people):
        ana = people["ana"]
        own = ana.new_api_token(scopes=OWN)
        await ana.save_auth_state(None)
        status, told, _ = await ask(own)
        assert (status, told["code"]) == (401, "sign_in")
        await ana.save_auth_state({"access_token": token(exp=time.time() - 1), "refresh_token": "r"})
        StandIn.ended = True
        assert (await ask(own))[0] == 401

    run(tmp_path, monkeypatch, use)


def test_settings_that_were_replaced(tmp_path, monkeypatch):
    async def use(ask, people):
        status, told, _ = await ask(people["ana"].new_api_token(scopes=OWN))
        assert (status, told["code"]) == (503, "not_set_up")

    run(tmp_path, monkeypatch, use, tornado_settings={})


def test_a_server_that_asks_too_often_is_told_when_to_ask_again(tmp_path, monkeypatch):
    async def use(ask, people):
        own = people["ana"].new_api_token(scopes=OWN)
        first = (await ask(own))[1]["access_token"]
        for _ in range(10):
            status, told, _ = await ask(own)
            assert (status, told["access_token"]) == (200, first)
        answers = [await ask(own, fresh=True) for _ in range(12)]
        status, told, headers = answers[-1]
        assert [status for status, _, _ in answers][:5] == [200] * 5
        assert (status, told["code"]) == (429, "too_many")
        assert set(told) == {"code", "message", "hint"}
        assert 1 <= int(headers["Retry-After"]) <= 10
        assert first not in json.dumps(told)
        # the token that was given last is had without Keycloak, and other people are not kept from theirs
        assert (await ask(own))[0] == 200
        assert (await ask(people["ben"].new_api_token(scopes=OTHER), fresh=True))[0] == 200

    run(tmp_path, monkeypatch, use)
