"""The registry of data sets, the lists of files of their repositories, and archives that unpack inside their
folder or not at all."""

import functools
import hashlib
import http.server
import io
import json
import tarfile
import threading
import zipfile
from collections import namedtuple

import pytest
import yaml

from headscarp import files
from headscarp.errors import HeadscarpError
from headscarp.files import DiskFullError
from headscarp.sources.datasets import fetch_dataset, find_file, known_files, read_datasets, wanted_files
from headscarp.sources.downloads import describe_missing, missing_files, read_ledger
from headscarp.sources.unpack import unpack
from tests.conftest import REPOSITORY

REGISTRY = REPOSITORY / "workflow" / "datasets.yaml"
ENTRY = {
    "title": "Somebody's lines",
    "kind": "vectors",
    "licence": "CC0",
    "citation": "somebody (2020)",
    "files": [
        {"name": "lines.gpkg", "url": "https://example.org/lines.gpkg", "bytes": 5, "sha256": "0" * 64}
    ],
}
CONTENT = {"Train Data.zip": b"train" * 1000, "README.md": b"read me"}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.delenv("HEADSCARP_OFFLINE", raising=False)


def registry(folder, **entries):
    path = folder / "datasets.yaml"
    path.write_text(yaml.safe_dump(entries), encoding="utf-8")
    return path


# --- the registry


def test_the_registry_of_the_repository():
    datasets = read_datasets(REGISTRY)
    assert {name: dataset.kind for name, dataset in datasets.items()} == {
        "gem_active_faults": "vectors",
        "natural_earth_rivers": "vectors",
    } | dict.fromkeys(
        ("landslide4sense", "hr_gldd", "gdcld", "cas_landslide", "sen12landslides"), "patch_set"
    )
    zenodo = {"landslide4sense": 10463239, "hr_gldd": 7189381, "gdcld": 13612636, "cas_landslide": 10294997}
    assert {name: dataset.zenodo for name, dataset in datasets.items() if dataset.zenodo} == zenodo
    for name, number in zenodo.items():
        assert f"10.5281/zenodo.{number}" in datasets[name].citation
        assert datasets[name].record.url == f"https://zenodo.org/api/records/{number}"
    assert all(
        "doi 10." in dataset.citation for name, dataset in datasets.items() if name != "natural_earth_rivers"
    )
    assert "56816508ad92fd6846dad1163b1c8c01376a2cd1" in datasets["gem_active_faults"].files[0].url


def test_what_an_entry_says(tmp_path):
    dataset = read_datasets(registry(tmp_path, lines=ENTRY))["lines"]
    assert (dataset.name, dataset.title, dataset.licence, dataset.record) == (
        "lines",
        "Somebody's lines",
        "CC0",
        None,
    )
    assert [(file.name, file.bytes, file.sha256) for file in dataset.files] == [("lines.gpkg", 5, "0" * 64)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"license": "MIT"}, "lines: key 'license' does not exist; did you mean 'licence'"),
        ({"title": None}, "lines: title is empty"),
        ({"licence": " "}, "licence is empty"),
        ({"kind": "vector"}, "kind 'vector' does not exist; did you mean 'vectors'"),
        ({"zenodo": 5}, "files and zenodo given; name exactly one"),
        ({"files": ...}, "no origin given; name exactly one of files, zenodo, huggingface"),
        ({"citation": ...}, "the key 'citation' is missing"),
        ({"files": []}, "files is an empty list"),
        ({"files": ["lines.gpkg"]}, "file 1: a file has the keys name and url"),
        ({"files": ..., "zenodo": "10.5281/zenodo.5"}, "is not the number of a record"),
        ({"files": ..., "huggingface": "https://huggingface.co/a/b"}, "is not owner/name"),
        ({"files": ENTRY["files"] * 2}, "file 2: a second file is called 'lines.gpkg'"),
    ]
    + [
        ({"files": [ENTRY["files"][0] | change]}, message)
        for change, message in [
            ({"sha": "1"}, "file 1: key 'sha' does not exist; did you mean 'sha256'"),
            ({"name": "../lines.gpkg"}, "no file name without folders"),
            ({"name": "record.json"}, "no file name"),
            ({"url": "ftp://example.org/a"}, "no http or https address"),
            ({"bytes": "5 MB"}, "bytes '5 MB' is no whole number"),
            ({"sha256": "abc"}, "is not 64 small hexadecimal digits"),
        ]
    ],
)
def test_a_bad_entry_is_refused(tmp_path, change, message):
    entry = {key: value for key, value in (ENTRY | change).items() if value is not ...}
    with pytest.raises(HeadscarpError, match=message) as caught:
        read_datasets(registry(tmp_path, lines=entry))
    assert "\n" not in str(caught.value) and "datasets.yaml" in str(caught.value)


