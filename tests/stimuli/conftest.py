"""Servers on this machine: some work, some do not, some lie."""

from __future__ import annotations

import contextlib
import threading
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest


class Plain(SimpleHTTPRequestHandler):
    """A server that always sends whole files, and remembers what it was asked for."""

    def log_message(self, *_):
        self.server.asked.append((self.path, self.headers["Range"]))


class CutShort(Plain):
    """A server that breaks off after 1009 bytes of more."""

    def do_GET(self):
        self.log_message()
        self.send_response(200)
        self.send_header("Content-Length", "2003")
        self.end_headers()
        self.wfile.write(Path(self.translate_path(self.path)).read_bytes()[:1009])
        self.close_connection = True


class Elsewhere(Plain):
    """A server that sends everyone to another address."""

    def do_GET(self):
        self.log_message()
        self.send_response(302)
        self.send_header("Location", self.server.elsewhere + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()


class LogIn(Plain):
    """A network that answers for everyone, with a page of its own."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(b"<html>")


class Endless(Plain):
    """A server that never stops."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            while True:
                self.wfile.write(bytes(1 << 20))


HANDLERS = {"cut short": CutShort, "elsewhere": Elsewhere, "log-in": LogIn, "endless": Endless, "plain": Plain}


@pytest.fixture
def serve(monkeypatch):
    """Start a server of a folder, by the name of what it does or with a handler; return it and its address."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers = []

    def start(folder, handler="plain"):
        server = HTTPServer(("127.0.0.1", 0), partial(HANDLERS.get(handler, handler), directory=str(folder)))
        server.asked = []
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return server, f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()
