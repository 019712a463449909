"""The built wheel works where the sources are not: the demo runs, a subscription comes back, the door stays light."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
OPTIONAL = ["cattrs", "hypothesis", "sqlalchemy", "typer"]

PROGRAM = f"""
import sys
import subscription_lifecycle
assert not [name for name in {OPTIONAL} if name in sys.modules]
assert "site-packages" in subscription_lifecycle.__file__

from subscription_lifecycle import *
from subscription_lifecycle.testing import FakeClock, FakeGateway

clock = FakeClock("2026-01-31T09:00Z")
subs = Subscriptions(MemoryStore(), FakeGateway(), clock=clock)
alice, card = Actor("alice", Role.BILLING_ADMIN, customer="contoso"), PaymentMethod.card("tok", country="NL")
plan = Plan("business", Money(2000, "EUR"), MONTHLY)
subs.start("sub_1", customer="contoso", plan=plan, payment_method=card, by=alice, idempotency_key="start")
clock.advance(days=3)
cancelled = subs.cancel("sub_1", when="now", by=alice, idempotency_key="cancel").subscription
assert cancelled.state is CANCELLED, cancelled
active = subs.reactivate("sub_1", payment_method=card, by=alice, idempotency_key="reactivate").subscription
assert active.state is ACTIVE, active
assert active.next_billing_date == cancelled.next_billing_date

from hypothesis import strategies as st
st.from_type(Money).validate()
"""


def run(*command: str | Path, cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, ROOT, cwd=folder)
    [built] = folder.glob("*.whl")
    return built


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    sources = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*") if path.is_file()}
    assert packed == {name for name in sources if "__pycache__" not in name}
    assert "subscription_lifecycle/py.typed" in packed


@pytest.mark.slow
def test_the_installed_wheel_runs_without_the_sources(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", "--without-pip", "venv", cwd=tmp_path)
    python = tmp_path / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-compile"]
    run(*pip, f"{wheel}[cli,testing]", cwd=tmp_path)
    run(python, "-W", "error", "-c", PROGRAM, cwd=tmp_path)
    assert "reactivate" in run(python, "-m", "subscription_lifecycle", "demo", cwd=tmp_path).lower()
