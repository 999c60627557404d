"""Facts about the data sets, and how files are found, checked and downloaded."""

from __future__ import annotations

import hashlib
import importlib
import os
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from mlpframe import registries
from mlpframe.api import DataContext, Splits, Table, UsageError
from mlpframe.registry import REQUIRED
from tests.data import FILES, ROOT, data_dir, needs_fashion_mnist, needs_mnist

DATASETS = registries["dataset"]
SHA256 = {  # of MNIST's files as published
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


def load(name: str, folder: Path | None = None, **options: object) -> Splits:
    """A data set, downloaded only where the options name mirrors."""
    info = DATASETS.info(name)
    if any(option.name == "mirrors" for option in info.options):
        options.setdefault("mirrors", [])
    context = DataContext(folder or data_dir() or ROOT / "outputs", np.random.default_rng(0))
    return DATASETS.create(name, **options).load(context)


def tables(splits: Splits) -> list[Table]:
    return [table for table in (splits.train, splits.validation, splits.test) if table is not None]


# --- every data set ------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=DATASETS.names())
def loaded(request: pytest.FixtureRequest) -> tuple[str, Splits]:
    name = request.param
    info = DATASETS.info(name)
    for option in info.options:
        if option.default is REQUIRED:
            pytest.skip(f"{name} cannot be loaded without being told its {option.name}")
    try:
        return name, load(name)
    except UsageError as error:
        if "is missing and could not be downloaded" not in str(error):
            raise
        pytest.skip(f"the files of {name} are not there")


def test_tables_are_what_the_contract_says(loaded: tuple[str, Splits]) -> None:
    _, splits = loaded
    for table in tables(splits):
        assert table.x.ndim == 2
        assert len(table.x) == len(table.y) > 0
        assert table.x.dtype in (np.float32, np.float64)
        assert table.x.flags.c_contiguous
        assert table.y.flags.c_contiguous
        assert np.isfinite(table.x).all()
        assert table.x.shape[1] == splits.train.x.shape[1]


def test_targets_fit_the_task(loaded: tuple[str, Splits]) -> None:
    _, splits = loaded
    for table in tables(splits):
        if splits.task == "classification":
            assert table.y.shape == (len(table),)
            assert table.y.dtype.kind == "i"
            # Every part that a data set brings has every class, and no other.
            np.testing.assert_array_equal(np.unique(table.y), np.arange(len(splits.class_names)))
        else:
            assert table.y.shape == (len(table), splits.n_outputs)
            assert table.y.dtype in (np.float32, np.float64)
            assert np.isfinite(table.y).all()


def test_names_and_image_shape_fit_the_arrays(loaded: tuple[str, Splits]) -> None:
    name, splits = loaded
    features = splits.train.x.shape[1]
    for names in (splits.class_names, splits.feature_names):
        assert len(set(names)) == len(names)
        assert all(type(name) is str and name for name in names)
    assert len(splits.feature_names) in (0, features)
    if splits.image_shape is not None:
        assert splits.image_shape[0] * splits.image_shape[1] == features
    if splits.task == "regression":
        assert DATASETS[name].shared.split != "stratified"


def test_loading_twice_gives_the_same_bits(loaded: tuple[str, Splits]) -> None:
    name, first = loaded
    second = load(name)
    assert len(tables(first)) == len(tables(second))
    for one, other in zip(tables(first), tables(second), strict=True):
        assert one.x.dtype == other.x.dtype
        assert np.array_equal(one.x, other.x)
        assert np.array_equal(one.y, other.y)


# --- the small ones ------------------------------------------------------------------------------


def test_digits_are_sixteenths() -> None:
    from sklearn.datasets import load_digits

    digits, splits = load_digits(), load("digits")
    assert splits.train.x.shape == (1797, 64)
    assert splits.train.x.dtype == np.float32
    np.testing.assert_array_equal(splits.train.x * 16, digits.data)
    np.testing.assert_array_equal(splits.train.x.reshape(-1, *splits.image_shape) * 16, digits.images)
    np.testing.assert_array_equal(splits.train.y, digits.target)
    assert [int(name) for name in splits.class_names] == list(range(10))


def test_iris_is_fishers() -> None:
    from sklearn.datasets import load_iris

    iris, splits = load_iris(), load("iris")
    np.testing.assert_array_equal(splits.train.x, iris.data)
    np.testing.assert_array_equal(splits.train.y, iris.target)
    assert splits.class_names == ("setosa", "versicolor", "virginica")
    assert splits.feature_names[0] == "sepal length (cm)"
    # Fisher's table: the means of the four measurements in cm, and fifty of each species.
    np.testing.assert_allclose(splits.train.x.mean(0), [5.843, 3.057, 3.758, 1.199], atol=5e-4)
    np.testing.assert_array_equal(np.bincount(splits.train.y), [50, 50, 50])


def test_diabetes_is_in_its_own_units() -> None:
    from sklearn.datasets import load_diabetes

    diabetes, splits = load_diabetes(scaled=False), load("diabetes")
    assert splits.task == "regression"
    assert splits.n_outputs == 1
    np.testing.assert_array_equal(splits.train.x, diabetes.data)
    np.testing.assert_array_equal(splits.train.y[:, 0], diabetes.target)
    assert splits.feature_names[:4] == ("age", "sex", "bmi", "bp")
    assert (splits.train.x[0, 0], splits.train.y[0, 0]) == (59, 151)  # the first patient of the paper's table
    assert (splits.train.y.min(), splits.train.y.max()) == (25, 346)


# --- synth ---------------------------------------------------------------------------------------


def test_synth_is_the_published_data_bit_for_bit() -> None:
    splits = load("synth")
    train, validation = splits.train, splits.validation
    assert validation is not None
    assert splits.test is None
    np.testing.assert_allclose(train.x[0], [1.76405235, 0.40015721], atol=5e-9)
    assert train.y[:10].tolist() == [1, 1, 1, 1, 0, 1, 1, 0, 1, 0]
    assert np.bincount(train.y).tolist() == [26506, 33494]
    assert np.bincount(validation.y).tolist() == [4378, 5622]
    x = np.concatenate([train.x, validation.x])
    y = np.concatenate([train.y, validation.y])
    assert x.shape == (70_000, 2)
    assert hashlib.sha256(x.astype("<f8").tobytes()).hexdigest().startswith("9bd1548f555ca4c6")
    assert hashlib.sha256(y.astype("u1").tobytes()).hexdigest().startswith("bcabbd5c96b304f4")


def test_synth_classes_are_the_two_sides_of_the_ellipse() -> None:
    splits = load("synth")
    # The quadratic form by its symmetric part, whose eigenvalues give the semi-axes 2.08 and 0.69.
    values, axes = np.linalg.eigh([[1, 0.475], [0.475, 0.4]])
    semi_axes = np.sqrt(0.6 / values)
    np.testing.assert_allclose(np.sort(semi_axes), [0.69, 2.08], atol=5e-3)
    distance = np.linalg.norm(splits.train.x @ axes / semi_axes, axis=1)
    outside = splits.train.y == splits.class_names.index("outside")
    np.testing.assert_array_equal(distance > 1, outside)


def test_synth_options() -> None:
    whole, part = load("synth"), load("synth", num_train=100, num_val=0)
    np.testing.assert_array_equal(part.train.x, whole.train.x[:100])
    assert part.validation is None
    assert not np.array_equal(load("synth", num_train=100, seed=1).train.x, part.train.x)
    for options in ({"num_train": 0}, {"num_val": -1}, {"seed": -1}, {"seed": 2**32}):
        with pytest.raises(UsageError, match=next(iter(options))):
            load("synth", **options)


# --- MNIST and Fashion-MNIST ---------------------------------------------------------------------


@needs_mnist
def test_mnist_is_what_was_published() -> None:
    splits = load("mnist")
    train, test = splits.train, splits.test
    assert test is not None
    assert splits.validation is None
    assert (train.x.shape, test.x.shape) == ((60_000, 784), (10_000, 784))
    assert train.x.dtype == np.float32
    assert np.bincount(train.y).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(test.y).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert train.y[:5].tolist() == [5, 0, 4, 1, 9]
    assert test.y[:5].tolist() == [7, 2, 1, 0, 4]
    assert (train.x.min(), train.x.max()) == (0, 1)
    mean = train.x.mean(dtype=np.float64)
    assert mean == pytest.approx(0.1307, abs=5e-5)
    assert np.sqrt(np.square(train.x).mean(dtype=np.float64) - mean**2) == pytest.approx(0.3081, abs=5e-5)
    # An image lies row by row: above and below a digit is a margin of four empty rows.
    assert not train.x.reshape(-1, 28, 28)[0, :4].any()


@needs_fashion_mnist
def test_fashion_mnist_is_what_was_published() -> None:
    splits = load("fashion_mnist")
    assert splits.test is not None
    assert splits.train.x.shape == (60_000, 784)
    assert np.bincount(splits.train.y).tolist() == [6000] * 10
    assert np.bincount(splits.test.y).tolist() == [1000] * 10
    assert splits.class_names[splits.train.y[0]] == "Ankle boot"
    assert splits.train.x.mean(dtype=np.float64) == pytest.approx(0.2860, abs=5e-5)


def idx(*dims: int, magic: tuple[int, ...] = (0, 0, 8)) -> bytes:
    header = bytes(magic) + bytes([len(dims)]) + struct.pack(f">{len(dims)}I", *dims)
    return header + bytes(range(int(np.prod(dims))))


def parse(content: bytes, shape: tuple[int, ...]) -> np.ndarray:
    return importlib.import_module("mlpframe.plugins.dataset._idx").parse(content, shape, "file")


def test_idx_elements_come_row_by_row() -> None:
    np.testing.assert_array_equal(parse(idx(2, 3), (2, 3)), [[0, 1, 2], [3, 4, 5]])
    assert parse(idx(5), (5,)).dtype == np.uint8


@pytest.mark.parametrize(
    "content",
    [
        b"",
        idx(2, 3)[:7],
        idx(2, 3)[:-1],
        idx(2, 3) + b"\0",
        idx(3, 2),
        idx(6),
        idx(1, 2, 3),
        idx(2, 3, magic=(0, 0, 9)),  # signed bytes
        idx(2, 3, magic=(0, 1, 8)),
        struct.pack("<4B2I", 0, 0, 8, 2, 2, 3) + bytes(6),  # little-endian
    ],
)
def test_idx_of_another_shape_or_type_is_refused(content: bytes) -> None:
    with pytest.raises(UsageError, match="file"):
        parse(content, (2, 3))


# --- finding, checking and downloading -----------------------------------------------------------


@dataclass
class Mirror:
    """A web server on this machine that serves a folder, and what it was asked for."""

    url: str
    asked: list[str] = field(default_factory=list)
    may_answer: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], Mirror]]:
    """Starts mirrors, which end with the test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")  # a proxy would not reach this machine's own servers
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with ExitStack() as stack:
        yield lambda folder: stack.enter_context(_served(folder))


@contextmanager
def _served(folder: Path) -> Iterator[Mirror]:
    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            mirror.asked.append(self.path.lstrip("/"))
            mirror.may_answer.wait(60)
            super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        mirror = Mirror(f"http://127.0.0.1:{server.server_address[1]}")
        mirror.may_answer.set()
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield mirror
        finally:
            mirror.may_answer.set()
            server.shutdown()
            thread.join()


@pytest.fixture
def dead() -> str:
    """The address of a mirror where nobody listens."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{one.getsockname()[1]}/gone"


