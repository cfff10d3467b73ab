"""`folio stack` and `folio doctor`, as a person at the terminal meets them."""

import io
import json
import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event, Lock

import pytest
from cyclopts import App
from rich.console import Console

from pipeline.cli import doctor
from pipeline.cli import stack as commands
from pipeline.cli.doctor import diagnose, examine, look_around, report
from pipeline.cli.findings import Finding, Surroundings
from pipeline.endpoints import stack_config
from pipeline.errors import SchemaMismatch, SettingsRefused
from pipeline.settings import load_with_origins
from pipeline.stack import StackConfig
from pipeline.stack import stack as whole
from pipeline.stack.config import VARIABLES
from pipeline.stack.kafka import Kafka
from pipeline.stack.record import Ledger
from pipeline.stack.stack import status
from pipeline.stack.starter import Starter


@pytest.fixture
def only_valkey(small: StackConfig, monkeypatch: pytest.MonkeyPatch) -> StackConfig:
    """The environment of a terminal in which PostgreSQL and Kafka are external."""
    monkeypatch.setenv("FOLIO_STACK_DIR", str(small.directory))
    monkeypatch.delenv("FOLIO_REDIS_URL", raising=False)
    for part, address in small.external.items():
        monkeypatch.setenv(VARIABLES[part], address)
    return small


def call(app: App, *arguments: str) -> int:
    code = app(arguments, result_action="return_value")
    assert isinstance(code, int)
    return code


def judge(environ: Mapping[str, str]) -> dict[str, Finding]:
    return {finding.name: finding for finding in diagnose({**clean(), **environ})}


def around(environ: Mapping[str, str], cache: Path) -> Surroundings:
    return look_around(load_with_origins(environ), cache)


def settings_file(path: Path, **sections: Mapping[str, str]) -> str:
    """A file of settings; its name is what FOLIO_SETTINGS_FILE takes."""
    lines = [
        f"[{name}]\n" + "".join(f'{key} = "{value}"\n' for key, value in each.items())
        for name, each in sections.items()
    ]
    path.write_text("".join(lines))
    return str(path)