def test_a_registry_that_is_no_registry(tmp_path):
    with pytest.raises(HeadscarpError, match="does not exist"):
        read_datasets(tmp_path / "datasets.yaml")
    with pytest.raises(HeadscarpError, match=r"datasets\.yaml, lines: an entry has the keys"):
        read_datasets(registry(tmp_path, lines="https://example.org"))
    text = yaml.safe_dump({"lines": ENTRY})
    (tmp_path / "datasets.yaml").write_text(text + text)
    with pytest.raises(HeadscarpError, match="'lines' is defined twice"):
        read_datasets(tmp_path / "datasets.yaml")


# --- files that a repository lists


def put(root, url, content):
    path = root / url.split("://")[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def zenodo_answer(**changes):
    files = [
        {
            "key": key,
            "size": len(body),
            "checksum": f"md5:{hashlib.md5(body).hexdigest()}",
            "links": {"self": "…"},
        }
        | changes
        for key, body in CONTENT.items()
    ]
    return {"id": 77, "metadata": {"license": {"id": "cc-by-4.0"}}, "files": files}


@pytest.fixture
def repository(tmp_path):
    """A server that stands for Zenodo and Hugging Face, as a mirror of both; returns (its address, its
    folder, addresses asked)."""
    root, asked = tmp_path / "served", []
    put(root, "https://zenodo.org/api/records/77", json.dumps(zenodo_answer()).encode())
    put(
        root,
        "https://huggingface.co/api/datasets/me/slides",
        json.dumps(huggingface_answer("data/Train Data.zip", "README.md")).encode(),
    )
    for name, body in CONTENT.items():
        put(root, f"https://zenodo.org/records/77/files/{name}", body)
        folder = "data/" if name.endswith(".zip") else ""
        put(root, f"https://huggingface.co/datasets/me/slides/resolve/c0ffee/{folder}{name}", body)

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            super().do_GET()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(root))
    )
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", root, asked
    server.shutdown()
    server.server_close()


def huggingface_answer(*names):
    return {"sha": "c0ffee", "siblings": [{"rfilename": name} for name in names]}


def listed(folder, **origin):
    entry = {key: value for key, value in ENTRY.items() if key != "files"} | {"kind": "patch_set"} | origin
    return read_datasets(registry(folder, slides=entry))["slides"]


def test_a_record_of_zenodo(tmp_path, repository):
    mirror, root, asked = repository
    dataset, folder, ledger = listed(tmp_path, zenodo=77), tmp_path / "downloads", tmp_path / "checksums.csv"
    assert [(file.name, path) for file, path in wanted_files(dataset, folder)] == [
        ("record.json", folder / "record.json")
    ]
    assert fetch_dataset(dataset, folder, mirror, ledger) == {name: folder / name for name in CONTENT}
    assert {name: (folder / name).read_bytes() for name in CONTENT} == CONTENT
    assert {file.name: file.md5 for file in known_files(dataset, folder)}["README.md"] == hashlib.md5(
        CONTENT["README.md"]
    ).hexdigest()
    # a record counts its visitors
    assert len(read_ledger(ledger)) == 2 and not any("api" in url for url in read_ledger(ledger))
    count = len(asked)
    fetch_dataset(dataset, folder, mirror, ledger)
    assert len(asked) == count
    assert missing_files(wanted_files(dataset, folder), None) == []
    (folder / "README.md").unlink()
    put(root, "https://zenodo.org/records/77/files/README.md", b"READ ME")
    with pytest.raises(HeadscarpError, match="checksum failure, expected"):
        fetch_dataset(dataset, folder, mirror, None, ["README.md"])
    assert not (folder / "README.md").exists()


def test_a_data_set_of_hugging_face(tmp_path, repository):
    mirror, _, asked = repository
    dataset, folder, ledger = (
        listed(tmp_path, huggingface="me/slides"),
        tmp_path / "downloads",
        tmp_path / "checksums.csv",
    )
    paths = fetch_dataset(dataset, folder, mirror, ledger, ["data/Train Data.zip"])
    assert paths == {"data/Train Data.zip": folder / "data" / "Train Data.zip"}
    assert paths["data/Train Data.zip"].read_bytes() == CONTENT["Train Data.zip"]
    assert not any(path.endswith("README.md") for path in asked)
    url = "https://huggingface.co/datasets/me/slides/resolve/c0ffee/data/Train%20Data.zip"
    assert read_ledger(ledger)[url]["sha256"] == hashlib.sha256(CONTENT["Train Data.zip"]).hexdigest()
    assert list(read_ledger(ledger)) == [url]