@pytest.fixture
def good(serve: Callable[[Path], Mirror]) -> Mirror:
    """A mirror that serves MNIST's own files."""
    folder = data_dir()
    assert folder is not None
    return serve(folder / "mnist")


@pytest.fixture
def corrupt(serve: Callable[[Path], Mirror], tmp_path: Path) -> Mirror:
    """A mirror that serves other bytes under the right names."""
    folder = tmp_path / "corrupt"
    folder.mkdir()
    for file in FILES:
        (folder / file).write_bytes(b"not what you asked for" * 1000)
    return serve(folder)


def files(folder: Path) -> list[str]:
    """What lies in a folder, but for the lock's empty file."""
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != ".lock")


@needs_mnist
def test_files_are_downloaded_from_the_first_mirror_that_serves_them(
    tmp_path: Path, good: Mirror, dead: str
) -> None:
    folder = tmp_path / "new" / "data"
    splits = load("mnist", folder, mirrors=[dead, good.url + "/"])
    assert splits.train.y[:5].tolist() == [5, 0, 4, 1, 9]
    assert sorted(good.asked) == sorted(FILES)
    assert files(folder / "mnist") == sorted(FILES)
    for file in FILES:
        assert hashlib.sha256((folder / "mnist" / file).read_bytes()).hexdigest() == SHA256[file]
    # And not once more.
    load("mnist", folder, mirrors=[good.url])
    assert len(good.asked) == len(FILES)


