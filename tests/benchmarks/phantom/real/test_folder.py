# SPDX-License-Identifier: Apache-2.0
import shutil
import zipfile

import numpy as np
import pytest

from aminet_benchmarks.phantom.real.folder import open_folder
from aminet_benchmarks.phantom.real.heads import open_heads
from aminet_runtime.errors import InputDamaged, InputInconsistent, InputMissing, InputUnsupported


def test_reads_trees_and_template_on_one_grid(anatomy_folder):
    content = open_folder(anatomy_folder)

    assert [tree.name for tree in content.trees] == [f"tree_{n:02d}" for n in range(5)]
    assert content.images.head.shape == content.images.csf.shape == (48, 60, 48)
    right, front = content.images.affine[0, 0], content.images.affine[1, 1]
    assert right == front == -4.0, "canonical columns run to the left, rows to the back"


def test_fingerprint_follows_the_content_and_not_the_place(own_folder, rewrite_tree, tree):
    first = open_folder(own_folder).fingerprint
    moved = shutil.copytree(own_folder, own_folder.with_name("elsewhere"))
    assert open_folder(moved).fingerprint == first

    rewrite_tree(radius_mm=tree.radius_mm * np.float32(1.01))
    assert open_folder(own_folder).fingerprint != first


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"points_mm": None}, "points_mm is not a float32 array of 2 axes"),
        ({"edges": lambda tree: tree.edges.astype(np.int64)}, "edges is not a int32 array"),
        ({"radius_mm": lambda tree: tree.radius_mm[:-1]}, "the sizes do not make a graph"),
        ({"edges": lambda tree: tree.edges + np.int32(9999)}, "edges has values that are not 0"),
        ({"points_mm": lambda tree: tree.points_mm * np.float32(np.nan)}, "points_mm has values"),
        ({"radius_mm": lambda tree: tree.radius_mm + np.float32(50)}, "radius_mm has values"),
        (
            {"artery": lambda tree: tree.artery + np.int8(9)},
            "artery has values that are not 0 to 7",
        ),
    ],
)
def test_refuses_a_tree_that_does_not_fit(changes, message, own_folder, rewrite_tree, tree):
    rewrite_tree(**{name: make and make(tree) for name, make in changes.items()})

    with pytest.raises(InputUnsupported, match=message):
        open_folder(own_folder)


def test_refuses_pickled_arrays(own_folder, rewrite_tree):
    rewrite_tree(points_mm=np.array([{"a": 1}], object))

    with pytest.raises(InputDamaged, match="is not an npz file of plain arrays"):
        open_folder(own_folder)


def test_refuses_an_archive_that_unpacks_to_too_much(own_folder):
    path = own_folder / "arteries" / "tree_00.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("points_mm.npy", bytes(9 * 2**20))

    with pytest.raises(InputUnsupported, match="unpacks to 9437184 bytes"):
        open_folder(own_folder)


def test_refuses_what_is_no_archive(own_folder):
    (own_folder / "arteries" / "tree_00.npz").write_bytes(b"not a zip")

    with pytest.raises(InputDamaged, match=r"tree_00\.npz: is not an npz file"):
        open_folder(own_folder)


def broken_stream(data):
    """Change bytes within the compressed array."""
    return data[:90] + bytes(255 - byte for byte in data[90:98]) + data[98:]


def with_unknown_packing(data):
    """Name a method of compression that nobody has, in both headers of the first entry."""
    central = data.index(b"PK\1\2")
    changed = bytearray(data)
    changed[8:10] = changed[central + 10 : central + 12] = (99).to_bytes(2, "little")
    return bytes(changed)


def with_password(data):
    central = data.index(b"PK\1\2")
    changed = bytearray(data)
    changed[6] |= 1
    changed[central + 8] |= 1
    return bytes(changed)


@pytest.mark.parametrize("damage", [broken_stream, with_unknown_packing, with_password])
def test_refuses_a_damaged_archive(own_folder, tree, damage):
    path = own_folder / "arteries" / "tree_00.npz"
    arrays = {name: getattr(tree, name) for name in ("points_mm", "radius_mm", "edges", "artery")}
    np.savez_compressed(path, **arrays)
    open_folder(own_folder)
    path.write_bytes(damage(path.read_bytes()))

    with pytest.raises(InputDamaged, match=r"tree_00\.npz: is not an npz file"):
        open_folder(own_folder)


def test_refuses_an_array_whose_header_is_no_header(own_folder):
    header = b"\x93NUMPY\x01\x00\x10\x00" + b"{'descr': ((((((\n"
    with zipfile.ZipFile(own_folder / "arteries" / "tree_00.npz", "w") as archive:
        archive.writestr("points_mm.npy", header)

    with pytest.raises(InputDamaged, match=r"tree_00\.npz: is not an npz file"):
        open_folder(own_folder)


def test_refuses_images_on_different_grids(own_folder):
    images = own_folder / "clinical_ct"
    data = bytearray((images / "sccsf.nii").read_bytes())
    data[280:284] = np.float32(3.5).tobytes()  # the x step of the sform
    data[80:84] = np.float32(3.5).tobytes()
    (images / "sccsf.nii").write_bytes(data)

    with pytest.raises(InputInconsistent, match=r"sccsf\.nii: its grid is not that of scct\.nii"):
        open_folder(own_folder)


@pytest.mark.parametrize("name", ["arteries", "clinical_ct/scct.nii"])
def test_says_what_is_missing(name, own_folder):
    missing = own_folder / name
    shutil.rmtree(missing) if missing.is_dir() else missing.unlink()

    with pytest.raises(InputMissing):
        open_folder(own_folder)


def test_refuses_a_tree_in_pieces(own_folder, rewrite_tree, tree):
    cut = np.arange(len(tree.edges)) != 40
    rewrite_tree(edges=tree.edges[cut], artery=tree.artery[cut])

    with pytest.raises(InputInconsistent, match=r"tree_00\.npz: the tree is in 2 pieces"):
        open_heads(own_folder)


def test_refuses_a_tree_whose_trunks_hang_together_over_a_gap(own_folder, rewrite_tree, tree):
    parted = tree.points_mm.copy()
    below_the_tip = (abs(parted[:, 0]) < 1) & (parted[:, 2] < -35)
    parted[below_the_tip, 2] -= 40
    rewrite_tree(points_mm=parted)

    with pytest.raises(InputInconsistent, match=r"tree_00\.npz: a gap of more than 25 mm parts"):
        open_heads(own_folder)


def test_refuses_a_tree_without_carotids(own_folder, rewrite_tree, tree):
    above = tree.points_mm.copy()
    above[:, 2] += 100
    rewrite_tree(points_mm=above)

    with pytest.raises(InputUnsupported, match="it lacks the right carotid"):
        open_heads(own_folder)
