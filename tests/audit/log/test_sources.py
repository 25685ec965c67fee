"""Reading a log from a directory, a zip file and an HTTP server."""

from __future__ import annotations

import gzip
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from audit.log.check import check_log
from audit.log.sources import DirectorySource, HttpSource, Unreadable, ZipSource, open_source
from audit.log.tiles import MAX_BUNDLE_SIZE, Missing
from tests.audit.log.logs import Log, entries, write

LOG = Log(entries(300))
KEY = LOG.key.public
FILES = LOG.files()


def zipped(files: dict[str, bytes], path: Path, *, folder: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(folder + name, data)
    return path


def test_a_directory_is_read(tmp_path: Path) -> None:
    source = open_source(str(write(FILES, tmp_path)))
    assert isinstance(source, DirectorySource)
    assert check_log(source.get, [KEY]).checkpoint.size == 300
    with pytest.raises(Missing, match=r"tile/0/009 is missing"):
        source.get("tile/0/009")
    with pytest.raises(Missing):
        source.get("checkpoint/000")


def test_what_cannot_be_read_is_told_apart_from_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").mkdir()
    with pytest.raises(Unreadable, match="checkpoint cannot be read: Is a directory"):
        DirectorySource(tmp_path).get("checkpoint")


def test_a_file_longer_than_any_tile_is_not_read_into_memory(tmp_path: Path) -> None:
    with (tmp_path / "checkpoint").open("wb") as file:
        file.truncate(MAX_BUNDLE_SIZE + 1)
    with pytest.raises(Unreadable, match="longer than any tile can be"):
        DirectorySource(tmp_path).get("checkpoint")
    bomb = zipped({"checkpoint": bytes(MAX_BUNDLE_SIZE + 1)}, tmp_path / "bomb.zip")
    assert bomb.stat().st_size < 100_000
    with pytest.raises(Unreadable, match="longer than any tile can be"):
        ZipSource(bomb).get("checkpoint")


@pytest.mark.parametrize("folder", ["", "export/", "exports/2026/"])
def test_a_zip_file_is_read_with_the_log_at_its_top_or_in_a_folder(tmp_path: Path, folder: str) -> None:
    source = open_source(str(zipped(FILES, tmp_path / "log.zip", folder=folder)))
    assert isinstance(source, ZipSource)
    assert check_log(source.get, [KEY]).checkpoint.size == 300
    with pytest.raises(Missing, match=r"tile/0/009 is missing"):
        source.get("tile/0/009")


def test_an_older_log_deeper_in_the_zip_file_is_not_taken_for_the_log(tmp_path: Path) -> None:
    old = {f"old/{path}": data for path, data in LOG.files(20).items()}
    assert check_log(ZipSource(zipped(old | FILES, tmp_path / "log.zip")).get, [KEY]).checkpoint.size == 300


def test_a_zip_file_that_can_be_read_in_two_ways_is_refused(tmp_path: Path) -> None:
    two = {f"a/{path}": data for path, data in FILES.items()} | {f"b/{path}": data for path, data in FILES.items()}
    with pytest.raises(Unreadable, match="more than one log"):
        ZipSource(zipped(two, tmp_path / "two.zip"))
    with zipfile.ZipFile(tmp_path / "twice.zip", "w") as archive:
        archive.writestr("checkpoint", b"one")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("checkpoint", b"two")
    with pytest.raises(Unreadable, match="two files of one name"):
        ZipSource(tmp_path / "twice.zip")


def test_a_damaged_zip_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.zip").write_bytes(b"PK")
    with pytest.raises(Unreadable, match="not a readable zip file"):
        open_source(str(tmp_path / "no.zip"))
    path = zipped({"checkpoint": b"x" * 50}, tmp_path / "log.zip")
    data = bytearray(path.read_bytes())
    data[data.index(b"checkpoint") + len(b"checkpoint")] ^= 0xFF  # the first compressed byte
    path.write_bytes(data)
    with pytest.raises(Unreadable, match="checkpoint cannot be read from the zip file"):
        ZipSource(path).get("checkpoint")


def test_a_place_that_is_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="neither a directory nor a zip file nor an http address"):
        open_source(str(tmp_path / "nothing"))


