"""The embedded servers, for real: each test starts its own."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psycopg
import pytest
import redis

from evncare import embedded
from evncare.embedded import ServerUnavailable, postgres_server, redis_server

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs a way out of root")


def ping(url: str) -> bool:
    with redis.Redis.from_url(url) as client:
        return bool(client.ping())


def ask(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
    return row[0] if row else None


def port_of(url: str) -> int:
    return int(url.rsplit(":", 1)[1].split("/")[0])


def wait_until_free(port: int, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except (ConnectionRefusedError, ConnectionResetError):
            return
        assert time.monotonic() < deadline, f"something still listens on port {port}"
        time.sleep(0.02)


def processes_mentioning(directory: Path) -> list[str]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if str(directory) in os.readlink(entry / "cwd") + (entry / "cmdline").read_text(errors="replace"):
                found.append(entry.name)
        except OSError:  # it ended meanwhile
            continue
    return found


def test_redis_starts_answers_stops_and_frees_its_port(tmp_path):
    with redis_server(tmp_path / "a place with spaces") as url:
        assert url.startswith("redis://127.0.0.1:")
        assert ping(url)
    wait_until_free(port_of(url), seconds=0)
    assert processes_mentioning(tmp_path) == []


def test_redis_lets_nobody_on_the_machine_write_files_or_load_code(tmp_path):
    with redis_server(tmp_path) as url, redis.Redis.from_url(url) as client:
        for command in ("CONFIG GET dir", "MODULE LIST"):
            with pytest.raises(redis.ResponseError, match="unknown command"):
                client.execute_command(command)


def test_postgres_starts_answers_stops_and_frees_its_port(tmp_path):
    with postgres_server(tmp_path / "a place with spaces") as url:
        assert url.startswith("postgres://evncare@127.0.0.1:")
        assert ask(url, "SHOW server_version").startswith("18.")
        assert ask(url, "SHOW server_encoding") == "UTF8"
        assert ask(url, "SELECT upper('điện lực đà nẵng')") == "ĐIỆN LỰC ĐÀ NẴNG"
    wait_until_free(port_of(url), seconds=0)
    assert processes_mentioning(tmp_path) == []


def test_postgres_role_may_create_databases_and_tables_but_is_no_superuser(tmp_path):
    with postgres_server(tmp_path) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE DATABASE other")
            connection.execute("CREATE TABLE public.here (id int)")
        assert ask(url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(url, "COPY (SELECT 1) TO PROGRAM 'cat'")
        with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
            ask(url.replace("evncare@", "postgres@"), "SELECT 1")


def test_postgres_keeps_its_data_for_the_next_start(tmp_path):
    with postgres_server(tmp_path) as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    with postgres_server(tmp_path) as url:
        assert ask(url, "SELECT answer FROM kept") == 42


def test_two_of_each_run_at_once(tmp_path):
    with (
        redis_server(tmp_path / "r1") as r1,
        redis_server(tmp_path / "r2") as r2,
        postgres_server(tmp_path / "p1") as p1,
        postgres_server(tmp_path / "p2") as p2,
    ):
        assert len({port_of(url) for url in (r1, r2, p1, p2)}) == 4
        assert ping(r1)
        assert ping(r2)
        assert ask(p1, "SHOW data_directory_mode") == ask(p2, "SHOW data_directory_mode") == "0700"


def test_a_second_server_in_the_same_directory_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "SECONDS_TO_STOP", 0.2)
    with redis_server(tmp_path), pytest.raises(ServerUnavailable, match="another server is using") as refusal:
        redis_server(tmp_path).__enter__()
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["pgdata", "pgdata.unfinished"])
def test_a_half_initialised_directory_is_wiped_and_redone(tmp_path, name):
    (tmp_path / name / "base" / "1").mkdir(parents=True)
    (tmp_path / name / "postgresql.conf").write_text("rubbish")
    with postgres_server(tmp_path) as url:
        assert ask(url, "SELECT 1") == 1
    assert not (tmp_path / "pgdata.unfinished").exists()


def test_a_stale_pid_file_that_names_a_living_process_does_not_matter(tmp_path):
    with postgres_server(tmp_path):
        pid_file = (tmp_path / "pgdata" / "postmaster.pid").read_text()
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        (tmp_path / "pgdata" / "postmaster.pid").write_text("\n".join([str(stranger.pid), *pid_file.split("\n")[1:]]))
        with postgres_server(tmp_path) as url:
            assert ask(url, "SELECT 1") == 1
    finally:
        stranger.kill()
        stranger.wait()


def killed_parent(tmp_path: Path, way: int) -> list[int]:
    """Start both servers in a Python of their own, kill that with -9, and return the two ports."""
    code = f"""
        from pathlib import Path
        from evncare import embedded
        ways = embedded._ways_out_of_root()
        embedded._ways_out_of_root = lambda: ways[{way}:]
        directory = Path({str(tmp_path)!r})
        with embedded.redis_server(directory / "r") as r, embedded.postgres_server(directory / "p") as p:
            print(r, p, flush=True)
            input()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(embedded.__file__).parents[1],
    ) as parent:
        urls = parent.stdout.readline().split()
        assert ping(urls[0])
        assert ask(urls[1], "SELECT 1") == 1
        assert processes_mentioning(tmp_path / "r")
        assert processes_mentioning(tmp_path / "p")
        parent.send_signal(signal.SIGKILL)
    return [port_of(url) for url in urls]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells a process of its parent's death")