def ended(pid: int | None) -> bool:
    """Whether a process is over; one that its parent has not looked after yet (a zombie) is."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return stat.rpartition(")")[2].split()[0] == "Z"


class TestStack:
    def test_up_status_down(self, only_valkey: StackConfig, capsys: pytest.CaptureFixture[str]) -> None:
        assert call(commands.app, "up") == 0
        shown = capsys.readouterr().out
        assert "external" in shown
        assert "Valkey 9." in shown
        assert call(commands.app, "status") == 0
        pid = status(only_valkey)[2].pid
        line = f"FOLIO_KAFKA_BOOTSTRAP={only_valkey.external['kafka']}"
        assert line in capsys.readouterr().out.splitlines()
        assert call(commands.app, "status", "--output", "json") == 0
        parts = {part["part"]: part for part in json.loads(capsys.readouterr().out)["parts"]}
        assert (parts["valkey"]["pid"], parts["kafka"]["state"]) == (pid, "external")
        assert call(commands.app, "down", "--purge") == 0
        assert ended(pid)
        assert not only_valkey.directory.exists()

    def test_status_fails_when_a_part_is_down(self, only_valkey: StackConfig) -> None:
        assert call(commands.app, "status") == 1
        call(commands.app, "up")
        pid = status(only_valkey)[2].pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        assert call(commands.app, "status") == 1

    def test_an_error_is_one_line_on_stderr(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "other").touch()
        assert call(commands.app, "down", "--purge", "--dir", str(tmp_path)) == 1
        captured = capsys.readouterr()
        assert captured.out == ""
        assert captured.err.startswith("folio stack: ")
        assert captured.err.count("\n") == 1

    def test_a_demanded_port(self, only_valkey: StackConfig, free_port: Callable[[], int]) -> None:
        port = free_port()
        assert call(commands.app, "up", "--valkey-port", str(port)) == 0
        assert status(only_valkey)[2].address.endswith(f":{port}/0")

    def test_a_settings_file_names_the_folder_and_the_external_servers(
        self, small: StackConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name in VARIABLES.values():
            monkeypatch.delenv(name, raising=False)
        file = settings_file(
            tmp_path / "folio.toml",
            stack={"dir": str(small.directory)},
            database={"url": small.external["postgres"]},
            kafka={"bootstrap": small.external["kafka"]},
        )
        monkeypatch.setenv("FOLIO_SETTINGS_FILE", file)
        assert call(commands.app, "up") == 0
        assert f"FOLIO_KAFKA_BOOTSTRAP={small.external['kafka']}" in capsys.readouterr().out.splitlines()
        assert [part.state for part in status(small)] == ["external", "external", "running"]
        assert call(commands.app, "down", "--purge") == 0
        assert not small.directory.exists()

    def test_a_mirror_that_a_settings_file_names_reaches_the_broker(self, tmp_path: Path) -> None:
        mirror = "http://mirror.example"
        file = settings_file(tmp_path / "folio.toml", stack={"dir": str(tmp_path / "s"), "maven_url": mirror})
        config = stack_config(load_with_origins({"FOLIO_SETTINGS_FILE": file}).settings)
        starter = Starter(config, Ledger(tmp_path), Event(), Lock())
        broker = whole._part(starter, "kafka")
        assert isinstance(broker, Kafka)
        assert broker.maven_url == mirror

    def test_wrong_settings_are_refused_as_by_any_command(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = settings_file(tmp_path / "folio.toml", stack={"folder": "x"})
        monkeypatch.setenv("FOLIO_SETTINGS_FILE", file)
        for command in ("up", "status", "down"):
            with pytest.raises(SettingsRefused, match=r"stack\.folder is not a setting"):
                call(commands.app, command)

    def test_a_password_of_an_external_server_is_not_shown(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("FOLIO_REDIS_URL", "redis://cache:s3cret@127.0.0.1:1/0")
        call(commands.app, "status", "--dir", str(tmp_path))
        shown = capsys.readouterr().out
        assert "FOLIO_REDIS_URL=redis://cache:***@127.0.0.1:1/0" in shown
        assert "s3cret" not in shown


class TestDoctor:
    def test_all_is_well_on_a_running_stack(self, stack: StackConfig) -> None:
        findings = judge({"FOLIO_STACK_DIR": str(stack.directory)})
        assert {name for name, finding in findings.items() if finding.level == "fail"} == set()
        assert findings["postgres"].detail.startswith("18.")
        assert str(stack.directory) in findings["kafka"].detail

    def test_nothing_started_is_a_warning_that_says_how(self, tmp_path: Path) -> None:
        findings = judge({"FOLIO_STACK_DIR": str(tmp_path)})
        assert [findings[name].level for name in ("postgres", "kafka", "valkey")] == ["warn"] * 3
        assert findings["kafka"].remedy.startswith("folio stack up")

    def test_an_external_server_that_is_gone_fails_by_its_variable(
        self, tmp_path: Path, free_port: Callable[[], int]
    ) -> None:
        environ = {"FOLIO_STACK_DIR": str(tmp_path), "FOLIO_KAFKA_BOOTSTRAP": f"127.0.0.1:{free_port()}"}
        finding = judge(environ)["kafka"]
        assert finding.level == "fail"
        assert finding.remedy == "mend FOLIO_KAFKA_BOOTSTRAP"

    def test_an_old_postgres_fails(self, stack: StackConfig, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(doctor, "PROBES", {"postgres": lambda _: "16.4 (Debian 16.4-1)"})
        finding = doctor.check_postgres(around({"FOLIO_STACK_DIR": str(stack.directory)}, stack.directory))
        assert finding.level == "fail"
        assert "upgrade to 18" in finding.remedy

    def test_jars_that_are_not_there_yet_are_a_warning(self, tmp_path: Path) -> None:
        finding = judge({"XDG_CACHE_HOME": str(tmp_path), "FOLIO_STACK_DIR": str(tmp_path)})["kafka jars"]
        assert finding.level == "warn"
        assert "47 of 47 not in the cache" in finding.detail

    def test_a_settings_file_names_the_folder_and_an_external_server(
        self, stack: StackConfig, tmp_path: Path, free_port: Callable[[], int]
    ) -> None:
        gone = f"127.0.0.1:{free_port()}"
        file = settings_file(tmp_path / "folio.toml", stack={"dir": str(stack.directory)}, kafka={"bootstrap": gone})
        findings = judge({"FOLIO_SETTINGS_FILE": file})
        assert findings["settings"].level == "ok"
        assert findings["postgres"].detail.endswith(f"by the stack in {stack.directory}")
        assert findings["kafka jars"].detail == "not needed; the broker is external"
        assert findings["kafka"].level == "fail"
        assert findings["kafka"].remedy == f"mend {file}: kafka.bootstrap"

    def test_wrong_settings_are_a_failed_finding_and_the_machine_is_judged_still(self, tmp_path: Path) -> None:
        file = settings_file(tmp_path / "folio.toml", stack={"folder": "x"})
        findings = judge({"FOLIO_SETTINGS_FILE": file})
        assert list(findings) == ["settings", "python", "cores", "memory"]
        assert findings["settings"].level == "fail"
        assert f"{file}: stack.folder is not a setting" in findings["settings"].detail
        assert findings["settings"].remedy
        assert report(list(findings.values()), Console(file=io.StringIO())) == 1

    def test_a_damaged_record_fails_the_folder(self, tmp_path: Path) -> None:
        (tmp_path / "stack.json").write_text(json.dumps({"ports": 1}))
        finding = judge({"FOLIO_STACK_DIR": str(tmp_path)})["folder"]
        assert finding.level == "fail"
        assert "stack.json" in finding.detail

    def test_missing_packages_fail_unless_all_servers_are_external(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(doctor, "missing", lambda: ["jgo"])
        assert doctor.check_packages(around({}, tmp_path)).level == "fail"
        addresses = {"postgres": "postgresql://somewhere/d", "kafka": "somewhere:9092", "valkey": "redis://somewhere"}
        everything = {VARIABLES[part]: addresses[part] for part in VARIABLES}
        assert doctor.check_packages(around(everything, tmp_path)).level == "ok"

    def test_a_check_that_breaks_is_a_finding_and_the_others_still_run(self, tmp_path: Path) -> None:
        def check_the_schema(_: Surroundings) -> Finding:
            raise SchemaMismatch("migration 0004 is missing")

        first, second = examine([check_the_schema, doctor.check_python], around({}, tmp_path))
        assert (first.name, first.level, first.detail) == ("the schema", "fail", "migration 0004 is missing")
        assert second.level == "ok"

    def test_the_exit_code_and_the_lines(self) -> None:
        console = Console(file=io.StringIO(), width=40)
        well, ill = Finding("a", "ok", "fine"), Finding("b [x]", "fail", "not " + "so " * 30, "do [this]")
        assert report([well], console) == 0
        assert report([well, ill], console) == 1
        assert isinstance(console.file, io.StringIO)
        shown = console.file.getvalue()
        assert "b [x]: not so" in shown
        assert "→ do [this]" in shown

    def test_every_problem_comes_with_what_to_do(self, tmp_path: Path) -> None:
        for finding in judge({"FOLIO_STACK_DIR": str(tmp_path / "x")}).values():
            assert finding.level == "ok" or finding.remedy


def clean() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("FOLIO_")}
