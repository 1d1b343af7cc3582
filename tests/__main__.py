"""Runs all tests: ``python -m tests [pytest's arguments]``, once on SQLite and once on a real PostgreSQL.

PostgreSQL comes out of a wheel and lives under var/test; tests that need a Redis start one by the fixture
``redis_url``. Returns the worse of the two exit codes.
"""

import os
import subprocess
import sys
from pathlib import Path

from evncare.embedded import ServerUnavailable, postgres_server

ROOT = Path(__file__).resolve().parent.parent
DIRECTORY = ROOT / "var" / "test"
# Files stay whole, for what their tests share, and in the order that tests/conftest.py gives them.
SHARED_OUT = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
# Settings of the caller's shell must not decide what is tested.
SETTINGS = {
    "ALLOWED_HOSTS", "CUSTOMER_CODE_PREFIXES", "DATABASE_URL", "DEBUG", "DJANGO_SETTINGS_MODULE", "HOTLINE",
    "LOG_LEVEL", "REDIS_URL", "SECRET_KEY",
}  # fmt: skip


def main(arguments: list[str]) -> int:
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in SETTINGS and not name.startswith(("SMS_", "IMPORT"))
    }

    def run(database: str, **settings: str) -> int:
        print(f"\n== Tests on {database} ==", flush=True)
        command = [sys.executable, "-m", "pytest", *SHARED_OUT, *arguments]
        return subprocess.run(command, cwd=ROOT, env=clean | settings).returncode

    try:
        on_sqlite = run("SQLite", DATABASE_URL=f"sqlite:///{DIRECTORY / 'test.sqlite3'}")
        with postgres_server(DIRECTORY / "postgres") as database_url:
            on_postgres = run("PostgreSQL", DATABASE_URL=database_url)
    except ServerUnavailable as error:
        print(f"evncare: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return max(on_sqlite, on_postgres)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
