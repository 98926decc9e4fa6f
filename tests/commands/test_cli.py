"""The command line from end to end."""

from __future__ import annotations

import errno
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

import foveate
from command_line import status
from foveate.commands import overview
from foveate.commands.adopt import Adopt
from foveate.commands.analysis import Attention, Grounding, Localise, Trust
from foveate.commands.data import Data
from foveate.commands.demo import Demo
from foveate.commands.evaluate import Evaluate
from foveate.commands.explain import Explain
from foveate.commands.export import Export
from foveate.commands.guided_zoom_commands import GuidedZoom, PoolBuild, PoolExport, Tune
from foveate.commands.main import commands, main
from foveate.commands.predict import Predict
from foveate.commands.reproduce import Table, Training
from foveate.commands.train import Train
from foveate.config.hardware import HardwareConfig
from foveate.errors import UserError
from foveate.files.locks import working_in
from foveate.recipes import RECIPES
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.run import Run

TINY = ["--epochs", "1", "--transforms.input-size", "64", "--transforms.resize-size", "72"]
TINY += ["--hardware.accelerator", "cpu", "--hardware.workers", "0", "--hardware.precision", "float32"]


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no message is broken into lines in the middle of what is looked for."""
    monkeypatch.setenv("COLUMNS", "200")


def test_data_train_evaluate_predict(plumage: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert status("data", plumage) == 0
    assert "plumage" in capsys.readouterr().out

    assert status("train", "plain", "--data.root", plumage, "--out", run, "--seed", 3, *TINY) == 0
    told = capsys.readouterr()
    assert "4 classes, 24 training, 0 validation and 12 test photographs" in told.out
    assert told.out.startswith("no photographs are held out: what rests on some cannot be had of this run later")
    assert told.err == ""
    config = Run.open(run).config
    assert (config.seed, config.epochs, config.batch_size, config.hardware.workers) == (3, 1, 16, 0)
    assert (config.transforms.input_size, config.hardware.precision) == (64, "float32")
    assert config.network == foveate.recipes.plain().network

    results, sheet = tmp_path / "rows.jsonl", tmp_path / "sheet.png"
    assert status("evaluate", run, "--results", results, "--sheet", sheet, "--hardware.workers", 0) == 0
    assert "| top-1 " in capsys.readouterr().out
    assert json.loads(results.read_text())["seed"] == 3
    assert sheet.stat().st_size > 0
    assert {file.name for file in (run / "evaluation").iterdir()} == {
        "test-centre.md",
        "test-centre.json",
        "test-centre.parquet",
    }

    answers = tmp_path / "answers.json"
    assert status("predict", run, plumage / "images", "--top", 2, "--out", answers) == 0
    rows = json.loads(answers.read_text())
    assert len(rows) == 36 * 2
    assert {row["class_name"] for row in rows} <= set(Run.open(run).class_names)
    assert f"36 answers in {answers}" in capsys.readouterr().out


def test_looking_closer_here_and_there_is_passed_on(
    s3n_run: Run, quick_run: Run, made: GuidedZoomRun, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = next((s3n_run.config.data.root / "images").rglob("*.jpg"))
    assert status("predict", s3n_run.path, picture, "--zoom-entropy-threshold", 0.5, "--entropy-threshold", 0.4) == 2
    assert "--zoom-entropy-threshold, 0.5, must not be above --entropy-threshold, 0.4" in capsys.readouterr().err
    assert status("evaluate", quick_run.path, "--zoom-entropy-threshold", 0.5, "--hardware.workers", 0) == 2
    assert "--zoom-entropy-threshold says where a network such as S3N looks closer" in capsys.readouterr().err
    assert status("predict", made.path, picture, "--zoom-entropy-threshold", 0.5) == 2
    assert "got a Guided Zoom" in capsys.readouterr().err


def test_data_draws_birds_where_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    drawing = ["--draw", "--species", "2", "--train-per-species", "1", "--test-per-species", "1", "--size", "64"]
    assert status("data", tmp_path / "birds", *drawing) == 0
    assert "2 classes" in capsys.readouterr().out
    assert len(list((tmp_path / "birds" / "images").glob("*/*.jpg"))) == 4


@pytest.mark.parametrize(
    ("command", "mentioned"),
    [
        ("data", ["--draw", "--species", "--size", "--on-error {stop,skip}"]),
        ("train", [*RECIPES, "foveate train s3n FOLDER"]),
        ("train plain", ["--out", "--epochs", "--data.root", "--optimiser.learning-rate", "--network.dropout"]),
        ("train s3n", ["FOLDER", "--preset", "runs/FOLDER-METHOD", "--network.radius FLOAT", "(default: 448)"]),
        ("train s3n --preset reference", ["(default: reference)", "(default: 60)", "(default: 0.09)"]),
        ("reproduce", ["table", "figure", "training"]),
        ("reproduce table", ["TABLE", "--archives", "--scale {slice,full}", "--seeds"]),
        ("reproduce figure", ["FIGURE", "s3n-fig4", "--archives"]),
        ("reproduce training", ["s3n-slice-od", "Published: 86.0 top-1"]),
        ("reproduce training ft-resnet50-cub", ["resnet50", "(default: 30)", "0.001", "448", "(default: runs/NAME"]),
        ("evaluate", ["RUN", "--split {train,validation,test}", "--views", "--root", "--results", "--sheet"]),
        ("compare", ["RUN_OR_ZOOM[+...]", "--split {train,validation,test}", "--out", "--root", "ensemble"]),
        ("predict", ["RUN", "PATHS", "--top", "--entropy-threshold", "--out", "--on-error"]),
        (
            "export",
            ["RUN", "--format {torch,onnx,openvino}", "--precision {float32,bf16,int8}", "--out", "--photographs"],
        ),
        ("serve", ["RUN_OR_ZOOM", "--port", "--host", "--api-key-file", "--largest-megapixels", "--queue"]),
        ("localise", ["RUN", "--split {train,validation,test}", "--root", "--results"]),
        ("attention", ["RUN", "--split {train,validation,test}", "--root", "--results"]),
        ("grounding", ["RUN", "--methods", "--photographs", "--masks", "--curves.deletion", "--sanity-photographs"]),
        ("trust", ["RUN_OR_ZOOM", "--bins", "--pairs", "--split {train,validation,test}", "--results"]),
        ("recipes", ["List what can be trained"]),
        ("demo", ["--out"]),
    ],
)
def test_help(command: str, mentioned: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([*command.split(), "--help"])
    assert end.value.code == 0
    told = capsys.readouterr().out
    for words in mentioned:
        assert words in told


def test_the_overview_says_a_line_of_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(overview.names()) == sorted(commands([]))
    assert status("--help") == 0
    told = capsys.readouterr().out
    assert status() == 2
    assert capsys.readouterr().err == told
    for name in overview.names():
        assert sum(line.startswith(f"  {name} ") for line in told.splitlines()) == 1
    assert max(map(len, told.splitlines())) <= 100


def test_the_shell_completes(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("--tyro-print-completion", "bash") == 0
    script = capsys.readouterr().out
    assert "complete" in script
    assert "foveate" in script
    assert "--entropy-threshold" in script


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "usage: foveate COMMAND ..."),
        ("fly", "there is no command 'fly'; `foveate` alone lists all"),
        ("trian plain x", "there is no command 'trian'; did you mean train? `foveate` alone lists all"),
        ("explane", "did you mean explain?"),
        ("photographs", "there is no command 'photographs'; `foveate` alone lists all"),
        ("train plane", "plane"),
        ("train plain", "got none; give it after the method: foveate train plain FOLDER"),
        ("train plain --out x", "got none; give it after the method: foveate train plain FOLDER"),
        ("train plain a --data.root b", "FOLDER and --data.root are the same; got a and b"),
        ("train s3n a --preset best", "of s3n must be foveate or continued or frozen or paper or reference; got best"),
        ("train plain a --preset=paper", "--preset of plain must be foveate or lite1 or lite2; got paper"),
        ("reproduce", "Missing subcommand"),
        ("reproduce training s3n-slic", "s3n-slic"),
        (
            "reproduce training evidence-resnet101 --out x --epochs 5",
            "epochs must be 0 beside steps; to give epochs, make steps None",
        ),
        ("train plain a --out x --learning 1", "--learning"),
        ("train plain a --out x --data.format birds", "--data.format"),
        ("evaluate x --split tset", "tset"),
    ],
)
def test_a_mistake_ends_with_status_2_and_a_reason(
    arguments: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert status(*arguments.split()) == 2
    told = capsys.readouterr()
    assert message in told.err
    assert "Traceback" not in told.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train plain --out x --epochs many", "--epochs must be a whole number; got 'many'"),
        ("train plain --out x --epochs=1.5", "--epochs must be a whole number; got '1.5'"),
        ("train plain --out x --optimiser.momentum much", "--optimiser.momentum must be a number; got 'much'"),
        ("train plain --out x --epochs 1" + 5000 * "0", "--epochs must be a smaller number; got 5001 digits"),
        ("train plain --out x --epochs -1", "--epochs must not be negative; got -1"),
        ("train plain --out x --batch-size=0", "--batch-size must be at least 1; got 0"),
        ("train plain --out x --hardware.workers -1", "--hardware.workers must not be negative; got -1"),
        (
            "train plain --out x --transforms.input-size 300 --transforms.resize-size 256",
            "--transforms.resize-size must be at least input_size (300); got 256",
        ),
        ("train s3n --out x --network.radius 3", "--network.radius must be in [0.001, 1)"),
        ("evaluate x --batch-size 0", "--batch-size must be at least 1; got 0"),
        ("localise x --batch_size -3", "--batch_size must be at least 1; got -3"),
        ("attention x --batch-size 0", "--batch-size must be at least 1; got 0"),
        ("predict x y --top 0", "--top must be at least 1; got 0"),
        ("predict x y --entropy-threshold nan", "--entropy-threshold must not be negative, in nats; got nan"),
        ("grounding x --photographs 0", "--photographs must be at least 1, or None for all; got 0"),
        ("grounding x --curves.steps 0", "--curves.steps must be at least 1; got 0"),
        ("trust x --bins 0", "--bins must be at least 1; got 0"),
        ("pool build x --out y --pool.part-size 0", "--pool.part-size must be at least 1; got 0"),
        ("guided-zoom x --out y --refinement.top-k 0", "--refinement.top-k must be at least 1; got 0"),
    ],
)
def test_an_option_that_breaks_a_rule_is_named(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status(*arguments.split()) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"foveate: {message}")
    assert told.count("\n") == 1


_COMMANDS: tuple[type, ...] = (
    Data,
    Train,
    Evaluate,
    Export,
    Predict,
    Explain,
    Localise,
    Attention,
    Grounding,
    Trust,
    Adopt,
)
_COMMANDS += (GuidedZoom, Tune, PoolBuild, PoolExport, Table, Training, Demo)

_WORK = """train evaluate predict explain tune tune_views adopt build_guided_zoom build_pool analysis.localise
analysis.analyse_attention analysis.measure_grounding analysis.measure_trust describe"""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("evaluate nowhere", "nowhere does not exist; `foveate fit`"),
        ("evaluate empty", "a run is a folder with a run.json"),
        (f"evaluate {'9' * 5000}", "does not exist; `foveate fit`"),
        (
            f"train plain --data.root run --out x --network.backbone.weights {'9' * 5000}",
            "or the folder of a run or a file",
        ),
        ("predict nowhere x.jpg", "nowhere does not exist; `foveate fit`"),
        ("predict run nowhere.jpg", "'nowhere.jpg' names none"),
        ("predict run run *.jpg", "'*.jpg' names none"),
        ("predict run", "got no path; give photographs"),
        ("predict ~nobody.at.all x.jpg", "~ must be the home folder of somebody here"),
        ("explain nowhere x.jpg", "nowhere does not exist; `foveate fit`"),
        ("explain run nowhere.jpg", "'nowhere.jpg' names none"),
        ("localise nowhere", "nowhere does not exist; `foveate fit`"),
        ("attention nowhere", "nowhere does not exist; `foveate fit`"),
        ("grounding nowhere", "nowhere does not exist; `foveate fit`"),
        ("trust nowhere", "nowhere does not exist; `foveate fit`"),
        ("evaluate run --root nowhere", "the data set's folder must exist; got nowhere"),
        ("trust run --root nowhere", "the data set's folder must exist; got nowhere"),
        ("data nowhere", "the data set's folder must exist; got nowhere"),
        ("train plain --out x --data.root nowhere", "the data set's folder must exist; got nowhere"),
        ("train plain nowhere", "the data set's folder must exist; got nowhere"),
        (f"train plain {'9' * 5000}", "the data set's folder must be readable; '999"),
        ("train plain --out x --data.root run --network.backbone.weights no.pth", "which must exist; got no.pth"),
        ("tune nowhere", "nowhere does not exist; `foveate fit`"),
        ("guided-zoom nowhere --out x", "nowhere does not exist; `foveate fit`"),
        ("guided-zoom run --out x --tuned-by nowhere", "the Guided Zoom of --tuned-by must exist; got nowhere"),
        ("adopt nowhere.pth --out x", "the checkpoint must exist; got nowhere.pth"),
        ("adopt run/run.json --out x --architecture a --data.root nowhere", "folder must exist; got nowhere"),
        ("pool build nowhere --out x", "nowhere does not exist; `foveate fit`"),
        ("pool export nowhere --out x", "the pool's folder must exist; got nowhere"),
        ("reproduce table s3n-1 --archives nowhere", "the folder of the data sets must exist; got nowhere"),
        ("reproduce figure s3n-fig4 --archives nowhere", "the folder of the data sets must exist; got nowhere"),
        ("reproduce training plain-slice --data.root nowhere", "the data set's folder must exist; got nowhere"),
    ],
)
def test_a_path_that_leads_nowhere_is_named_before_the_work_is_imported(
    arguments: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Importing torch takes seconds, so no workflow may be needed."""
    for name in _WORK.split():
        monkeypatch.setitem(sys.modules, f"foveate.workflows.{name}", None)
    for name in ("run", "empty"):
        (tmp_path / name).mkdir()
    (tmp_path / "run" / "run.json").touch()
    monkeypatch.chdir(tmp_path)
    assert status(*arguments.split()) == 2
    told = capsys.readouterr().err
    assert told.startswith("foveate: ")
    assert message in told
    assert sorted(each.name for each in tmp_path.iterdir()) == ["empty", "run"]


