"""Transforms, compared with array slices, with SciPy's interpolation and filter, and with their formulas."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from mlpframe import fit, registries
from mlpframe.api import Array, Transform, UsageError
from mlpframe.testing.running import Saving
from mlpframe.testing.running import fit as train
from mlpframe.training import checkpoint
from mlpframe.training.trainer import Trainer
from tests.plugins.test_callbacks import draw_data, make
from tests.running import run_folders

warp = importlib.import_module("mlpframe.plugins.transform._warp")

NAMES = registries["transform"].names()
FLOAT64 = np.dtype(np.float64)
BY_NOTHING: dict[str, dict[str, float]] = {
    "shift": {"pixels": 0},
    "rotate": {"degrees": 0},
    "affine": {"rotate": 0, "scale": 0, "shear": 0, "shift": 0},
    "elastic": {"alpha": 0},
    "distort": {"alpha": 0, "rotate": 0, "scale": 0, "shear": 0, "shift": 0},
    "noise": {"std": 0},
    "cutout": {"size": 0},
}


def create(name: str, **options: Any) -> Transform:
    transform: Transform = registries["transform"].create(name, **options)
    return transform


def images(n: int, height: int = 28, width: int = 28, dtype: Any = np.float32, seed: int = 0) -> Array:
    rng = np.random.default_rng([n, height, width, seed])
    return rng.uniform(0.1, 1, (n, height, width)).astype(dtype)


def changed(transform: Transform, x: Array, y: Array | None = None, seed: int = 0) -> tuple[Array, Array]:
    y = np.zeros(len(x), np.intp) if y is None else y
    return transform.apply(x.copy(), y.copy(), np.random.default_rng(seed))


# --- all transforms -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BY_NOTHING)
@pytest.mark.parametrize("shape", [(70, 28, 28), (7, 5, 9)])
def test_a_transform_whose_options_are_0_changes_nothing(name: str, shape: tuple[int, int, int]) -> None:
    x = images(*shape)
    np.testing.assert_array_equal(changed(create(name, **BY_NOTHING[name]), x)[0], x)


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_changed_each_in_its_own_way(name: str) -> None:
    x = np.repeat(images(2), 45, 0)[np.random.default_rng(0).permutation(90)]
    warped = changed(create(name), x, np.eye(2, dtype=np.float32)[np.arange(90) % 2])[0]
    if name not in ("cutout", "mixup"):  # these may change two rows alike
        assert len(np.unique(warped, axis=0)) == 90
    assert len(np.unique(warped, axis=0)) > 20


def test_a_whole_shift_of_half_a_pixel_is_refused() -> None:
    with pytest.raises(ValueError, match=r"pixels must be a whole number with whole=true, not 1\.5"):
        registries["transform"]["shift"](pixels=1.5, whole=True)


# --- interpolation ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(28, 28), (5, 9), (1, 4), (6, 1)])
@pytest.mark.parametrize("reach", [0.4, 3.0, 40.0])
def test_reading_between_pixels_is_scipys_bilinear_interpolation(
    height: int, width: int, reach: float
) -> None:
    n = 6
    x = images(n, height, width, np.float64)
    rng = np.random.default_rng(1)
    offsets = rng.uniform(-reach, reach, (2, n, height, width))
    offsets[:, 0] = np.rint(offsets[:, 0])
    grid = np.indices((height, width))
    # Without padding, SciPy returns 0 beyond the centers of the outermost pixels. With an edge of zeros,
    # SciPy interpolates between the outermost pixels and 0, as the transforms do.
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2)))
    expected = [
        ndimage.map_coordinates(padded[i], grid + offsets[:, i] + 2, order=1, mode="constant")
        for i in range(n)
    ]
    rows, columns = ((grid[i] + offsets[i]).swapaxes(0, 1).copy() for i in (0, 1))
    out = np.empty_like(x)
    warp.Bilinear(n, (height, width), FLOAT64).read(x, rows, columns, out)
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", ["affine", "elastic", "distort"])
def test_a_warp_is_scipys_interpolation_at_its_positions(name: str) -> None:
    """The slow way draws the same random positions again, and reads each image with SciPy.

    The images need several chunks.
    """
    n, shape = 70, (28, 28)
    transform: Any = create(name)
    x = images(n, dtype=np.float64)
    warped = changed(transform, x)[0]

    rng = np.random.default_rng(0)
    coefficients = transform.coefficients(shape, n, rng)
    chunk = warp.CHUNK_PIXELS // 784
    assert chunk < n
    positions = warp.Positions(chunk, shape, FLOAT64, transform.alpha, transform.sigma)
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2)))
    for start in range(0, n, chunk):
        part = slice(start, min(start + chunk, n))
        at = [each.copy() for each in positions.draw(coefficients[part], rng)]
        for i in range(part.stop - part.start):
            where = [np.clip(each[:, i], -1, 28) + 2 for each in at]
            expected = ndimage.map_coordinates(padded[start + i], where, order=1)
            np.testing.assert_allclose(warped[start + i], expected, rtol=0, atol=1e-12)


# --- shift, rotate, affine ----------------------------------------------------------------------------


def test_whole_shifts_are_slices_and_all_shifts_are_equally_likely() -> None:
    x, most = images(2250, 6, 5), 2
    padded = np.pad(x, ((0, 0), (most, most), (most, most)))
    shifted = changed(create("shift", pixels=most, whole=True), x)[0]
    counts = [
        np.count_nonzero((shifted == padded[:, down : down + 6, right : right + 5]).all((1, 2)))
        for down in range(2 * most + 1)
        for right in range(2 * most + 1)
    ]
    assert sum(counts) == len(x)
    assert (
        np.square(np.array(counts) - 90).sum() / 90 < 43.0
    )  # 99 % quantile of χ² with 24 degrees of freedom


def test_a_fractional_shift_is_uniform() -> None:
    n, pixels = 4000, 2.5
    drawn: Any = create("shift", pixels=pixels)
    a = drawn.coefficients((28, 28), n, np.random.default_rng(0))
    np.testing.assert_array_equal(a[:, :, 1:], np.broadcast_to(np.eye(2), (n, 2, 2)))
    d = 13.5 - a[:, :, 0]
    assert np.abs(d).max() <= pixels
    assert np.abs(d).max() > 0.99 * pixels
    np.testing.assert_allclose(d.mean(0), 0, atol=4 * pixels / np.sqrt(3 * n))
    np.testing.assert_allclose(d.std(0), pixels / np.sqrt(3), rtol=0.03)
    assert abs(np.corrcoef(d.T)[0, 1]) < 4 / np.sqrt(n)


@pytest.mark.parametrize("side", [9, 28])
def test_a_quarter_turn_is_counterclockwise(side: int) -> None:
    x, shape = images(3, side, side, np.float64), (side, side)
    turn = warp.inverse_affine(shape, np.zeros((3, 2)), np.full(3, np.pi / 2), np.ones((3, 2)), np.zeros(3))
    rows, columns = warp.Positions(3, shape, FLOAT64, 0.0, 1.0).draw(turn, np.random.default_rng(0))
    out = np.empty_like(x)
    warp.Bilinear(3, shape, FLOAT64).read(x, rows, columns, out)
    np.testing.assert_allclose(out, np.rot90(x, axes=(1, 2)), rtol=0, atol=1e-12)


def test_an_affine_map_is_scaling_then_shear_then_rotation_then_shift() -> None:
    """The pixel p of the image appears at F p + d, where F is the product of the matrices."""
    shape, angle, slope = (28, 20), 0.3, 0.4
    scale, shift = np.array([0.8, 1.3]), np.array([1.5, -2.0])
    S, K = np.diag(scale), np.array([[1, 0], [slope, 1]])
    R = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    one = [np.array([value]) for value in (shift, angle, scale, slope)]
    a = warp.inverse_affine(shape, *one)[0]
    center = (np.array(shape) - 1) / 2
    for p in np.random.default_rng(0).uniform(-10, 10, (20, 2)):
        seen = R @ K @ S @ p + shift
        np.testing.assert_allclose(a @ [1, *seen], p + center, rtol=0, atol=1e-12)


def test_angles_factors_and_slopes_are_in_their_ranges() -> None:
    """Recover angle, factors and shear from the drawn maps B: B⁻¹ is rotation · shear · scaling."""
    drawn: Any = create("affine", rotate=20, scale=0.3, shear=10)
    n = 4000
    B = drawn.coefficients((28, 28), n, np.random.default_rng(0))[:, :, 1:]
    F = np.linalg.inv(B)
    angle = np.rad2deg(np.arctan2(-F[:, 0, 1], F[:, 1, 1]))  # shear leaves the columns' axis alone
    width = np.hypot(F[:, 0, 1], F[:, 1, 1])
    height = np.linalg.det(F) / width
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    sheared = np.rad2deg(np.arctan((-sin * F[:, 0, 0] + cos * F[:, 1, 0]) / height))
    for values, center, most in ((angle, 0, 20), (width, 1, 0.3), (height, 1, 0.3), (sheared, 0, 10)):
        assert np.abs(values - center).max() <= most * (1 + 1e-9)
        np.testing.assert_allclose(values.mean(), center, atol=4 * most / np.sqrt(3 * n))
        np.testing.assert_allclose(values.std(), most / np.sqrt(3), rtol=0.03)


# --- elastic ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.5, 1.3, 4.0, 20.0])
def test_smoothing_is_scipys_gaussian_filter(sigma: float) -> None:
    field = np.random.default_rng(0).standard_normal((28, 17))
    expected = ndimage.gaussian_filter(field, sigma, mode="constant")
    warped = warp.smoothing(28, sigma) @ field @ warp.smoothing(17, sigma).T
    np.testing.assert_allclose(warped, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("sigma", [0.5, 1.3, 4.0, 20.0])
def test_the_directions_that_are_drawn_have_the_covariance_of_smoothed_noise(sigma: float) -> None:
    G, A = warp.smoothing(28, sigma), warp.factor(28, sigma)
    expected = G @ G.T
    expected /= np.trace(expected) / 28
    np.testing.assert_allclose(A @ A.T, expected, rtol=0, atol=3e-5)
    assert A.shape[1] <= 28 if sigma < 1 else A.shape[1] < 28


def fields(n: int, alpha: float, sigma: float, shape: tuple[int, int] = (28, 28)) -> Array:
    """Row and column displacements ``(2, height, n, width)``."""
    still = warp.inverse_affine(shape, np.zeros((n, 2)), np.zeros(n), np.ones((n, 2)), np.zeros(n))
    warped = warp.Positions(n, shape, FLOAT64, alpha, sigma).draw(still, np.random.default_rng(0))
    rows, columns = np.indices(shape)
    return np.array([warped[0] - rows[:, None], warped[1] - columns[:, None]])


@pytest.mark.parametrize("shape", [(28, 28), (20, 28)])
def test_alpha_is_the_norm_of_each_field(shape: tuple[int, int]) -> None:
    drawn = fields(3000, 34.0, 4.0, shape)
    norms = np.square(drawn).sum((1, 3))  # the squared norm of each draw
    np.testing.assert_allclose(norms.mean(1), 34.0**2, rtol=0.03)
    np.testing.assert_allclose(drawn.mean(2), 0, atol=0.15)
    assert abs(np.corrcoef(drawn[0].ravel(), drawn[1].ravel())[0, 1]) < 0.01


def test_displacements_are_correlated_as_far_as_sigma_says() -> None:
    """The displacements of two pixels at distance d have the correlation exp(−d² / 4σ²)."""
    sigma = 2.0
    drawn = fields(6000, 10.0, sigma, (33, 33))[0]
    middle = drawn[16, :, 16]
    for d in (1, 2, 4, 6):
        correlation = np.corrcoef(middle, drawn[16 + d, :, 16])[0, 1]
        assert correlation == pytest.approx(np.exp(-(d**2) / (4 * sigma**2)), abs=0.03)


def test_distort_equals_affine_or_elastic_if_the_other_movement_is_off() -> None:
    x = images(64)
    bending = {"alpha": 30.0, "sigma": 5.0}
    still: dict[str, Any] = {"rotate": 0, "scale": 0, "shear": 0, "shift": 0}
    for name, alone, without in (
        ("elastic", bending, still),
        ("affine", {"rotate": 12, "scale": 0.2, "shear": 3, "shift": 1.5}, {"alpha": 0}),
    ):
        one, both = changed(create(name, **alone), x)[0], changed(create("distort", **alone, **without), x)[0]
        np.testing.assert_array_equal(one, both)


# --- noise, cutout, mixup -----------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(200, 28, 28), (30_000, 1, 4)])
def test_noise_is_normal(shape: tuple[int, int, int]) -> None:
    from scipy.stats import kstest

    x = images(*shape, np.float64)
    drawn = (changed(create("noise", std=0.3), x)[0] - x).ravel()
    assert kstest(drawn / 0.3, "norm").pvalue > 0.01
    assert abs(np.corrcoef(drawn[:-4], drawn[4:])[0, 1]) < 0.01


@pytest.mark.parametrize("size", [1, 3, 8, 40])
def test_cutout_covers_a_square_and_all_center_pixels_are_equally_likely(size: int) -> None:
    x, (height, width) = images(6000, 12, 10), (12, 10)

    def covered(center: int, length: int) -> Array:
        return np.isin(np.arange(length), np.arange(size) + center - size // 2)

    zeros = changed(create("cutout", size=size), x)[0] == 0
    squares: dict[bytes, int] = {}
    for i in range(height):
        for j in range(width):
            square = (covered(i, height)[:, None] & covered(j, width)).tobytes()
            squares[square] = squares.get(square, 0) + 1
    seen, counts = np.unique(zeros.reshape(len(x), -1), axis=0, return_counts=True)
    assert {square.tobytes() for square in seen} == squares.keys()
    for square, count in zip(seen, counts, strict=True):
        expected = 50 * squares[square.tobytes()]  # 6,000 images ÷ 120 pixels = 50
        assert abs(count - expected) < 5 * np.sqrt(expected)


@pytest.mark.parametrize("shape", [(70, 28, 28), (500, 1, 3)])
def test_mixup_combines_rows_and_targets_with_the_same_shares_and_partners(
    shape: tuple[int, int, int],
) -> None:
    x = images(*shape, np.float64)
    n, y = len(x), np.random.default_rng(2).standard_normal((len(x), 2))
    mixed = changed(create("mixup", alpha=0.4), x, y)
    rng = np.random.default_rng(0)  # the random stream that mixup used
    share, second = rng.beta(0.4, 0.4, n), rng.permutation(n)
    for values, of in zip(mixed, (x, y), strict=True):
        for i in range(n):
            expected = share[i] * of[i] + (1 - share[i]) * of[second[i]]
            np.testing.assert_allclose(values[i], expected, rtol=1e-13, atol=1e-14)


def test_which_transforms_mix_rows_and_which_need_images() -> None:
    assert {name for name in NAMES if create(name).mixes} == {"mixup"}
    assert {name for name in NAMES if not create(name).needs_images} == {"mixup", "noise"}


# --- in a run -----------------------------------------------------------------------------------------


class SavedWithinAnEpoch(Saving):
    step = 9  # an epoch has six steps


def test_a_continued_run_with_transforms_ends_with_the_same_bits(tmp_path: Path) -> None:
    def new_run(name: str) -> Trainer:
        data, transforms = draw_data(64, image_shape=(8, 8)), ("distort", "cutout", "noise", "mixup")
        return make(tmp_path / name, {"saving": SavedWithinAnEpoch()}, data=data, transforms=transforms)

    whole, continued = new_run("whole"), new_run("continued")
    train(whole)
    continued.restore(*checkpoint.load(tmp_path / "whole" / "checkpoints" / "middle.npz"))
    assert continued.step == SavedWithinAnEpoch.step
    train(continued)
    assert continued.network.w.tobytes() == whole.network.w.tobytes()
    assert continued.streams.state() == whole.streams.state()


def test_a_run_refuses_to_move_the_pixels_of_rows_that_are_no_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UsageError, match=r"transforms\.shift needs images, but the rows of this data set are not images"
    ):
        fit(np.ones((9, 4)), np.arange(9) % 3, "transforms.shift.pixels=2", "tracking=none")
    assert run_folders(tmp_path) == []