@needs_mnist
@pytest.mark.skipif(os.name == "nt", reason="there are no modes of files")
def test_downloaded_files_have_the_mode_of_any_new_file(tmp_path: Path, good: Mirror) -> None:
    load("mnist", tmp_path, mirrors=[good.url])
    (tmp_path / "any").touch()
    modes = {
        path.stat().st_mode for path in [tmp_path / "any", *(tmp_path / "mnist" / file for file in FILES)]
    }
    assert len(modes) == 1


@needs_mnist
def test_a_mirror_that_serves_something_else_is_passed_over(
    tmp_path: Path, good: Mirror, corrupt: Mirror
) -> None:
    folder = tmp_path / "data"
    assert load("mnist", folder, mirrors=[corrupt.url, good.url]).train.y[0] == 5
    assert sorted(corrupt.asked) == sorted(FILES)
    assert files(folder / "mnist") == sorted(FILES)


@needs_mnist
def test_what_a_killed_process_has_left_is_replaced(tmp_path: Path, good: Mirror) -> None:
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "train-images-idx3-ubyte.gz.part").write_bytes(b"half")
    (tmp_path / "mnist" / ".lock").touch()
    load("mnist", tmp_path, mirrors=[good.url])
    assert files(tmp_path / "mnist") == sorted(FILES)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_when_all_mirrors_fail_the_error_says_which_file_to_put_where(
    tmp_path: Path, serve: Callable[[Path], Mirror], corrupt: Mirror, dead: str, name: str
) -> None:
    folder = tmp_path / "data"
    (tmp_path / "empty").mkdir()
    empty = serve(tmp_path / "empty")
    for last, reason in ((empty.url, "404"), (corrupt.url, "SHA-256"), (dead, "refused")):
        with pytest.raises(UsageError) as caught:
            load(name, folder, mirrors=[dead, last])
        text = str(caught.value)
        assert len(text.splitlines()) <= 3
        assert str(folder / name.replace("_", "-") / "train-images-idx3-ubyte.gz") in text
        assert last in text
        assert reason in text
        assert files(folder / name.replace("_", "-")) == []
    assert SHA256["train-images-idx3-ubyte.gz"] in text or name != "mnist"


