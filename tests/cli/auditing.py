"""An auditor's commands within this process, on a ledger with three cancellations."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.cli import main
from bot.ledger.ledger import Ledger
from tests.builders import Clock
from tests.cli.large import fill
from tests.cli.stage import Ended

CONFIG = """\
database = "{folder}/ledger.db"

[accounts.prod]
cloud = "aliyun"
region = "cn-shanghai"
key_id = "env:NOT_HERE"
key_secret = "env:NOT_HERE_EITHER"
requesters = ["U0ANN"]
approvers = ["S0LEADS"]
channels = ["C0OPS"]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Auditor:
    """Somebody with the config file, no secret of it, and a terminal that is none."""

    folder: Path
    ledger: Ledger
    said: pytest.CaptureFixture[str]

    @property
    def config(self) -> list[str]:
        """Return the words that name the config file."""
        return ["--config", str(self.folder / "ota-bot.toml")]

    def audit(self, *words: str) -> Ended:
        """Run `ota-bot audit`."""
        self.said.readouterr()
        try:
            code = main(["audit", *words, *self.config])
        except SystemExit as ended:
            code = int(ended.code or 0)
        out, err = self.said.readouterr()
        return Ended(code=code, out=out, err=err)


@pytest.fixture
def auditor(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Auditor]:
    """Return an auditor beside somebody who has the ledger open for writing."""
    (tmp_path / "ota-bot.toml").write_text(CONFIG.format(folder=tmp_path))
    clock = Clock()
    ledger = Ledger.open(tmp_path / "ledger.db", now=clock)
    fill(ledger, clock)
    yield Auditor(folder=tmp_path, ledger=ledger, said=capsys)
    ledger.close()
