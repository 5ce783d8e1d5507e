"""Experiments keep their convention; records say what made them and fail when they no longer do."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, replace

import numpy as np
import pytest
from scipy import stats
from typer.testing import CliRunner

from numerics import files
from numerics.__main__ import app
from numerics.experiments import load_experiment, names, overlay, realistic, summary
from numerics.records import RECORDS, Record, load_record, provenance, write_record
from theory import Coefficients, gradient_descent

TINY = replace(realistic.Config(), L=2, C=2, d=3, N=50, N_test=50, steps=4, recorded=3, runs=2)


def make(**changes):
    fields = {
        "experiment": "realistic",
        "command": "python -m numerics run realistic --seed 0",
        "configuration": asdict(realistic.Config()),
        "seed": 0,
        "duration": 1.5,
        "results": {"metrics": {"loss": {"n": 1, "mean": 0.5, "standard_error": None}}},
        **provenance(),
    }
    return Record(**(fields | changes))


def invoke(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments])


def at_size(monkeypatch, light):
    """Let ``--light`` stand for another size of the realistic experiment."""
    monkeypatch.setattr(realistic, "EXPERIMENT", replace(realistic.EXPERIMENT, light=light))


def as_json(value):
    return json.loads(json.dumps(value))


@pytest.mark.parametrize("name", names())
def test_experiments_keep_the_convention(name):
    experiment = load_experiment(name)
    assert len(summary(name)) > 20
    full = experiment.Config()
    assert full != experiment.light
    # Frozen settings made of plain values: what a record can hold and give back.
    assert experiment.Config(**asdict(full)) == full
    hash(full)
    as_json(asdict(full))
    as_json(experiment.fixed(full))


def test_unknown_experiments_are_named_with_those_there_are():
    with pytest.raises(ValueError, match=r"'nothing'; there are: .*overlay, realistic"):
        load_experiment("nothing")


def test_what_is_written_is_read_back(tmp_path):
    record = make()
    path = write_record(record, tmp_path)
    assert path == tmp_path / "realistic.json"
    assert load_record("realistic", tmp_path) == record
    assert record.config() == realistic.Config()
    assert [p.name for p in tmp_path.iterdir()] == ["realistic.json"]


def test_numbers_of_a_list_stand_on_one_line_unharmed(tmp_path):
    values = [1, -2.5, 1e-300, 0.1 + 0.2, 1e22]
    results = {
        "list": values,
        "nested": [values, []],
        "text": "[\n1,\n2]",
        "mixed": [None, "1,\n2"],
    }
    path = write_record(make(results=results), tmp_path)
    assert load_record("realistic", tmp_path).results == results
    assert '"list": [1, -2.5, 1e-300, 0.30000000000000004, 1e+22]' in path.read_text()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1, 2}])
def test_a_failed_write_leaves_the_old_record_whole(tmp_path, value):
    write_record(make(), tmp_path)
    with pytest.raises(ValueError, match="record realistic"):
        write_record(make(results={"loss": value}), tmp_path)
    assert load_record("realistic", tmp_path).results == make().results
    assert len(list(tmp_path.iterdir())) == 1


def test_an_interrupted_write_leaves_nothing_behind(tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    write_record(make(), tmp_path)
    monkeypatch.setattr(files.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_record(make(seed=1), tmp_path)
    assert load_record("realistic", tmp_path).seed == 0
    assert len(list(tmp_path.iterdir())) == 1


def test_a_missing_record_names_its_command(tmp_path):
    with pytest.raises(FileNotFoundError, match="python -m numerics run realistic"):
        load_record("realistic", tmp_path)
    with pytest.raises(ValueError, match="there are:"):
        load_record("nothing", tmp_path)


def test_a_record_of_another_configuration_is_refused(tmp_path):
    configuration = asdict(realistic.Config())
    gone = configuration | {"learning_rate": 0.1}
    write_record(make(configuration=gone), tmp_path)
    with pytest.raises(ValueError, match=r"has \['learning_rate'\] that Config lacks"):
        load_record("realistic", tmp_path)
    new = {k: v for k, v in configuration.items() if k != "omega"}
    write_record(make(configuration=new), tmp_path)
    with pytest.raises(ValueError, match=r"lacks \['omega'\]"):
        load_record("realistic", tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"experiment": "realistic"}'])
def test_a_broken_file_is_refused(tmp_path, text):
    (tmp_path / "realistic.json").write_text(text)
    with pytest.raises(ValueError, match=r"realistic\.json is not a record"):
        load_record("realistic", tmp_path)


def test_a_record_under_another_name_is_refused(tmp_path):
    write_record(make(experiment="overlay"), tmp_path).rename(tmp_path / "realistic.json")
    with pytest.raises(ValueError, match="holds a record of overlay"):
        load_record("realistic", tmp_path)


def test_list_shows_every_experiment():
    result = invoke("list")
    assert result.exit_code == 0
    assert all(name in result.stdout for name in names())


def test_run_writes_a_record_that_its_command_repeats(tmp_path, monkeypatch):
    at_size(monkeypatch, TINY)
    first = invoke("run", "realistic", "--light", "--seed", 7, "--out", tmp_path / "a")
    assert first.exit_code == 0, first.output
    record = load_record("realistic", tmp_path / "a")
    assert record.config() == replace(TINY, seed=7)
    assert record.command == "python -m numerics run realistic --seed 7 --light"
    assert record.results == as_json(realistic.run(replace(TINY, seed=7)))
    assert record.duration > 0

    (*again,) = record.command.split()[3:]
    assert invoke(*again, "--out", tmp_path / "b").exit_code == 0
    assert load_record("realistic", tmp_path / "b").results == record.results


def test_a_light_run_is_not_recorded_unless_asked(monkeypatch):
    at_size(monkeypatch, TINY)
    written = []
    monkeypatch.setattr("numerics.__main__.write_record", lambda *a: written.append(a))
    assert invoke("run", "realistic", "--light").exit_code == 0
    assert written == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "no experiment is called 'nothing'; there are:"),
        (["realistic", "--device", "nowhere"], "device 'nowhere' is not available"),
    ],
)
def test_bad_commands_say_why(arguments, message):
    result = invoke("run", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_a_training_that_diverges_is_reported(monkeypatch):
    at_size(monkeypatch, replace(TINY, eta_v=1e30, steps=30))
    result = invoke("run", "realistic", "--light")
    assert result.exit_code == 2
    assert "lower eta_v" in " ".join(result.output.split())


# The records that are kept.

KEPT = sorted(path.stem for path in RECORDS.glob("*.json"))


def test_every_experiment_has_its_record():
    assert names() == KEPT


@pytest.mark.parametrize("name", KEPT)
def test_kept_records_are_of_the_present_experiment_at_its_full_size(name):
    record = load_record(name)
    assert record.config() == load_experiment(name).Config()
    assert record.command == f"python -m numerics run {name} --seed {record.seed}" + (
        "" if record.hardware["device"] == "cpu" else " --device cuda"
    )
    assert re.fullmatch(r"[0-9a-f]{40}", record.revision["commit"])
    assert f"numerics/experiments/{name.replace('-', '_')}.py" not in record.revision["modified"]
    for metric in record.results["metrics"].values():
        assert metric.keys() >= {"n", "mean", "standard_error"}


@pytest.mark.parametrize("name", KEPT)
def test_kept_records_name_no_machine(name):
    text = (RECORDS / f"{name}.json").read_text(encoding="utf-8")
    assert not re.search(r"(^|[\s\"'=])(/|~)\w", text, flags=re.MULTILINE)


def test_recorded_coefficients_agree_within_three_standard_errors():
    record = load_record("overlay")
    config, results = record.config(), record.results
    assert config.N == 100_000
    assert results["seeds"] == list(range(config.runs))
    start = Coefficients(alpha=config.alpha_0, gamma=0.0, rho=0.0)
    exact = gradient_descent(
        config.setting(), start, eta_v=config.eta_v, eta_A=config.eta_A, steps=config.steps
    )
    for name in overlay.QUANTITIES:
        column = {key: np.array(value) for key, value in results[name].items()}
        path = getattr(exact, name)[results["steps"]]
        np.testing.assert_allclose(column["path"], path, rtol=1e-9, atol=1e-12)
        gap = np.abs(column["mean"] - path) / column["standard_error"]
        np.testing.assert_allclose(gap, np.abs(column["gap"]), rtol=1e-6)
        if name != "loss":
            assert gap.max() < 3
        else:
            # The loss is measured on new images at each step: so many independent comparisons
            # are held together to a level of 1 %, by Bonferroni and by their mean square.
            runs, steps = config.runs, len(gap)
            assert steps * 2 * stats.t.sf(gap.max(), runs - 1) > 0.01
            expected = (runs - 1) / (runs - 3)
            assert (gap**2).mean() < expected * stats.chi2.isf(0.01, steps) / steps
    # All three acts are in view: α has settled, γ has grown, the loss is small.
    assert exact.gamma[-1] - exact.rho[-1] > 1
    assert exact.loss[-1] < 0.1 * exact.loss[0]


def test_recorded_realistic_case_associates():
    record = load_record("realistic")
    assert record.duration / len(record.results["runs"]) < 60
    for run in record.results["runs"]:
        assert run["history"]["association"][-1] == 1.0
        assert run["history"]["test_error"][-1] < 0.01