def test_no_mirrors_means_no_download(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no mirror is given"):
        load("mnist", tmp_path, mirrors=[])


def test_a_mirror_that_is_no_web_address_is_refused() -> None:
    with pytest.raises(UsageError, match=r"mirrors .* 'ftp://example\.org'"):
        DATASETS.create("mnist", mirrors=["https://example.org", "ftp://example.org"])


@needs_mnist
def test_a_damaged_file_is_named_with_both_checksums_and_left_alone(tmp_path: Path, good: Mirror) -> None:
    load("mnist", tmp_path, mirrors=[good.url])
    path = tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz"
    content = bytearray(path.read_bytes())
    content[1000] ^= 1
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        load("mnist", tmp_path, mirrors=[good.url])
    text = str(caught.value)
    assert len(text.splitlines()) <= 3
    for part in (str(path), SHA256[path.name], hashlib.sha256(content).hexdigest(), "delete"):
        assert part in text
    assert path.read_bytes() == content
    path.unlink()  # as the message says
    assert load("mnist", tmp_path, mirrors=[good.url]).test is not None


def test_a_folder_that_cannot_be_made_is_a_usage_error(tmp_path: Path, dead: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written to") as caught:
        load("mnist", tmp_path / "file" / "data", mirrors=[dead])
    assert len(str(caught.value).splitlines()) <= 3


def test_a_folder_in_the_place_of_a_file_is_a_usage_error(tmp_path: Path, dead: str) -> None:
    path = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    path.mkdir(parents=True)
    with pytest.raises(UsageError, match="cannot read") as caught:
        load("mnist", tmp_path, mirrors=[dead])
    assert str(path) in str(caught.value)


@needs_mnist
def test_files_are_read_from_a_folder_that_is_not_written_to(tmp_path: Path) -> None:
    source = data_dir()
    assert source is not None
    (tmp_path / "mnist").mkdir()
    for file in FILES:
        (tmp_path / "mnist" / file).symlink_to(source / "mnist" / file)
    (tmp_path / "mnist").chmod(0o555)
    try:
        load("mnist", tmp_path)
        assert sorted(os.listdir(tmp_path / "mnist")) == sorted(FILES)  # no lock either
    finally:
        (tmp_path / "mnist").chmod(0o755)


LOADER = """
import sys
from pathlib import Path
import numpy as np
from mlpframe import registries
from mlpframe.api import DataContext, UsageError
folder, limit, *mirrors = sys.argv[1:]
dataset = registries["dataset"].create("mnist", mirrors=mirrors)
if int(limit):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), resource.RLIM_INFINITY))
print("ready", flush=True)
try:
    print(dataset.load(DataContext(Path(folder), np.random.default_rng(0))).train.y[:5])
except UsageError as error:
    print(error)
"""


def start(
    folder: Path, *mirrors: str, limit: int = 0, stderr: int = subprocess.PIPE
) -> subprocess.Popen[str]:
    """A process of its own that loads MNIST; it may write at most ``limit`` bytes to a file (0: any)."""
    return subprocess.Popen(
        [sys.executable, "-c", LOADER, str(folder), str(limit), *mirrors],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


@needs_mnist
def test_two_processes_download_side_by_side(tmp_path: Path, good: Mirror) -> None:
    good.may_answer.clear()
    both = [start(tmp_path, good.url) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    good.may_answer.set()  # only now: both are on their way to the same missing files
    for process in both:
        out, err = process.communicate(timeout=120)
        assert out.strip() == "[5 0 4 1 9]"
        assert err == ""  # no progress bar where nobody looks
        assert process.returncode == 0
    assert sorted(good.asked) == sorted(FILES)  # the second waited, and found what the first had got
    assert files(tmp_path / "mnist") == sorted(FILES)


@needs_mnist
@pytest.mark.skipif(os.name == "nt", reason="the size of a process's files cannot be limited")
def test_a_full_disk_leaves_nothing_half_made(tmp_path: Path, good: Mirror) -> None:
    process = start(tmp_path, good.url, limit=100_000)
    out, err = process.communicate(timeout=120)
    assert "train-images-idx3-ubyte.gz is missing" in out
    assert "File too large" in out
    assert err == ""
    assert files(tmp_path / "mnist") == []


@needs_mnist
@pytest.mark.skipif(os.name == "nt", reason="there are no pseudo-terminals")
def test_on_a_terminal_a_progress_bar_is_shown(tmp_path: Path, good: Mirror) -> None:
    import termios

    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (24, 80))  # in a terminal without a size nothing is shown
    process = start(tmp_path, good.url, stderr=theirs)
    os.close(theirs)
    shown = b""
    with open(ours, "rb", buffering=0) as terminal:
        try:
            while chunk := terminal.read(1024):
                shown += chunk
        except OSError:  # how Linux says that the other side has been closed
            pass
    out, _ = process.communicate(timeout=120)
    assert "[5 0 4 1 9]" in out, shown.decode()
    assert shown.count(b"100%|") >= len(FILES)
