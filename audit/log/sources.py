"""Where a published log is read from: a directory, a zip file, or an HTTP address.

A source has one method, `get(path)`, for `checkpoint` and the paths of `audit.log.tiles`. It raises Missing for what
is not there and Unreadable for what cannot be read; they are told apart because only the first is the log's own fault.
"""

from __future__ import annotations

import http.client
import ipaddress
import time
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Protocol
from urllib.parse import SplitResult, urlsplit

from audit.log.tiles import MAX_BUNDLE_SIZE, Missing

CHECKPOINT = "checkpoint"


class Unreadable(Exception):
    """The log cannot be read at all: no such place, no permission, no connection, a damaged archive."""


class TileSource(Protocol):
    def get(self, path: str) -> bytes:
        """The bytes at `path`. Raises Missing or Unreadable."""
        ...


def open_source(place: str, *, token: str | None = None) -> TileSource:
    """The source for a directory, a zip file or an http(s) address; `token` only goes with an address."""
    if place.startswith(("http://", "https://")):
        return HttpSource(place, token=token)
    path = Path(place)
    if path.is_dir():
        return DirectorySource(path)
    if path.is_file():
        return ZipSource(path)
    raise Unreadable(f"{place} is neither a directory nor a zip file nor an http address")


def _checked(path: str, data: bytes) -> bytes:
    if len(data) > MAX_BUNDLE_SIZE:
        raise Unreadable(f"{path} is longer than any tile can be")
    return data


class DirectorySource:
    """A log exported into a directory."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def get(self, path: str) -> bytes:
        try:
            with (self._root / path).open("rb") as file:
                return _checked(path, file.read(MAX_BUNDLE_SIZE + 1))
        except (FileNotFoundError, NotADirectoryError):
            raise Missing(f"{path} is missing") from None
        except OSError as error:
            raise Unreadable(f"{path} cannot be read: {error.strerror}") from None


class ZipSource:
    """A log exported into a zip file, at its top or inside one folder."""

    def __init__(self, file: Path) -> None:
        try:
            self._zip = zipfile.ZipFile(file)
        except (OSError, zipfile.BadZipFile) as error:
            raise Unreadable(f"{file} is not a readable zip file: {error}") from None
        names = Counter(self._zip.namelist())
        if any(count > 1 for count in names.values()):
            # Which of the two is read depends on the program, so two people could check two different logs.
            raise Unreadable(f"{file} holds two files of one name")
        tops = sorted(
            (name.count("/"), name.removesuffix(CHECKPOINT))
            for name in names
            if name == CHECKPOINT or name.endswith("/" + CHECKPOINT)
        )
        if len(tops) > 1 and tops[0][0] == tops[1][0]:
            raise Unreadable(f"{file} holds more than one log")
        self._folder = tops[0][1] if tops else ""

    def get(self, path: str) -> bytes:
        try:
            with self._zip.open(self._folder + path) as member:
                return _checked(path, member.read(MAX_BUNDLE_SIZE + 1))
        except KeyError:
            raise Missing(f"{path} is missing") from None
        except (OSError, RuntimeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise Unreadable(f"{path} cannot be read from the zip file: {error}") from None


class HttpSource:
    """A served log, over one connection that is kept open. Redirects are not followed and proxies not used.

    `token` is sent as `Authorization: Bearer`, never over plain http except to this machine.
    """

    TIMEOUT = 30.0  # seconds
    ATTEMPTS = 4
    PAUSE = 0.5  # seconds before the second attempt, doubled for each further one

    def __init__(self, address: str, *, token: str | None = None) -> None:
        self._url = _split_address(address)
        self._prefix = self._url.path.rstrip("/")
        if token is not None and self._url.scheme == "http" and not _is_this_machine(self._url.hostname or ""):
            raise Unreadable("a token is only sent over https")
        self._headers = {"User-Agent": "glasscase-verify"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        kind = http.client.HTTPSConnection if self._url.scheme == "https" else http.client.HTTPConnection
        self._connection = kind(self._url.hostname or "", self._url.port, timeout=self.TIMEOUT)

    def close(self) -> None:
        self._connection.close()

    def get(self, path: str) -> bytes:
        failure = ""
        for attempt in range(self.ATTEMPTS):
            if attempt:
                time.sleep(self.PAUSE * 2 ** (attempt - 1))
            try:
                self._connection.request("GET", f"{self._prefix}/{path}", headers=self._headers)
                response = self._connection.getresponse()
                body = response.read(MAX_BUNDLE_SIZE + 1)
                if response.length:  # the rest of an over-long answer would be taken for the next one
                    self._connection.close()
            except (OSError, http.client.HTTPException) as error:
                self._connection.close()
                failure = str(error) or type(error).__name__
                continue
            if response.status == 200:
                return _checked(path, _plain(path, body, response.getheader("Content-Encoding")))
            failure = f"the server answered {response.status}"
            if response.status in (404, 410):
                raise Missing(f"{path} is missing")
            if response.status in (401, 403):
                raise Unreadable(f"{path} needs a valid --token")
            if response.status < 500 and response.status != 429:
                break
        raise Unreadable(f"{path} cannot be read from {self._url.netloc}: {failure}")


def _split_address(address: str) -> SplitResult:
    try:
        url = urlsplit(address)
        # Reading the port checks it; http.client writes the path into its request line as it is.
        usable = url.hostname and (url.port or True) and not (url.username or url.query or url.fragment)
        usable = usable and address.isascii() and address.isprintable() and " " not in address
    except ValueError:
        usable = False
    if not usable:
        raise Unreadable(f"{address} is not the address of a log")
    return url


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _plain(path: str, body: bytes, encoding: str | None) -> bytes:
    """Undoes gzip, which a server may apply unasked, without unpacking more than a tile can hold."""
    if encoding in (None, "identity"):
        return body
    if encoding != "gzip":
        raise Unreadable(f"{path} came in the unknown encoding {encoding!r}")
    unpacker = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        data = unpacker.decompress(body, MAX_BUNDLE_SIZE + 1)
    except zlib.error as error:
        raise Unreadable(f"{path} came damaged: {error}") from None
    if not unpacker.eof and len(data) <= MAX_BUNDLE_SIZE:
        raise Unreadable(f"{path} came damaged: the compressed answer breaks off")
    return data
