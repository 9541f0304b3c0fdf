"""A Hub that knows some people, for tests: the two addresses that the catalogue asks."""

import json
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote

SERVICE_TOKEN = "of-the-catalogue"
SCOPE = "access:services!service=catalogue"


class Hub:
    """Its people can be changed while it runs."""

    def __init__(self):
        self.people = {}
        """Name to account."""
        self.tokens = {}
        """Token to what the Hub says about its holder."""
        self.broken = False
        self.asked = 0
        self.url = ""
        self.add("ana", "/water", "/all")
        self.add("ben", "/all")
        self.add("cem")
        self.tokens["operator"] = {"kind": "service", "name": "cli", "scopes": ["custom:cubehub:users"]}
        self.tokens["scopeless"] = {"kind": "user", "name": "ana", "scopes": []}

    def add(self, name, *groups):
        self.people[name] = {"id": f"id-{name}", "enabled": True, "groups": list(groups)}
        self.tokens[name] = {"kind": "user", "name": name, "scopes": [SCOPE]}

    def answer(self, path, token):
        self.asked += 1
        if self.broken:
            return 500, {}
        if path == "/user":
            return (200, self.tokens[token]) if token in self.tokens else (403, {})
        name = unquote(path.split("/")[3])
        if token != SERVICE_TOKEN:
            return 403, {}
        account = self.people.get(name)
        if account is None:
            return 404, {}
        refusal = (
            None if account["enabled"] else {"code": "account_disabled", "message": "You are suspended."}
        )
        return 200, {"name": name, "account": account, "refusal": refusal}


@contextmanager
def running_hub():
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            token = self.headers.get("Authorization", "").removeprefix("token ")
            status, answer = hub.answer(self.path.removeprefix("/hub/api"), token)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.url = f"http://127.0.0.1:{server.server_port}/hub/api"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
