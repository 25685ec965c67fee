"""Tests reach nothing but loopback and unix sockets: proved, not assumed."""

from __future__ import annotations

import socket
import urllib.request

import pytest
from pytest_socket import SocketConnectBlockedError

# The plugin warns and raises; a warning would end the test before the exception does.
pytestmark = pytest.mark.filterwarnings("ignore:A test tried to use socket:UserWarning")


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("198.51.100.7", 443)])
def test_a_connection_to_another_machine_is_blocked(address):
    with pytest.raises(SocketConnectBlockedError), socket.socket() as outside:
        outside.connect(address)


def test_a_download_is_blocked():
    with pytest.raises(SocketConnectBlockedError):
        urllib.request.urlopen("http://192.0.2.1/model.onnx", timeout=2)


def test_loopback_and_unix_sockets_are_open():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()
    with socket.socket(socket.AF_UNIX) as local:
        assert local.family == socket.AF_UNIX
