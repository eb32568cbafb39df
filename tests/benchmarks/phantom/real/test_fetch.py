# SPDX-License-Identifier: Apache-2.0
import base64
import errno
import hashlib
import http.server
import socket
import struct
import threading
import zlib
from pathlib import Path

import numpy as np
import pytest

from aminet_benchmarks.phantom import cli
from aminet_benchmarks.phantom.real import download as download_module
from aminet_benchmarks.phantom.real.download import download
from aminet_benchmarks.phantom.real.fetch import fetch_anatomy
from aminet_benchmarks.phantom.real.folder import open_folder
from aminet_benchmarks.phantom.real.sources import RAW_HOST, Source, all_sources
from aminet_benchmarks.phantom.real.vtp import TO_MNI, vtp_to_npz
from aminet_runtime.errors import (
    InputDamaged,
    InputMissing,
    InputUnsupported,
    OutputExists,
    OutputNotWritable,
)


def digest(data):
    return hashlib.sha256(data).hexdigest()


def vtp_of(tree):
    """Write a tree as its source does: each edge a vessel, arrays zipped and base64."""
    points = (tree.points_mm - TO_MNI[:, 3]) @ np.linalg.inv(TO_MNI[:, :3]).T
    arrays = {
        "PointData": [("Float32", "Radius", tree.radius_mm.astype("<f4"))],
        "CellData": [("Int32", "Major Vessel Ids", tree.artery.astype("<i4"))],
        "Points": [("Float32", "Points", points.astype("<f4"))],
        "Lines": [
            ("Int64", "connectivity", tree.edges.astype("<i8")),
            ("Int64", "offsets", 2 * np.arange(1, len(tree.edges) + 1, dtype="<i8")),
        ],
    }
    head, appended = '<VTKFile header_type="UInt32">', b""
    for section, entries in arrays.items():
        head += f"<{section}>"
        for kind, name, array in entries:
            head += f'<DataArray type="{kind}" Name="{name}" offset="{len(appended)}"/>'
            packed = zlib.compress(array.tobytes())
            sizes = struct.pack("<4I", 1, array.nbytes, 0, len(packed))
            appended += base64.b64encode(sizes) + base64.b64encode(packed)
        head += f"</{section}>"
    return head.encode() + b'<AppendedData encoding="base64">_' + appended + b"</AppendedData>"