def test_one_file_of_several(tmp_path, repository):
    mirror, _, _ = repository
    dataset, folder = listed(tmp_path, zenodo=77), tmp_path / "downloads"
    with pytest.raises(HeadscarpError, match="not known before their list is fetched"):
        find_file(dataset, known_files(dataset, folder), None)
    with pytest.raises(
        HeadscarpError, match=r"data set slides: file 'READ\.md' does not exist; did you mean 'README\.md'"
    ):
        fetch_dataset(dataset, folder, mirror, None, ["READ.md"])
    with pytest.raises(HeadscarpError, match="data set slides has 2 files"):
        find_file(dataset, known_files(dataset, folder), None)
    one = read_datasets(registry(tmp_path, lines=ENTRY))["lines"]
    assert find_file(one, known_files(one, folder), None).name == "lines.gpkg"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("<html>", "JSONDecodeError"),
        ([], "TypeError"),
        ({"title": "moved"}, "KeyError: 'files'"),
        (zenodo_answer(checksum="sha1:00"), "is not MD5"),
        ({"files": []}, "lists no files"),
        (zenodo_answer(key="../evil.zip"), r"'\.\./evil\.zip' would lie outside"),
    ],
)
def test_a_list_of_another_form_is_refused(tmp_path, answer, message):
    dataset = listed(tmp_path, zenodo=77)
    put(
        tmp_path / "mirror",
        dataset.record.url,
        (answer if isinstance(answer, str) else json.dumps(answer)).encode(),
    )
    with pytest.raises(HeadscarpError, match=message) as caught:
        fetch_dataset(dataset, tmp_path / "downloads", str(tmp_path / "mirror"), None)
    assert "record.json" in str(caught.value) and not (tmp_path / "evil.zip").exists()


def test_offline(tmp_path, monkeypatch, repository):
    mirror, root, asked = repository
    monkeypatch.setenv("HEADSCARP_OFFLINE", "1")
    dataset, folder = listed(tmp_path, zenodo=77), tmp_path / "downloads"
    missing = missing_files(wanted_files(dataset, folder), mirror)
    assert f"-o {folder / 'record.json'} https://zenodo.org/api/records/77" in describe_missing(
        missing, mirror
    )
    with pytest.raises(HeadscarpError, match="HEADSCARP_OFFLINE"):
        fetch_dataset(dataset, folder, mirror, None)
    (root / "zenodo.org" / "records" / "77" / "files" / "Train Data.zip").rename(
        root / "zenodo.org" / "records" / "77" / "files" / "Train%20Data.zip"
    )
    fetch_dataset(dataset, folder, str(root), None)
    assert {name: (folder / name).read_bytes() for name in CONTENT} == CONTENT and asked == []


# --- unpacking


def make_zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members.items():
            archive.writestr(name, body)
    return path


def make_tar(path, members, mode="w:gz"):
    with tarfile.open(path, mode) as archive:
        for name, body in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return path


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(
    "make",
    [make_zip, make_tar, functools.partial(make_tar, mode="w"), functools.partial(make_tar, mode="w:xz")],
)
def test_an_archive_is_unpacked(tmp_path, make):
    members = {"data/a.bin": b"a" * 5000, "./b.txt": b"b", "data/deep/..dots": b"c"}
    path = make(tmp_path / "archive", members)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "old").write_bytes(b"of an earlier version")
    unpack(path, tmp_path / "out")
    assert tree(tmp_path / "out") == {name.removeprefix("./"): body for name, body in members.items()}


@pytest.mark.parametrize("make", [make_zip, make_tar])
@pytest.mark.parametrize(
    "name", ["../evil", "a/../../evil", "/tmp/evil", "..\\evil", "C:\\evil", "C:evil", "a\\..\\..\\evil"]
)
def test_what_leads_out_of_the_folder_is_refused(tmp_path, make, name):
    path = make(tmp_path / "archive", {"good.txt": b"good", name: b"evil"})
    with pytest.raises(HeadscarpError) as caught:
        unpack(path, tmp_path / "in" / "out")
    assert f"'{name}' would lie outside" in str(caught.value) and str(path) in str(caught.value)
    assert tree(tmp_path).keys() == {"archive"} and list((tmp_path / "in").iterdir()) == []