class Server(ThreadingHTTPServer):
    """Serves `files`; `answers` holds statuses to give first, `token` is asked for where it is set."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files = FILES
        self.answers: list[int] = []
        self.token: str | None = None
        self.gzip = False
        self.connections = 0
        self.asked: list[str] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        self.server.connections += 1
        super().setup()

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Keeps the test's output clean."""

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        if self.server.answers:
            self.answer(self.server.answers.pop(0))
        elif self.server.token is not None and self.headers["Authorization"] != f"Bearer {self.server.token}":
            self.answer(401)
        elif (body := self.server.files.get(self.path.removeprefix("/log/"))) is None:
            self.answer(404)
        else:
            self.answer(200, body)

    def answer(self, status: int, body: bytes = b"") -> None:
        if status == 0:  # hangs up without a word
            self.close_connection = True
            return
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/elsewhere")
        if self.server.gzip:
            body = gzip.compress(body)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(HttpSource, "PAUSE", 0.0)
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def source(server: Server) -> Iterator[HttpSource]:
    opened = open_source(f"{server.address}/log/")
    assert isinstance(opened, HttpSource)
    yield opened
    opened.close()


def test_a_served_log_is_read_over_one_connection(server: Server, source: HttpSource) -> None:
    assert check_log(source.get, [KEY]).checkpoint.size == 300
    assert sorted(server.asked) == sorted(f"/log/{path}" for path in FILES)
    assert server.connections == 1


def test_a_log_that_grows_while_it_is_read_is_read_from_full_tiles(server: Server, source: HttpSource) -> None:
    grown = Log(entries(520)).files()
    server.files = {path: data for path, data in grown.items() if ".p/" not in path} | {
        path: LOG.files()[path] for path in ("checkpoint", "tile/1/000.p/1")
    }
    assert check_log(source.get, [KEY]).checkpoint.size == 300
    assert "/log/tile/0/001.p/44" in server.asked


def test_an_answer_compressed_unasked_is_unpacked(server: Server, source: HttpSource) -> None:
    server.gzip = True
    assert source.get("checkpoint") == FILES["checkpoint"]
    server.files = {"checkpoint": bytes(MAX_BUNDLE_SIZE + 1)}
    with pytest.raises(Unreadable, match="longer than any tile can be"):
        source.get("checkpoint")


def test_a_path_that_is_not_there_is_missing(source: HttpSource) -> None:
    with pytest.raises(Missing, match="tile/0/009 is missing"):
        source.get("tile/0/009")


def test_passing_trouble_is_waited_out(server: Server, source: HttpSource) -> None:
    server.answers = [503, 0, 429]
    assert source.get("checkpoint") == FILES["checkpoint"]


def test_lasting_trouble_is_told(server: Server, source: HttpSource) -> None:
    server.answers = [500] * 10
    with pytest.raises(Unreadable, match="the server answered 500"):
        source.get("checkpoint")
    assert len(server.asked) == HttpSource.ATTEMPTS


@pytest.mark.parametrize("status", [302, 400])
def test_neither_redirects_nor_refusals_are_tried_again(server: Server, source: HttpSource, status: int) -> None:
    server.answers = [status]
    with pytest.raises(Unreadable, match=f"the server answered {status}"):
        source.get("checkpoint")
    assert server.asked == ["/log/checkpoint"]


def test_the_token_is_sent_and_asked_for(server: Server, source: HttpSource) -> None:
    server.token = "secret"
    with pytest.raises(Unreadable, match="checkpoint needs a valid --token"):
        source.get("checkpoint")
    with_token = HttpSource(f"{server.address}/log", token="secret")
    assert with_token.get("checkpoint") == FILES["checkpoint"]
    with_token.close()


def test_a_server_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpSource, "PAUSE", 0.0)
    with pytest.raises(Unreadable, match=r"cannot be read from 127\.0\.0\.1:1: .*refused"):
        HttpSource("http://127.0.0.1:1/log").get("checkpoint")


@pytest.mark.parametrize(
    "address",
    [
        "http://",
        "http://:80/log",
        "http://host:port/log",
        "http://host:99999/log",
        "http://user:word@host/log",
        "http://host/log?x=1",
        "http://host/log#x",
        "http://[::1/log",
        "http://host/a b",
        "http://host/\udc80",
    ],
)
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(Unreadable, match="is not the address of a log"):
        open_source(address)


@pytest.mark.parametrize("host", ["log.example.org", "10.0.0.5", "localhost.example.org"])
def test_a_token_never_travels_readable_over_a_network(host: str) -> None:
    with pytest.raises(Unreadable, match="only sent over https"):
        HttpSource(f"http://{host}/log", token="secret")
    HttpSource(f"https://{host}/log", token="secret").close()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]", "localhost"])
def test_a_token_may_go_to_this_machine(host: str) -> None:
    HttpSource(f"http://{host}:8000/log", token="secret").close()