@pytest.fixture
def server():
    """Serve `files` (path -> bytes); a path in `cut` stops halfway."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            data = self.server.files.get(self.path.lstrip("/"))
            if data is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            is_cut = self.path.lstrip("/") in self.server.cut
            self.wfile.write(data[: len(data) // 2] if is_cut else data)

        def log_message(self, *_arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.files, server.cut = {}, set()
        server.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def offered(server, anatomy_folder, tree):
    """Put a small anatomy on the server and return its sources."""
    vtp = vtp_of(tree)
    server.files["person.vtp"] = vtp
    sources = [Source("person.vtp", "arteries/tree_00.npz", len(vtp), digest(vtp))]
    for path in sorted((anatomy_folder / "clinical_ct").iterdir()):
        data = path.read_bytes()
        server.files[path.name] = data
        sources.append(Source(path.name, f"clinical_ct/{path.name}", len(data), digest(data)))
    return sources


def test_fetches_a_folder_that_can_be_used(server, offered, tree, tmp_path):
    steps = []

    fetch_anatomy(
        tmp_path / "anatomy",
        host=server.url,
        sources=offered,
        on_progress=lambda done, total: steps.append((done, total)),
    )

    (found,) = open_folder(tmp_path / "anatomy").trees
    np.testing.assert_allclose(found.points_mm, tree.points_mm, atol=1e-4)
    np.testing.assert_array_equal(found.edges, tree.edges)
    np.testing.assert_array_equal(found.artery, tree.artery)
    assert steps == [(n, 4) for n in (1, 2, 3, 4)]


def test_same_source_gives_the_same_bytes(tree):
    assert vtp_to_npz(vtp_of(tree)) == vtp_to_npz(vtp_of(tree))


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda data: data[:-1] + b"?", InputDamaged, "is not the file that it was"),
        (lambda data: data[:-9], InputDamaged, "and has only"),
        (lambda data: data + b"more", InputDamaged, "and has more"),
        (lambda _: None, InputMissing, "the server answers 404"),
    ],
)
def test_leaves_nothing_where_a_file_is_not_the_pinned_one(
    spoil, error, message, server, offered, tmp_path
):
    spoilt = spoil(server.files["scct.nii"])
    server.files = {**server.files, "scct.nii": spoilt}

    with pytest.raises(error, match=message):
        fetch_anatomy(tmp_path / "anatomy", host=server.url, sources=offered)
    assert list(tmp_path.iterdir()) == []


def test_broken_connection_is_an_error(server, offered):
    server.cut.add("scct.nii")
    source = next(source for source in offered if source.url_path == "scct.nii")

    with pytest.raises(InputDamaged, match="and has only"):
        download(f"{server.url}/scct.nii", size=source.size, sha256=source.sha256)


def test_refused_connection_is_one_line_and_exit_code_10(tmp_path, capsys):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    code = cli.main(["fetch-anatomy", str(tmp_path / "out"), "--host", f"http://127.0.0.1:{port}"])

    captured = capsys.readouterr()
    assert code == 10
    assert captured.err.startswith("aminet-phantom fetch-anatomy: error[E1071]: ")
    assert "cannot be reached" in captured.err
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_silent_server_is_left_after_the_timeout():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/file"

        with pytest.raises(InputMissing, match="cannot be reached"):
            download(url, size=1, sha256="", timeout_s=0.2)


def test_server_that_sends_drop_by_drop_is_left_at_the_deadline(server, monkeypatch):
    monkeypatch.setattr(download_module, "DEADLINE_S", -1.0)
    server.files["file"] = b"drop"

    with pytest.raises(InputMissing, match="not there after"):
        download(f"{server.url}/file", size=4, sha256="")


def test_file_of_another_format_is_refused(server, tmp_path):
    server.files["person.vtp"] = b"<VTKFile/>"
    source = Source("person.vtp", "arteries/tree_00.npz", 10, digest(b"<VTKFile/>"))

    with pytest.raises(InputUnsupported, match=r"person\.vtp: cannot be converted \(not PolyData"):
        fetch_anatomy(tmp_path / "out", host=server.url, sources=[source])


@pytest.mark.parametrize("end", [0.4, 0.6, 0.8])
def test_cut_tree_is_a_value_error(tree, end):
    data = vtp_of(tree)
    with pytest.raises((ValueError, KeyError)):
        vtp_to_npz(data[: int(end * len(data))])


def test_a_full_disk_ends_in_one_line_and_leaves_nothing(server, offered, tmp_path, monkeypatch):
    def write_bytes(_path, _data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", write_bytes)

    with pytest.raises(OutputNotWritable, match="no space left"):
        fetch_anatomy(tmp_path / "anatomy", host=server.url, sources=offered)

    assert list(tmp_path.iterdir()) == []


def test_filled_folder_is_not_touched(server, offered, tmp_path):
    (tmp_path / "mine").write_text("mine")

    with pytest.raises(OutputExists):
        fetch_anatomy(tmp_path, host=server.url, sources=offered)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_each_source_is_pinned_to_a_commit_and_a_hash():
    sources = all_sources()

    assert RAW_HOST.startswith("https://")
    assert len({source.target for source in sources}) == len(sources) == 46
    for source in sources:
        assert len(source.url_path.split("/")[2]) == 40
        assert len(source.sha256) == 64
        assert 0 < source.size < 2**21


def test_options_that_are_no_address_are_refused(tmp_path, capsys):
    assert cli.main(["fetch-anatomy", str(tmp_path / "out"), "--host", "file:///etc"]) == 2
    assert "is neither http:// nor https://" in capsys.readouterr().err