def test_links_and_devices_are_refused(tmp_path):
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        with tarfile.open(tmp_path / "a.tar", "w") as archive:
            info = tarfile.TarInfo("folder")
            info.type, info.linkname = kind, "../.."
            archive.addfile(info)
            archive.addfile(tarfile.TarInfo("folder/evil"), io.BytesIO())
        with pytest.raises(HeadscarpError, match=r"a\.tar: 'folder' is a link or a device"):
            unpack(tmp_path / "a.tar", tmp_path / "out")
    info = zipfile.ZipInfo("folder")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    make_zip(tmp_path / "a.zip", {info: b"../..", "folder/evil": b"evil"})
    with pytest.raises(HeadscarpError, match=r"a\.zip: 'folder' is a link or a device"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("make", [make_zip, make_tar])
def test_more_than_the_free_space_is_refused(tmp_path, make, monkeypatch):
    path = make(tmp_path / "bomb", {f"{number}": bytes(1 << 20) for number in range(3)})
    assert path.stat().st_size < 20_000
    usage = namedtuple("usage", "free")
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage(3_000_000))
    with pytest.raises(DiskFullError, match=r"no room for what .*bomb holds: it needs 0\.003 GB"):
        unpack(path, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["bomb"]


class Unmarked(zipfile.ZipInfo):
    """A member whose name is written without the flag of UTF-8, as by tools that know of no encodings."""

    def _encodeFilenameFlags(self):
        return self.filename.encode("cp437"), 0


def test_names_in_other_encodings(tmp_path):
    names = {"cp932": "判読領域/表.shp", "utf-8": "崩壊/表.dbf"}
    members = {}
    for encoding, name in names.items():
        info = Unmarked("placeholder")
        info.filename = name.encode(encoding).decode("cp437")
        members[info] = name.encode()
    members["ütf.txt"] = "ütf.txt".encode()
    unpack(make_zip(tmp_path / "a.zip", members), tmp_path / "out")
    assert tree(tmp_path / "out") == {name: name.encode() for name in (*names.values(), "ütf.txt")}


def test_a_published_zip(tmp_path, real_data):
    path = next(real_data("mirror").rglob("%E5%88%A4*.zip"))
    unpack(path, tmp_path / "out")
    assert tree(tmp_path / "out").keys() == {
        f"判読領域.{kind}" for kind in ("dbf", "prj", "qml", "shp", "shx")
    }


@pytest.mark.parametrize("make", [make_zip, make_tar, functools.partial(make_tar, mode="w")])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.8])
def test_a_truncated_archive_leaves_nothing(tmp_path, make, share):
    body = b"".join(hashlib.sha256(bytes([number])).digest() for number in range(256))
    path = make(tmp_path / "archive", {f"{number}.bin": body for number in range(4)})
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(HeadscarpError, match="could not be unpacked and nothing of it was left") as caught:
        unpack(path, tmp_path / "out")
    assert str(path) in str(caught.value) and [path.name for path in tmp_path.iterdir()] == ["archive"]


def test_a_damaged_header_is_not_taken_for_the_end(tmp_path):
    path = make_tar(tmp_path / "a.tar", {"first": b"1" * 512, "second": b"2" * 512}, "w")
    raw = bytearray(path.read_bytes())
    raw[1024:1034] = b"\xff" * 10
    path.write_bytes(raw)
    with pytest.raises(HeadscarpError, match="ends too early"):
        unpack(path, tmp_path / "out")


def test_a_damaged_member_leaves_nothing(tmp_path):
    path = make_zip(tmp_path / "a.zip", {"a.bin": bytes(range(256)) * 40})
    raw = bytearray(path.read_bytes())
    raw[100] ^= 0xFF
    path.write_bytes(raw)
    with pytest.raises(HeadscarpError, match="could not be unpacked and nothing of it was left"):
        unpack(path, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]


def test_what_is_no_archive(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"<html>not found</html>")
    with pytest.raises(HeadscarpError, match="neither zip nor tar"):
        unpack(tmp_path / "a.zip", tmp_path / "out")
    with pytest.raises(HeadscarpError, match=r"b\.zip does not exist"):
        unpack(tmp_path / "b.zip", tmp_path / "out")
    with pytest.raises(HeadscarpError, match="holds no files"):
        unpack(make_zip(tmp_path / "c.zip", {}), tmp_path / "out")


def test_a_tar_that_holds_a_zip_is_a_tar(tmp_path):
    inner = make_zip(tmp_path / "inner.zip", {"a": b"a"}).read_bytes()
    unpack(make_tar(tmp_path / "outer", {"inner.zip": inner}, "w"), tmp_path / "out")
    assert tree(tmp_path / "out") == {"inner.zip": inner}
