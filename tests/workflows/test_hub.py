"""Pushed to a stand-in of the hub and loaded again: the same answers, nothing of this machine, nothing written over."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest import mock

import pyarrow.parquet as pq
import pytest
from huggingface_hub import ModelCard

import foveate
from command_line import status
from foveate.config.branches import Branch
from foveate.config.data import DataConfig
from foveate.errors import UserError
from foveate.runs.context import RunContext
from foveate.runs.guided_zoom_run import GuidedZoomRun
from foveate.runs.held_out import read_held_out, write_held_out
from foveate.runs.run import Run
from foveate.workflows.hub.address import HubAddress, check_name
from foveate.workflows.hub.manifest import Manifest
from foveate.workflows.hub.model_card import plain
from foveate.workflows.hub.shared_files import without_folders, without_places
from hub_stand_in import TOKEN, StandIn, stand_in
from zooms import SLOW

FILES = {"README.md", "environment.json", "foveate.json", "metrics.json", "model.safetensors", "photographs.parquet"}
FILES |= {"run.json"}
QUIET = RunContext(hardware=SLOW, say=lambda line: None)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A hub on this machine, to which its client speaks, with a cache of its own."""
    with stand_in() as standing:
        monkeypatch.setenv("HF_ENDPOINT", standing.url)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        yield standing