@pytest.mark.parametrize(
    "arguments",
    [
        "data ~/a",
        "train plain --data.root ~/a --out ~/b",
        "train s3n ~/a --out ~/b --preset paper",
        "reproduce training s3n-slice --data.root ~/a --out ~/b",
        "evaluate ~/a --root ~/b --results ~/c --sheet ~/d",
        "predict ~/a x.jpg --out ~/b.csv",
        "explain ~/a x.jpg --out ~/b",
        "export ~/a --root ~/b --out ~/c",
        "localise ~/a --root ~/b --results ~/c",
        "attention ~/a",
        "grounding ~/a",
        "trust ~/a --root ~/b",
        "adopt ~/x.pth --architecture a --data.root ~/a --out ~/b",
        "guided-zoom ~/x.pth --architecture a --data.root ~/a --out ~/b --tuned-by ~/c",
        "tune ~/a --root ~/b",
        "pool build ~/a --out ~/b",
        "pool export ~/a --out ~/b",
        "reproduce table s3n-1 --archives ~/a --out ~/b",
        "demo --out ~/b",
    ],
)
def test_every_path_of_a_command_may_begin_at_the_home_folder(
    arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for command in _COMMANDS:
        monkeypatch.setattr(command, "run", lambda self: print(self))
    monkeypatch.setenv("HOME", "/home/ada")
    assert status(*arguments.split()) == 0
    told = capsys.readouterr().out
    assert "~" not in told
    assert told.count("/home/ada/") == arguments.count("~")


@pytest.mark.parametrize("command", ["serve", "report", "predict", "evaluate", "explain", "trust", "guided-zoom"])
def test_photographs_in_the_place_of_a_run_are_to_be_trained_on_first(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "birds" / "owl").mkdir(parents=True)
    (tmp_path / "birds" / "owl" / "1.JPG").touch()
    further = {"predict": ["x.jpg"], "explain": ["x.jpg"], "guided-zoom": ["--out", "x"]}.get(command, [])
    assert status(command, tmp_path / "birds", *further) == 2
    assert f"holds photographs: run `foveate fit {tmp_path / 'birds'}` first" in capsys.readouterr().err


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("--version") == 0
    assert capsys.readouterr().out == f"foveate {foveate.__version__}\n"


def test_predicting_nothing_is_a_mistake(quick_run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("predict", quick_run.path) == 2
    assert "got no path" in capsys.readouterr().err


@pytest.mark.parametrize("saved", [True, False])
@pytest.mark.parametrize("inside", [False, True], ids=["plain", "inside a library"])
def test_an_interruption_says_whether_the_same_command_continues(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str], saved: bool, inside: bool
) -> None:
    """That the same command continues is only said where something was saved."""

    def interrupted(*_: object, **__: object) -> None:
        with working_in(tmp_path / "run", lambda: saved):
            try:
                raise KeyboardInterrupt
            finally:
                if inside:
                    raise RuntimeError("unexpected pos 64 vs 0")  # as torch.save ends

    monkeypatch.setattr("foveate.workflows.train.train", interrupted)
    (tmp_path / "birds" / "owl").mkdir(parents=True)
    assert status("train", "plain", "--data.root", tmp_path / "birds", "--out", tmp_path / "run") == 130
    continues = "; the same command continues where it was saved" if saved else ""
    assert capsys.readouterr().err == f"foveate: interrupted{continues}\n"


class Recipes:
    """Stands for a command whose work fails."""

    def __init__(self, error: BaseException, while_handling: BaseException | None = None) -> None:
        self.error, self.while_handling = error, while_handling

    def run(self) -> None:
        self.error.__context__ = self.while_handling
        raise self.error


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Run a command that fails in a given way."""

    def fail(error: BaseException, while_handling: BaseException | None = None) -> int:
        monkeypatch.setattr("foveate.commands.main.parsed", lambda *_, **__: Recipes(error, while_handling))
        return status("recipes")

    return fail


@pytest.mark.parametrize(
    ("error", "while_handling"),
    [
        (KeyboardInterrupt(), None),
        (RuntimeError("unexpected pos 64 vs 0"), KeyboardInterrupt()),  # torch.save, closing its file
        (ImportError("initialization failed"), KeyboardInterrupt()),
        (UserError("cannot write it"), KeyboardInterrupt()),
    ],
)
def test_an_interruption_has_its_own_status(
    error: BaseException,
    while_handling: BaseException | None,
    failing: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whatever else goes wrong on the way out."""
    assert failing(error, while_handling) == 130
    told = capsys.readouterr().err
    assert told.startswith("foveate: interrupted")
    assert told.count("\n") == 1


def test_what_nobody_foresaw_is_a_defect_whose_traceback_is_kept(
    failing: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    defect = TypeError(f"two\nlines \udce9 {'x' * 5000}")
    with pytest.raises(TypeError):  # under test it is seen where it arises
        failing(defect)
    monkeypatch.setenv("FOVEATE_DEBUG", "0")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert failing(defect) == 1
    told = capsys.readouterr().err
    (file,) = tmp_path.iterdir()
    assert told.startswith("foveate: defect: TypeError: two lines ")
    assert f"its traceback is in {file}; please report it" in told
    assert told.count("\n") == 1
    assert len(told) < 700
    assert "Traceback (most recent call last)" in (kept := file.read_text(encoding="utf-8"))
    assert "raise self.error" in kept
    # Where no file can be written it is still reported.
    monkeypatch.setattr(Path, "write_text", lambda *_, **__: (_ for _ in ()).throw(OSError("full")))
    assert failing(defect) == 1
    assert "its traceback could not be written" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "code", "message"),
    [
        (errno.ENOSPC, 2, "free space"),
        (errno.EDQUOT, 2, "free space"),
        (errno.EACCES, 2, "check the permissions of bird.jpg"),
        (errno.EIO, 1, "defect: OSError"),
        (errno.EEXIST, 1, "defect: FileExistsError"),
        (errno.ENOENT, 1, "defect: FileNotFoundError"),
    ],
)
def test_of_the_systems_errors_only_those_of_room_and_permission_are_the_users(
    number: int,
    code: int,
    message: str,
    failing: Callable[..., int],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whether it was reading or writing is not known."""
    monkeypatch.setenv("FOVEATE_DEBUG", "0")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert failing(OSError(number, os.strerror(number), "bird.jpg")) == code
    told = capsys.readouterr().err
    assert message in told
    assert "write to" not in told


def test_what_a_terminal_cannot_show_is_shown_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(screen, encoding="ascii"))
    monkeypatch.setattr(foveate.recipes.plain, "__doc__", "caf\udce9 Häher")
    assert status("recipes") == 0
    assert b"caf\\udce9 H\\xe4her" in screen.getvalue()


@pytest.mark.parametrize("work", ["load", "evaluate", "explain", "localise", "measure_grounding"])
def test_an_accelerator_that_is_not_there_is_named_before_the_work(
    work: str, quick_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    monkeypatch.setattr(Run, "load_network", lambda *_: pytest.fail("weights were read"))
    picture = [str(next((quick_run.config.data.root / "images").rglob("*.jpg")))]
    hardware = HardwareConfig(accelerator="mps")
    where = {"hardware": hardware} if work == "load" else {"context": RunContext(hardware=hardware)}
    with pytest.raises(UserError, match=r"accelerator must be one of this machine's .*; got mps"):
        getattr(foveate, work)(quick_run.path, *([picture] if work == "explain" else []), **where)


def test_help_comes_without_waiting_for_torch() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "foveate.commands.main", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Fine-grained image recognition" in done.stdout
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "foveate.recipes" in imported
    assert not imported & {"torch", "torchvision", "timm", "lightning", "matplotlib", "fastapi", "uvicorn"}


def test_a_reader_that_has_seen_enough_gets_no_traceback() -> None:
    shell = f"{sys.executable} -m foveate.commands.main train plain --help | head -1"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=False)
    assert "usage" in done.stdout
    assert done.stderr == ""


_PAGES = """
import resource, sys
from foveate.commands.main import main

def faults():
    import torch
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.ones(10_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

faults()
before = faults()
main(["recipes"])
for _ in range(4):
    faults()
print(before, faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc hands every large block back")
def test_a_command_keeps_the_memory_of_freed_tensors_for_the_next() -> None:
    done = subprocess.run([sys.executable, "-c", _PAGES], capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.splitlines()[-1].split())
    assert after <= before / 10


def test_a_fit_that_is_not_finished_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "half" / ".fit").mkdir(parents=True)
    assert status("report", str(tmp_path / "half")) == 2
    assert "a fit is used when it is finished" in capsys.readouterr().err
