"""Files that are taken for weights: what each is told to be, in one sentence, and nothing in them runs."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save
from torch import nn

from foveate.backbones.foreign_weights import is_averaged, read_foreign_weights
from foveate.errors import UserError

WEIGHTS = {"fc.weight": torch.ones(3, 2), "fc.bias": torch.zeros(3)}


class Trap:
    """Writes a file when it is unpickled."""

    def __init__(self, function: Callable[..., object], argument: str) -> None:
        self.call = function, (argument,)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return self.call


def torch_saved(content: object, **options: object) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **options)  # type: ignore[arg-type]
    return stream.getvalue()


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("owl.jpg", b"")
    return stream.getvalue()


def scripted() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("model/data.pkl", "model/constants.pkl", "model/code/net.py"):
            archive.writestr(name, b"")
    return stream.getvalue()


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:abc\nsize 46830571\n"
OTHERS = {
    "empty": (b"", "it is empty; download or copy it again"),
    "pointer": (POINTER, "it is a pointer of Git LFS, not the file itself; fetch that with `git lfs pull`"),
    "page": (b"\n\n<!DOCTYPE html><html>Virus scan warning</html>", "it is a web page, not the file itself"),
    "page with a mark": (b"\xef\xbb\xbf<html></html>", "it is a web page, not the file itself"),
    "JSON": (b'{"a": {"b": 1}}', "it is JSON, such as an index or settings; name the file of weights beside it"),
    "text": (b"404: Not Found", "it is of another format or damaged; save it again as safetensors"),
    "photographs": (zipped(), "it is a zip archive that torch.save did not write"),
    "TorchScript": (scripted(), "it is a TorchScript archive; save its weights alone"),
    "pickle": (pickle.dumps(WEIGHTS["fc.bias"].tolist()), "it is a pickle that torch.save did not write"),
    "cut": (torch_saved(WEIGHTS)[:-100], "it is cut off or damaged; download or copy it again"),
    "cut early": (torch_saved(WEIGHTS)[:20], "it is cut off or damaged; download or copy it again"),
    "cut, old": (torch_saved(WEIGHTS, _use_new_zipfile_serialization=False)[:-8], "it is cut off or damaged"),
    "cut safetensors": (save(WEIGHTS)[:-8], "it is cut off or damaged; download or copy it again"),
    "module": (torch_saved(nn.Linear(2, 3)), r"got a whole Linear of torch\.nn\.modules\.linear; save the state dict"),
    "module in a mapping": (
        torch_saved({"model": nn.Linear(2, 3), "epoch": 1}),
        r"'model' \(Linear\), 'epoch' \(int\);",
    ),
    "tensor": (torch_saved(torch.ones(2)), "must hold a state dict .* got Tensor; save the state dict alone"),
    "nothing": (torch_saved({}), "must hold a state dict .* got nothing; save the state dict alone"),
    "no tensor": (save({}), "it holds no tensor; name another file"),
    "program": (
        torch_saved({"w": WEIGHTS, "x": Trap(eval, "open('ran', 'w')")}),
        "it holds objects that are no tensors",
    ),
    "path": (torch_saved({"w": WEIGHTS, "x": Trap(io.open, "ran")}), "it holds objects that are no tensors"),
}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kind", OTHERS)
def test_other_files_are_told_apart(kind: str, suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    content, message = OTHERS[kind]
    file = tmp_path / f"checkpoint{suffix}"
    file.write_bytes(content)
    with pytest.raises(UserError, match=message) as raised:
        read_foreign_weights(file)
    assert len(str(raised.value).splitlines()) == 1
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is a folder; name the file in it"):
        read_foreign_weights(tmp_path)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".bin", ""])
@pytest.mark.parametrize("content", [save(WEIGHTS), torch_saved(WEIGHTS)], ids=["safetensors", "torch"])
def test_the_content_says_the_format(content: bytes, suffix: str, tmp_path: Path) -> None:
    (tmp_path / f"weights{suffix}").write_bytes(content)
    (weights,) = read_foreign_weights(tmp_path / f"weights{suffix}").values()
    assert weights.keys() == WEIGHTS.keys()


def test_plain_weights_come_first_and_optimisers_are_none(tmp_path: Path) -> None:
    content = {
        "state_dict_ema": WEIGHTS,
        "optimizer": {"exp_avg": torch.ones(1)},
        "net": {"deep": WEIGHTS},
        "state_dict": WEIGHTS,
    }
    torch.save(content, tmp_path / "file.tar")
    assert list(read_foreign_weights(tmp_path / "file.tar")) == ["state_dict", "net.deep", "state_dict_ema"]


@pytest.mark.parametrize(
    ("place", "averaged"),
    [("ema", True), ("modelEma", True), ("net.swa_model", True), ("schema", False), ("emanuel", False), ("", False)],
)
def test_averaged_weights_are_known_by_name(place: str, averaged: bool) -> None:
    assert is_averaged(place) == averaged
