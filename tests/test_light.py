"""Every experiment runs at its small size as a reader runs it: by its command, with no network."""

from __future__ import annotations

import socket

import pytest
from typer.testing import CliRunner

from numerics.__main__ import app
from numerics.experiments import load_experiment, names
from numerics.records import load_record

#: Seconds that the smallest size may take on two cores.
LIMIT = 300


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*arguments):
        raise OSError(f"a connection to {arguments[1:]} was asked for")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(OSError, match="was asked for"):
        socket.create_connection(("127.0.0.1", 9))


@pytest.mark.light
@pytest.mark.parametrize("name", names())
def test_the_small_size_runs_in_minutes_and_can_be_recorded(name, tmp_path, no_network):
    result = CliRunner().invoke(app, ["run", name, "--light", "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    record = load_record(name, tmp_path)
    assert record.config() == load_experiment(name).light
    assert record.duration < LIMIT
    assert all(metric["n"] >= 1 for metric in record.results["metrics"].values())