@pytest.mark.parametrize("way", [0, pytest.param(1, marks=as_root)], ids=["first way", "fallback of root"])
def test_servers_die_with_their_killed_parent_and_start_again(tmp_path, way):
    for port in killed_parent(tmp_path, way):
        wait_until_free(port)
    with redis_server(tmp_path / "r") as url:
        assert ping(url)
    with postgres_server(tmp_path / "p") as url:
        assert ask(url, "SELECT 1") == 1
    assert processes_mentioning(tmp_path) == []


@as_root
def test_root_without_user_namespaces_runs_postgres_as_nobody(tmp_path, monkeypatch):
    namespace, nobody = embedded._ways_out_of_root()
    for ways, owner in (([nobody], nobody[1]), ([namespace], 0), ([(["false"], 0), nobody], nobody[1])):
        monkeypatch.setattr(embedded, "_ways_out_of_root", lambda ways=ways: ways)
        with postgres_server(tmp_path) as url:
            assert ask(url, "SELECT 1") == 1
        assert (tmp_path / "pgdata" / "PG_VERSION").stat().st_uid == owner


@as_root
def test_root_with_no_way_out_is_told_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(embedded, "_ways_out_of_root", lambda: [(["false"], 0), (["no-such-command"], 0)])
    with pytest.raises(ServerUnavailable, match=r"refuses to run as root.*use another user") as refusal:
        postgres_server(tmp_path).__enter__()
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("server", [redis_server, postgres_server])
def test_a_missing_wheel_is_told_in_one_line_with_the_remedy(tmp_path, monkeypatch, server):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ServerUnavailable, match=r"pip install -r requirements-dev\.txt") as refusal:
        server(tmp_path).__enter__()
    assert "\n" not in str(refusal.value)


def test_a_server_that_dies_shows_the_end_of_its_log(tmp_path):
    with postgres_server(tmp_path):
        pass
    (tmp_path / "pgdata" / "postgresql.conf").write_text("no_such_setting = 1\n")
    with pytest.raises(ServerUnavailable, match=r"PostgreSQL did not start.*no_such_setting") as refusal:
        postgres_server(tmp_path).__enter__()
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("server", [redis_server, postgres_server])
def test_a_port_lost_to_another_program_is_tried_again(tmp_path, monkeypatch, server):
    create_server, taken = socket.create_server, []

    def lose_the_first(address):
        if taken:
            return create_server(address)
        taken.append(create_server(address))
        return taken[0].dup()

    monkeypatch.setattr(socket, "create_server", lose_the_first)
    with server(tmp_path) as url:
        assert port_of(url) != taken[0].getsockname()[1]
    taken[0].close()
