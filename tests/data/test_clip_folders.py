"""Clips from folders named by class: labels, splits by video, what is refused."""

import zlib

import numpy as np
import pytest
from PIL import Image

from nowcastlib.data import ClassFolders, clips_of_folders
from nowcastlib.errors import NowcastError


def film(folder, seed, frames=5, size=12):
    """A folder of numbered grey pictures."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for k in range(frames):
        Image.fromarray(rng.integers(0, 256, (size, size), "u1")).save(folder / f"{k}.png")


@pytest.fixture
def root(tmp_path):
    for k in range(4):
        film(tmp_path / "cloud" / f"a{k}", k)
        film(tmp_path / "rain" / f"b{k}", 10 + k)
    return tmp_path


def test_folders_give_labels_and_videos_stay_whole(root):
    sets = clips_of_folders(ClassFolders(root, "rain", n_in=2), (0.5, 0.5, 0))
    assert set(sets) == {"train", "validation"}
    for part in sets.values():
        assert part.clips.shape == (8, 2, 1, 12, 12)  # two films of each class, two clips of each
        assert part.labels.sum() == 4
        assert 0 <= part.clips.min() < 0.05 < 0.95 < part.clips.max() <= 1
    shown = [{clip.numpy().tobytes() for clip in part.clips} for part in sets.values()]
    assert not shown[0] & shown[1]


def test_clips_show_the_pictures_in_their_order(root):
    sets = clips_of_folders(ClassFolders(root, "rain", n_in=5), (1, 0, 0))
    first = np.asarray(Image.open(root / "rain" / "b0" / "3.png")) / 255
    assert any(np.allclose(clip[3, 0], first, atol=1e-6) for clip in sets["train"].clips)


def test_clips_never_span_missing_pictures(tmp_path, caplog):
    for label in ("cloud", "rain"):
        film(tmp_path / label / "a", zlib.crc32(label.encode()), frames=8)
        for k in range(3, 8):  # 0, 1, 2, then 20, …, 24
            (tmp_path / label / "a" / f"{k}.png").rename(tmp_path / label / "a" / f"{k + 17}.png")

    clips = clips_of_folders(ClassFolders(tmp_path, "rain", n_in=3), (1, 0, 0))["train"].clips
    assert clips.shape[:2] == (4, 3)  # of each film 0…2 and 20…22
    later = np.asarray(Image.open(tmp_path / "rain" / "a" / "20.png")) / 255
    assert any(np.allclose(clip[0, 0], later, atol=1e-6) for clip in clips)
    assert "17 frames are missing" in caplog.text

    with pytest.raises(NowcastError, match="no 6 frames in a row"):
        clips_of_folders(ClassFolders(tmp_path, "rain", n_in=6), (1, 0, 0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: film(root / "rain" / "b9", 0), "show the same: keep one"),
        (lambda root: film(root / "rain" / "b9", 99, size=14), "bring them to one size"),
        (lambda root: film(root / "rain" / "b9", 99, frames=1), "has 1 frames, and a clip 2"),
        (lambda root: (root / "snow").mkdir(), r"holds 3 folders \(cloud, rain, snow\)"),
    ],
)
def test_folders_that_cannot_be_used_are_refused(root, change, message):
    change(root)
    with pytest.raises(NowcastError, match=message):
        clips_of_folders(ClassFolders(root, "rain", n_in=2), (0.5, 0.5, 0))


def test_a_split_without_one_of_the_classes_is_refused(root):
    for k in range(1, 4):
        for path in (root / "rain" / f"b{k}").iterdir():
            path.unlink()
        (root / "rain" / f"b{k}").rmdir()
    with pytest.raises(NowcastError, match=r"clips of the .* set have the label no"):
        clips_of_folders(ClassFolders(root, "rain", n_in=2), (0.5, 0.5, 0))


def test_unknown_and_empty_classes_are_refused(root, tmp_path):
    with pytest.raises(NowcastError, match="no folder 'snow': name one of"):
        ClassFolders(root, "snow")
    with pytest.raises(NowcastError, match="is not a folder"):
        ClassFolders(tmp_path / "missing", "rain")
    for path in sorted((root / "cloud").rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    with pytest.raises(NowcastError, match="holds no video and no folder of pictures"):
        clips_of_folders(ClassFolders(root, "rain"))
