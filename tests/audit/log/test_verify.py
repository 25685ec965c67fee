"""The `glasscase-verify` command: what people type, what the last line says, and that it needs Python alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from audit.log.checkpoint import encode_base64
from audit.log.verify import main
from tests.audit.log.logs import ORIGIN, Key, Log, entries, entry, witness, write

REPOSITORY = Path(__file__).parents[3]

LOG = Log(entries(300))
VKEY = str(LOG.key.public)
OK = f"OK size=300 root={encode_base64(LOG.checkpoint().root)}"

# Lets nothing be imported that does not come with Python, except this package; `blocked` are further names.
ALONE = """
import sys
blocked = {blocked!r}
class Blocker:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top in blocked or top not in sys.stdlib_module_names | {{"audit", "cryptography", "_cffi_backend"}}:
            raise ImportError(f"{{name}} must not be imported")
sys.meta_path.insert(0, Blocker())
from audit.log.verify import main
code = main(sys.argv[1:])
top = {{name.partition(".")[0] for name in sys.modules}}
assert not top & {{"django", "numpy", "rfc8785", "pydantic", *blocked}}, top
assert ("cryptography" in top) is ("cryptography" not in blocked)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log cosigned by two witnesses, with an old checkpoint, a receipt and a witness file beside it."""
    folder = tmp_path_factory.mktemp("export")
    note = witness(2).cosign(witness(1).cosign(LOG.note(), 1_800_000_000), 1_800_000_060)
    write(LOG.files() | {"checkpoint": note.encode()}, folder / "log")
    (folder / "old").write_bytes(LOG.note(200).encode())
    (folder / "receipt.tlog-proof").write_bytes(LOG.receipt(7, 250).encode())
    (folder / "entry.json").write_bytes(LOG.bodies[7])
    trusted = "".join(f"{witness(number).public}\n" for number in (1, 2, 3))
    (folder / "witnesses").write_text(f"# whom we trust\n\n{trusted}")
    return folder


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, list[str]]:
    code = main([str(argument) for argument in arguments])
    return code, capsys.readouterr().out.splitlines()


def test_an_honest_log_is_ok(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = run(capsys, export / "log", "--key", VKEY)
    assert code == 0
    assert lines == [f"signed by {ORIGIN} (key {LOG.key.public.key_id.hex()})", OK]


def test_everything_at_once_is_ok(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = run(
        capsys,
        *(export / "log", "--key", VKEY, "--key", str(Key(ORIGIN, 2).public), "--old", export / "old"),
        *("--receipt", export / "receipt.tlog-proof", "--entry", export / "entry.json"),
        *("--witness", export / "witnesses", "--quorum", "2"),
    )
    assert (code, lines) == (
        0,
        [
            f"signed by {ORIGIN} (key {LOG.key.public.key_id.hex()})",
            "cosigned by witness1.example.org at 2027-01-15 08:00:00 UTC",
            "cosigned by witness2.example.org at 2027-01-15 08:01:00 UTC",
            "2 of 3 witnesses cosigned",
            "extends the older checkpoint of 200 entries",
            "the receipt's entry is number 7",
            OK,
        ],
    )


def test_a_receipt_can_be_checked_without_the_log(export: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = run(
        capsys, "--key", VKEY, "--receipt", export / "receipt.tlog-proof", "--entry", export / "entry.json"
    )
    assert code == 0
    assert lines[-2:] == [
        "the receipt's entry is number 7",
        f"OK size=250 root={encode_base64(LOG.checkpoint(250).root)}",
    ]


def fails(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    code, lines = run(capsys, *arguments)
    assert code == 1
    assert len(lines) == 1
    assert not any(line.startswith("OK") for line in lines)
    return lines[-1]


def test_a_changed_entry_fails_by_its_number(export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    forged = Log([*LOG.bodies[:299], entry(299, first=7)]).files()
    bundle = "tile/entries/001.p/44"
    folder = write(LOG.files() | {bundle: forged[bundle]}, tmp_path)
    assert fails(capsys, folder, "--key", VKEY) == (
        "FAIL: entry: entry 299 is the first wrong one: its hash is not the one in tile/0/001.p/44"
    )


def test_a_rewritten_history_fails_only_against_what_was_kept(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    forged = Log([entry(0, first=99), *LOG.bodies[1:]])
    folder = write(forged.files(), tmp_path)
    assert run(capsys, folder, "--key", VKEY)[0] == 0
    assert fails(capsys, folder, "--key", VKEY, "--old", export / "old").startswith(
        "FAIL: fork: the log was rewritten: its first 200 entries are not those of the older checkpoint"
    )
    receipt = ("--receipt", export / "receipt.tlog-proof", "--entry", export / "entry.json")
    assert fails(capsys, folder, "--key", VKEY, *receipt).startswith(
        "FAIL: fork: the log was rewritten: its first 250 entries are not those of the receipt"
    )


def test_a_shorter_log_fails_against_an_older_checkpoint(
    export: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write(LOG.files(199), tmp_path)
    assert run(capsys, folder, "--key", VKEY)[0] == 0
    assert fails(capsys, folder, "--key", VKEY, "--old", export / "old").startswith(
        "FAIL: rollback: the log has 199 entries, but the older checkpoint shows 200"
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("{export}/log", "--key", str(Key(ORIGIN, 9).public)), "FAIL: signature: the checkpoint carries no signature"),
        (("{export}/log", "--key", "nonsense"), "FAIL: input: 'nonsense' is not a verifier key"),
        (("{export}/log", "--key", "a\nb"), "FAIL: input: 'a\\nb' is not a verifier key"),
        (
            ("{export}/log", "--key", str(witness(1).public)),
            "FAIL: input: the key of 'witness1.example.org' is not a log's",
        ),
        (("{export}/none", "--key", VKEY), "FAIL: unreadable: {export}/none is neither"),
        (("{export}/log/tile", "--key", VKEY), "FAIL: missing: the log has no checkpoint"),
        (("{export}/log", "--key", VKEY, "--old", "{export}/none"), "FAIL: input: {export}/none cannot be read"),
        (
            ("{export}/log", "--key", VKEY, "--old", "{export}/entry.json"),
            "FAIL: old: {export}/entry.json: the note has no",
        ),
        (
            ("{export}/log", "--key", VKEY, "--receipt", "{export}/old", "--entry", "{export}/entry.json"),
            "FAIL: receipt: the receipt does not begin with",
        ),
        (
            ("{export}/log", "--key", VKEY, "--receipt", "{export}/receipt.tlog-proof", "--entry", "{export}/old"),
            "FAIL: receipt: the receipt does not prove that this is entry 7",
        ),
        (
            ("{export}/log", "--key", VKEY, "--witness", "{export}/witnesses"),
            "FAIL: witness: 2 of your 3 witnesses cosigned, and 3 are needed",
        ),
        (
            ("{export}/log", "--key", VKEY, "--witness", "{export}/witnesses", "--quorum", "4"),
            "FAIL: input: {export}/witnesses: a quorum of 4 cannot be met by 3 witnesses",
        ),
        (
            ("{export}/log", "--key", VKEY, "--witness", "{export}/witnesses", "--quorum", "0"),
            "FAIL: input: {export}/witnesses: a quorum of 0 cannot be met by 3 witnesses",
        ),
        (
            ("{export}/log", "--key", VKEY, "--witness", "{export}/empty"),
            "FAIL: input: {export}/empty names no witness",
        ),
        (
            ("{export}/log", "--key", VKEY, "--witness", "{export}/twice"),
            "FAIL: input: {export}/twice: this names one witness twice",
        ),
        (
            ("{export}/log", "--key", VKEY, "--witness", "{export}/alias"),
            "FAIL: input: {export}/alias: this names one witness twice",
        ),
        (
            ("{export}/log", "--key", VKEY, "--witness", "{export}/binary"),
            "FAIL: input: {export}/binary is not a text file",
        ),
    ],
)
def test_each_fault_has_a_line_of_its_own(
    export: Path, arguments: tuple[str, ...], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (export / "empty").write_text("# nobody\n")
    (export / "binary").write_bytes(b"\xff\xfe")
    double = Key(witness(1).name, 200, witness(1).algorithm).public
    (export / "twice").write_text(f"{witness(1).public}\n{double}\n")
    alias = Key("another.example.org", 101, witness(1).algorithm).public
    assert alias.public_key == witness(1).public.public_key
    (export / "alias").write_text(f"{witness(1).public}\n{alias}\n")
    given = [argument.replace("{export}", str(export)) for argument in arguments]
    assert fails(capsys, *given).startswith(line.replace("{export}", str(export)))


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("log",),
        ("--key", VKEY),
        ("log", "--key", VKEY, "--receipt", "x"),
        ("log", "--key", VKEY, "--entry", "x"),
        ("--key", VKEY, "--receipt", "x", "--entry", "x", "--old", "x"),
        ("log", "--key", VKEY, "--quorum", "2"),
        ("log", "--key", VKEY, "--quorum", "two", "--witness", "x"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_explained(
    arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "usage: glasscase-verify" in capsys.readouterr().err


def test_a_long_check_tells_how_far_it_is_on_stderr(
    export: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.log.verify._ProgressLine.PAUSE", 0.0)
    assert main([str(export / "log"), "--key", VKEY]) == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines() == ["256 of 300 entries checked", "300 of 300 entries checked"]
    assert printed.out.splitlines()[-1] == OK


@pytest.mark.parametrize("blocked", [set(), {"cryptography"}])
def test_the_command_needs_python_alone(export: Path, blocked: set[str]) -> None:
    arguments = [str(export / "log"), "--key", VKEY, "--witness", str(export / "witnesses"), "--quorum", "2"]
    ran = subprocess.run(
        [sys.executable, "-c", ALONE.format(blocked=blocked), *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines()[-1] == OK


def test_the_module_runs_as_a_program_and_its_exit_code_counts(export: Path, tmp_path: Path) -> None:
    def program(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "audit.log.verify", *arguments]
        return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=60)

    honest = program(str(export / "log"), "--key", VKEY)
    assert (honest.returncode, honest.stdout.splitlines()[-1]) == (0, OK)
    empty = program(str(tmp_path), "--key", VKEY)
    assert (empty.returncode, empty.stdout) == (1, "FAIL: missing: the log has no checkpoint\n")
    assert program("--help").stdout.startswith("usage: glasscase-verify")


def test_a_name_that_the_terminal_cannot_show_does_not_cost_the_last_line() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "audit.log.verify", b"/none/\xff\xc3\xa9", "--key", VKEY],
        cwd=REPOSITORY,
        capture_output=True,
        env={"PYTHONIOENCODING": "ascii"},
        timeout=60,
    )
    assert (ran.returncode, ran.stderr) == (1, b"")
    assert ran.stdout.startswith(b"FAIL: unreadable: /none/\\udcff\\xe9 is neither")