@pytest.fixture(scope="module")
def run(s3n_run: Run, plumage: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A small run with a kept evaluation and held-out answers."""
    path = shutil.copytree(s3n_run.path, tmp_path_factory.mktemp("hub") / "birds of Ada")
    own = Run.open(path)
    table = foveate.evaluate(own, context=QUIET).table
    write_held_out(path, dict.fromkeys((Branch.ORIGINAL, Branch.JOINT), table), "out-of-fold", 1)
    return own


def push(model: Run | GuidedZoomRun, name: str = "ada/birds", licence: str | None = "mit", **options: object) -> str:
    return foveate.push(model, name, licence=licence, say=lambda line: None, **options)  # type: ignore[arg-type]


def test_what_was_pushed_answers_as_before(hub: StandIn, run: Run, birds: list[Path]) -> None:
    assert push(run) == "hf://ada/birds"
    (_, files) = hub.repositories["ada/birds"].commits[-1]
    held_out = {"held_out/origin.json", "held_out/original.parquet", "held_out/joint.parquet"}
    assert files.keys() == FILES | held_out | {".gitattributes"}
    assert hub.repositories["ada/birds"].private
    assert len(hub.repositories["ada/birds"].commits) == 2, "of the hub, and one of ours"
    model = foveate.load("hf://ada/birds", hardware=SLOW)
    own = foveate.load(run.path, hardware=SLOW)
    assert model.predict(birds[0]) == own.predict(birds[0])
    assert model.run.config == without_places(run.config)
    sent = len(hub.requests)
    again = foveate.load(f"hf://ada/birds@{hub.repositories['ada/birds'].commits[-1][0]}", hardware=SLOW)
    assert again.class_names == own.class_names
    assert len(hub.requests) == sent, "a commit that is here is not asked for"


def test_a_guided_zoom_is_one_repository(hub: StandIn, made: GuidedZoomRun, birds: list[Path]) -> None:
    push(made, "ada/zoom", public=True)
    (_, files) = hub.repositories["ada/zoom"].commits[-1]
    parts = {f"{part}/{name}" for part in ("network", "evidence") for name in FILES - {"README.md", "foveate.json"}}
    assert files.keys() == parts | {"README.md", "foveate.json", "guided_zoom.json", ".gitattributes"}
    assert not hub.repositories["ada/zoom"].private
    own, model = (foveate.load(each, hardware=SLOW) for each in (made.path, "hf://ada/zoom"))
    assert model.predict(birds[0]) == own.predict(birds[0])


def test_nothing_of_this_machine_is_in_it(run: Run, made: GuidedZoomRun, birds: list[Path], tmp_path: Path) -> None:
    push(run, dry_run=tmp_path / "run")
    push(made, dry_run=tmp_path / "zoom")
    hidden = {*Path.home().parts, *run.path.parts, *made.path.parts, *birds[0].parts} | {each.stem for each in birds}
    hidden -= {"/", "root", "run", "zoom", "network", "evidence", "plumage", "images", run.path.name, "quick", "train"}
    for file in (each for each in tmp_path.rglob("*") if each.suffix in (".json", ".md", ".parquet")):
        table = file.suffix == ".parquet"
        text = str(pq.read_table(file).to_pydict()) if table else file.read_text(encoding="utf-8")
        assert [word for word in hidden if len(word) > 3 and word in text] == [], file
        assert not re.search(r'"(/|~|[A-Z]:\\)', text), file


@pytest.mark.parametrize(
    ("words", "shared"),
    [
        ("foveate train s3n ../a/birds --out=/b/c d", "foveate train s3n birds --out=c d"),
        (r"foveate fit 'C:\Users\Ada\my birds'", "foveate fit 'my birds'"),
        ("x --a=/b/cc:/d/e,/f/g", "x --a=g"),
        ("x '/home/ada lovelace/birds' '/data/Zoe, 2024/owls' /home/a=b/x.txt", "x birds owls x.txt"),
        ("foveate fit '/home/ada", "foveate"),
    ],
)
def test_paths_of_a_command_become_names(words: str, shared: str) -> None:
    assert without_folders(words) == shared


def test_paths_of_a_configuration_become_names(run: Run) -> None:
    data = DataConfig(root=Path("/a/b"), exclude=("/c/d.csv", "*/dark"), relabel=Path("/e/f.csv"))
    network = run.config.network.with_weights("/g/h.pth")
    shared = without_places(replace(run.config, data=data, network=network))
    assert shared.data == DataConfig(root=Path("b"), exclude=("d.csv", "*/dark"), relabel=Path("f.csv"))
    assert shared.network == run.config.network.with_weights("h.pth")


def test_a_test_on_its_training_photographs_is_still_refused(
    hub: StandIn, run: Run, plumage: Path, tmp_path: Path
) -> None:
    push(run)
    model = foveate.load("hf://ada/birds", hardware=SLOW)
    context = replace(QUIET, root=plumage)
    trained = {each.id for each in context.photographs_of(run, "train")}
    assert model.run.trained_among([*trained, "others"]) == trained == run.trained_among(trained)
    assert not model.run.trained_ids() & trained
    copy = shutil.copytree(model.run.path, tmp_path / "of the hub")
    evaluation = foveate.evaluate(copy, context=context)
    assert evaluation.accuracy == foveate.evaluate(run, context=QUIET).accuracy
    shared, own = read_held_out(model.run.path), read_held_out(run.path)
    assert shared is not None
    assert own is not None
    assert (shared.decision.probabilities == own.decision.probabilities).all()
    assert shared.decision.ids == tuple(map(str, range(12)))


def test_the_card_says_what_was_measured(run: Run, tmp_path: Path) -> None:
    push(run, dry_run=tmp_path, licence="CC-BY-NC-4.0")
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    accuracy = foveate.evaluate(run, context=QUIET).accuracy
    low, high = 100 * accuracy.top1.low, 100 * accuracy.top1.high
    assert f"| {100 * accuracy.top1.value:.1f} | {low:.1f} to {high:.1f} |" in re.sub(" +", " ", card)
    for word in (
        "## Limits",
        "seed: 0",
        "trained on 24 photographs",
        "not given: fill it in",
        "12 held-out photographs",
    ):
        assert word in card
    data = ModelCard(card).data  # which the hub's own client reads
    assert vars(data)["license"] == "cc-by-nc-4.0"
    assert vars(data)["library_name"] == "foveate"
    assert vars(data)["pipeline_tag"] == "image-classification"
    (result,) = vars(data)["eval_results"]
    assert (result.metric_type, result.metric_value) == ("accuracy", round(accuracy.top1.value, 4))


def test_a_card_without_an_evaluation_says_so(s3n_run: Run, tmp_path: Path) -> None:
    own = Run.open(shutil.copytree(s3n_run.path, tmp_path / "own", ignore=shutil.ignore_patterns("evaluation")))
    said: list[str] = []
    foveate.push(own, "ada/birds", licence="mit", dry_run=tmp_path / "dry", say=said.append)
    assert "Not measured" in (tmp_path / "dry" / "README.md").read_text(encoding="utf-8")
    assert "foveate evaluate" in said[0]


def test_names_are_shown_as_they_are() -> None:
    assert plain("<script>\n[x](y) `a_b`") == r"\<script\> \[x\](y) \`a\_b\`"


@pytest.mark.parametrize(
    ("licence", "options", "words"),
    [
        (None, {}, "a model card needs a licence.*--licence apache-2.0"),
        ("", {}, "a model card needs a licence"),
        ("my own", {}, "a model card needs a licence.*got 'my own'"),
        ("other", {}, "the licence other is said by --licence-name and --licence-link"),
        ("mit", {"licence_name": "x", "licence_link": "https://x.org"}, "only that one"),
        ("other", {"licence_name": "x", "licence_link": "javascript:x"}, "licence_link must be an address"),
    ],
)
def test_a_card_without_a_licence_is_refused(
    licence: str | None, options: dict[str, str], words: str, run: Run, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=words):
        push(run, licence=licence, dry_run=tmp_path / "dry", **options)
    assert not (tmp_path / "dry").exists()


def test_a_name_that_exists_is_not_written_over(hub: StandIn, run: Run) -> None:
    hub.add("ada/birds", {".gitattributes": b""}, private=True)
    with pytest.raises(UserError, match="as visible as was asked: public; hf://ada/birds is there already, empty and"):
        push(run, public=True)
    push(run)  # an empty repository is free
    commit, _ = hub.repositories["ada/birds"].commits[-1]
    with pytest.raises(UserError, match=r"not replaced unasked; hf://ada/birds is there; .*--update"):
        push(run)
    with pytest.raises(UserError, match=r"--public is of a new model"):
        push(run, update=True, public=True)
    assert hub.repositories["ada/birds"].commits[-1][0] == commit
    stale = hub.repositories["ada/birds"].commits[-1][1] | {"calibration.json": b"{}", "LICENSE": b"mine"}
    hub.add("ada/birds", stale)
    push(run, update=True)
    assert "calibration.json" not in hub.repositories["ada/birds"].commits[-1][1]
    assert hub.repositories["ada/birds"].commits[-1][1]["LICENSE"] == b"mine"  # the owner's own file stays
    hub.add("ada/other", {"README.md": b"mine", "pytorch_model.bin": b""})
    with pytest.raises(UserError, match=r"only a model that `foveate push` put.*other files, such as README.md"):
        push(run, "ada/other", update=True)


def test_what_the_hub_refuses_is_said(hub: StandIn, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.card_errors.append('"license" must be one of a list')
    with pytest.raises(UserError, match=r"must take the model card of hf://ada/birds.*must be one of a list"):
        push(run)
    monkeypatch.setenv("HF_TOKEN", "hf_of_somebody_else")
    with pytest.raises(UserError, match=r"lets only its owner write hf://bob/birds; it refused \(401\).*hf auth login"):
        push(run, "bob/birds")
    with pytest.raises(UserError, match=r"must be on the hub, and open to you.*hf auth login"):
        foveate.load("hf://ada/birds")


def test_an_interrupted_first_push_says_what_is_there_and_goes_on(hub: StandIn, run: Run) -> None:
    said = list[str]()
    with (
        mock.patch("huggingface_hub.HfApi.create_commit", side_effect=KeyboardInterrupt),
        pytest.raises(KeyboardInterrupt),
    ):
        foveate.push(run, "ada/birds", licence="mit", say=said.append)
    assert said[-1] == "hf://ada/birds is there now, and empty; the same command goes on, or delete it on its page"
    assert push(run) == "hf://ada/birds"


def test_a_model_that_is_not_there_is_named(hub: StandIn, run: Run) -> None:
    with pytest.raises(UserError, match=r"must be on the hub, and open to you; hf://ada/nothing is not"):
        foveate.load("hf://ada/nothing")
    push(run)
    with pytest.raises(UserError, match=r"a revision is a branch.*hf://ada/birds@v9 names none"):
        foveate.load("hf://ada/birds@v9")
    hub.add("ada/pickle", {"pytorch_model.bin": b"\x80"})
    with pytest.raises(UserError, match=r"with a foveate.json; hf://ada/pickle has none"):
        foveate.load("hf://ada/pickle")
    assert not any("pytorch_model" in each for each in hub.requests)


def test_a_hub_that_does_not_answer_is_named(
    hub: StandIn, run: Run, birds: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    push(run)
    expected = foveate.load("hf://ada/birds", hardware=SLOW).predict(birds[0])
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    assert foveate.load("hf://ada/birds", hardware=SLOW).predict(birds[0]) == expected
    with pytest.raises(UserError, match=r"fetched from the hub, which does not answer; hf://ada/others is not here"):
        foveate.load("hf://ada/others")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"the hub must answer; asked about hf://ada/new, it does not"):
        push(run, "ada/new")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("model.bin", "never of pickles.*got 'model.bin'"),
        ("model.pt", "never of pickles"),
        ("last.ckpt", "never of pickles"),
        ("features.pkl", "never of pickles"),
        ("../../run.json", "known names"),
        ("network/../run.json", "known names"),
        ("/etc/passwd", "known names"),
        ("*", "known names"),
    ],
)
def test_a_list_with_a_pickle_or_a_foreign_path_is_refused(name: str, words: str, hub: StandIn) -> None:
    content = {"schema_version": 1, "foveate": "0.1.0", "files": {name: "0" * 64}}
    hub.add("eve/birds", {"foveate.json": json.dumps(content).encode(), "model.bin": b"\x80"})
    with pytest.raises(UserError, match=words):
        foveate.load("hf://eve/birds")
    assert not any("model.bin" in each for each in hub.requests)


def test_a_damaged_or_foreign_version_is_refused(hub: StandIn, run: Run, tmp_path: Path) -> None:
    push(run)
    commit, files = hub.repositories["ada/birds"].commits[-1]
    damaged = bytearray(files["model.safetensors"])
    damaged[-1] ^= 1
    hub.add("ada/birds", files | {"model.safetensors": bytes(damaged)})
    with pytest.raises(
        UserError, match=r"has the hash that its foveate.json lists; model.safetensors of hf://ada/birds"
    ):
        foveate.load("hf://ada/birds")
    foveate.load(f"hf://ada/birds@{commit}", hardware=SLOW)
    newer = json.dumps(json.loads(files["foveate.json"]) | {"schema_version": 9}).encode()
    hub.add("ada/birds", files | {"foveate.json": newer})
    with pytest.raises(UserError, match=r"reads foveate.json of schema 1; .* has 9; use the version that wrote it"):
        foveate.load("hf://ada/birds")
    for file in (tmp_path / "cache").rglob("model.safetensors"):
        file.resolve().write_bytes(b"damaged here")
    foveate.load(f"hf://ada/birds@{commit}", hardware=SLOW)  # fetched anew


def test_without_the_clients_package_its_extra_is_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for call in (lambda: push(run), lambda: foveate.load("hf://ada/birds")):
        with pytest.raises(UserError, match=r"huggingface_hub; it is not installed; pip install 'foveate\[hub\]'"):
            call()


@pytest.mark.parametrize("text", ["hf://ada", "hf://ada/b/c", "hf://ada/b@", "hf://", "hf://ada/../b", "hf://a+b/c"])
def test_an_address_is_user_and_name(text: str) -> None:
    with pytest.raises(UserError, match="a model on the hub is hf://user/name"):
        HubAddress.read(text)


def test_addresses_survive_being_paths() -> None:
    assert HubAddress.read(Path("hf://ada/birds@v1")) == HubAddress("ada/birds", "v1")
    assert not HubAddress.is_one("runs/hf")
    assert str(HubAddress.read("hf://ada/birds@refs/pr/1")) == "hf://ada/birds@refs/pr/1"
    for name in ("birds", "ada/", "/birds", "ada/bi rds", "ada/birds/x", "ada/-b", "../birds"):
        with pytest.raises(UserError, match="the name of a model on the hub is user/name"):
            check_name(name)


def test_commands_take_addresses(
    hub: StandIn,
    run: Run,
    birds: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert status("push", run.path, "ada/birds") == 2
    assert "a model card needs a licence" in capsys.readouterr().err
    assert status("push", run.path, "ada/birds", "--license", "mit") == 0
    cpu = ("--hardware.accelerator", "cpu", "--hardware.precision", "float32")
    capsys.readouterr()
    assert status("predict", "hf://ada/birds", birds[0], *cpu) == 0
    answer = capsys.readouterr().out
    assert not (tmp_path / "runs").exists(), "predict writes nothing"
    assert status("predict", run.path, birds[0], *cpu) == 0
    assert capsys.readouterr().out == answer
    assert status("explain", "hf://ada/birds", birds[0], *cpu) == 0
    (copy,) = (tmp_path / "runs").iterdir()
    assert f"hf://ada/birds is in {copy.relative_to(tmp_path)} now" in capsys.readouterr().out
    assert len(list((copy / "explanations").glob("*.png"))) == 1
    (copy / "mine.txt").write_text("kept")
    assert status("explain", "hf://ada/birds", birds[1], *cpu) == 0
    assert (copy / "mine.txt").exists()
    assert list((tmp_path / "runs").iterdir()) == [copy]


def test_a_shared_guided_zoom_is_explained_without_its_pool(
    hub: StandIn, made: GuidedZoomRun, birds: list[Path], tmp_path: Path
) -> None:
    push(made, "ada/zoom", dry_run=tmp_path / "zoom")
    said: list[str] = []
    context = RunContext(hardware=SLOW, say=said.append)
    (picture,) = foveate.explain(tmp_path / "zoom", [str(birds[0])], out=tmp_path / "pictures", context=context)
    assert picture.exists()
    assert "the nearest training evidence is not shown: its photographs are not shared" in said


def test_what_is_unfinished_or_damaged_does_not_go(run: Run, tmp_path: Path) -> None:
    own = Run.open(shutil.copytree(run.path, tmp_path / "own"))
    (own.path / "model.safetensors").write_bytes(b"damaged")
    with pytest.raises(UserError, match="must hold the weights"):
        push(own, dry_run=tmp_path / "a")
    (own.path / "metrics.json").unlink()
    with pytest.raises(UserError, match="is not finished"):
        push(own, dry_run=tmp_path / "b")
    with pytest.raises(UserError, match="--dry-run needs a new or empty folder"):
        push(run, dry_run=own.path)


def test_the_list_knows_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    listed = Manifest.of(tmp_path)
    assert listed.damaged(tmp_path) == ()
    (tmp_path / "run.json").write_text("{ }")
    assert listed.damaged(tmp_path) == ("run.json",)
    (tmp_path / "run.json").unlink()
    assert listed.damaged(tmp_path) == ("run.json",)
