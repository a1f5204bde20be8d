"""The cluster that `--workers` starts is its user's alone."""

from __future__ import annotations

import re
import socket
import ssl
import urllib.error
import urllib.request

import dask
import psutil
import pytest
from distributed import Client, Security
from refused import refused

from neuroattn.compute.cluster import dask_client

pytestmark = pytest.mark.process


def listening():
    """Return where this process and those that it started listen."""
    this = psutil.Process()
    connections = [found for one in (this, *this.children(recursive=True)) for found in one.net_connections("inet")]
    return [found.laddr for found in connections if found.status == psutil.CONN_LISTEN]


@pytest.fixture(scope="module")
def local():
    before = set(listening())
    with dask_client(1, None) as client:
        yield client, sorted(set(listening()) - before)


def test_a_local_cluster_listens_on_the_loopback_alone(local):
    client, places = local
    assert re.fullmatch(r"tls://127\.0\.0\.1:\d+", client.scheduler.address)
    assert len(places) == 5  # scheduler, nanny, worker, and the two web servers
    assert {place.ip for place in places} == {"127.0.0.1"}


def test_it_serves_no_page_and_nobody_without_its_key(local):
    """A port either knows no page, or wants TLS and a certificate."""
    _, places = local
    found = [_answer(place) for place in places]
    assert sorted(found) == ["404"] * 2 + ["TLSV13_ALERT_CERTIFICATE_REQUIRED"] * 3


def _answer(place):
    """Return how a port answers a browser, and where it does not speak HTTP, how a stranger who speaks TLS."""
    try:
        codes = {_status(place, page) for page in ("status", "json/identity.json", "info/main/workers.html", "metrics")}
        return " ".join(sorted(codes))
    except OSError:
        stranger = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        stranger.check_hostname, stranger.verify_mode = False, ssl.CERT_NONE
    try:
        with (
            socket.create_connection(place, timeout=10) as plain,
            stranger.wrap_socket(plain) as connection,
        ):
            connection.recv(1)  # TLS 1.3 asks for the certificate after the stranger's part of the handshake
    except ssl.SSLError as error:
        return error.reason
    return "lets a stranger in"


def _status(place, page):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{place.port}/{page}", timeout=10) as answer:
            return str(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return str(error.code)


def test_arrays_of_others_are_computed_as_before(local):
    client, _ = local
    assert dask.config.get("scheduler", None) is None
    with dask_client(1, None) as another:
        assert dask.config.get("scheduler", None) is None
        assert another.submit(sum, [11, 13], pure=False).result() == 24
    assert dask.config.get("scheduler", None) is None
    assert client.submit(sum, [11, 13], pure=False).result() == 24


def test_a_client_without_its_key_runs_nothing(local):
    client, _ = local
    address = client.scheduler.address
    with pytest.raises(OSError, match=r"Connection reset|closed|Timed out"):
        Client(address.replace("tls://", "tcp://"), timeout="3s", set_as_default=False)
    with pytest.raises((OSError, AssertionError)):
        Client(address, security=Security.temporary(), timeout="3s", set_as_default=False)
    assert client.submit(sum, [11, 13], pure=False).result() == 24


def test_a_scheduler_with_tls_for_which_there_are_no_certificates(local):
    client, _ = local
    address = client.scheduler.address
    text = f"dask must be the address of a running scheduler, got {address!r} (TLS expects"
    with refused(f"{text}*"), dask_client(1, address):
        pass
