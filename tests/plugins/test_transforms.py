"""Transforms: against array slicing, SciPy's interpolation and filter, and what their formulas say."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from mlpframe import registries
from mlpframe.api import Array, Transform
from mlpframe.training import checkpoint
from tests.running import history, mlpframe, record, run_folders, the_run

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
    made: Transform = registries["transform"].create(name, **options)
    return made


def images(n: int, height: int = 28, width: int = 28, dtype: Any = np.float32, seed: int = 0) -> Array:
    rng = np.random.default_rng([n, height, width, seed])
    return rng.uniform(0.1, 1, (n, height, width)).astype(dtype)


def changed(transform: Transform, x: Array, y: Array | None = None, seed: int = 0) -> tuple[Array, Array]:
    y = np.zeros(len(x), np.intp) if y is None else y
    return transform.apply(x.copy(), y.copy(), np.random.default_rng(seed))


def blobs(n: int) -> Array:
    """Smooth spots about the middle, as digits are, with nothing near the edges."""
    rng = np.random.default_rng(n)
    x = np.zeros((n, 28, 28))
    x[:, 11:17, 11:17] = rng.uniform(1, 2, (n, 6, 6))
    smooth: Array = ndimage.gaussian_filter(x, (0, 1.5, 1.5))
    return smooth


# --- what holds for all -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BY_NOTHING)
@pytest.mark.parametrize("shape", [(70, 28, 28), (7, 5, 9)])
def test_by_nothing_is_the_identity(name: str, shape: tuple[int, int, int]) -> None:
    x = images(*shape)
    np.testing.assert_array_equal(changed(create(name, **BY_NOTHING[name]), x)[0], x)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_stream_gives_the_same_bits_and_another_one_others(name: str, dtype: Any) -> None:
    x, y = images(100, dtype=dtype), np.eye(10, dtype=dtype)[np.arange(100) % 10]
    (one, target), (again, target_again) = changed(create(name), x, y), changed(create(name), x, y)
    assert one.dtype == dtype
    assert one.shape == x.shape
    assert one.tobytes() == again.tobytes()
    assert target.tobytes() == target_again.tobytes()
    other = changed(create(name), x, y, seed=1)[0]
    assert all(not np.array_equal(a, b) for a, b in zip(one[:40], other[:40], strict=True))
    assert not np.array_equal(one, x)


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_changed_each_in_its_own_way(name: str) -> None:
    x = np.repeat(images(2), 45, 0)[np.random.default_rng(0).permutation(90)]
    made = changed(create(name), x, np.eye(2, dtype=np.float32)[np.arange(90) % 2])[0]
    if name not in ("cutout", "mixup"):  # where two rows may well come out alike
        assert len(np.unique(made, axis=0)) == 90
    assert len(np.unique(made, axis=0)) > 20


@pytest.mark.parametrize(
    ("name", "option", "value", "bound"),
    [
        ("shift", "pixels", -1, "at least 0"),
        ("rotate", "degrees", -1, "at least 0"),
        ("rotate", "degrees", 181, "at most 180"),
        ("affine", "scale", 1, "less than 1"),
        ("affine", "shear", 90, "less than 90"),
        ("affine", "rotate", float("nan"), "at least 0"),
        ("affine", "shift", -0.5, "at least 0"),
        ("elastic", "alpha", -1, "at least 0"),
        ("elastic", "sigma", 0, "more than 0"),
        ("distort", "sigma", -2, "more than 0"),
        ("noise", "std", -0.1, "at least 0"),
        ("cutout", "size", -1, "at least 0"),
        ("mixup", "alpha", 0, "more than 0"),
    ],
)
def test_a_number_out_of_range_is_refused(name: str, option: str, value: float, bound: str) -> None:
    with pytest.raises(ValueError, match=rf"{option} must be .*{bound}.*, not {value}"):
        registries["transform"][name](**{option: value})


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
    # SciPy takes everything beyond the outermost pixels' centres for outside; with an edge of zeros it
    # interpolates towards them.
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
    """Over several chunks, with the same numbers drawn again for the slow way."""
    n, shape = 70, (28, 28)
    transform: Any = create(name)
    x = images(n, dtype=np.float64)
    made = changed(transform, x)[0]

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
            np.testing.assert_allclose(made[start + i], expected, rtol=0, atol=1e-12)


def test_float32_is_float64_up_to_rounding() -> None:
    x = np.pad(images(50, 20, 20, np.float64), ((0, 0), (4, 4), (4, 4)))
    transform = create("affine", shear=10, shift=2)
    exact, made = changed(transform, x)[0], changed(transform, x.astype(np.float32))[0]
    np.testing.assert_allclose(made, exact, rtol=0, atol=3e-5)


# --- shift, rotate, affine ----------------------------------------------------------------------------


def moves_of(made: Array, x: Array, most: int) -> list[tuple[int, int]]:
    """By which whole numbers of pixels each image was moved; zeros come in."""
    found = []
    height, width = x.shape[1:]
    for image, before in zip(made, x, strict=True):
        padded = np.pad(before, most)
        found += [
            (down, right)
            for down in range(-most, most + 1)
            for right in range(-most, most + 1)
            if np.array_equal(
                image, padded[most - down : most - down + height, most - right : most - right + width]
            )
        ]
    return found


def test_whole_shifts_are_slices_and_each_is_as_likely() -> None:
    x = images(2250, 6, 5)
    moves = moves_of(changed(create("shift", pixels=2, whole=True), x)[0], x, 2)
    assert len(moves) == len(x)
    counts = np.array([moves.count((i, j)) for i in range(-2, 3) for j in range(-2, 3)])
    assert np.square(counts - 90).sum() / 90 < 43.0  # χ² with 24 degrees of freedom: 99 %


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


def test_a_shift_moves_the_centre_of_mass() -> None:
    x = blobs(60)
    shift: Any = create("shift", pixels=2)
    made = changed(shift, x)[0]
    d = 13.5 - shift.coefficients((28, 28), 60, np.random.default_rng(0))[:, :, 0]
    np.testing.assert_allclose(centres(made) - centres(x), d, atol=1e-9)


def centres(x: Array) -> Array:
    return np.array([ndimage.center_of_mass(image) for image in x])


def affine_warp(x: Array, **given: Any) -> Array:
    """One given affine map for all images."""
    n, *rest = x.shape
    neutral = {"shift": np.zeros(2), "angle": 0.0, "scale": np.ones(2), "slope": 0.0, **given}
    values = {name: np.broadcast_to(value, (n, *np.shape(value))) for name, value in neutral.items()}
    shape = rest[0], rest[1]
    coefficients = warp.inverse_affine(shape, **values)
    rows, columns = warp.Positions(n, shape, FLOAT64, 0.0, 1.0).draw(coefficients, np.random.default_rng(0))
    out = np.empty_like(x)
    warp.Bilinear(n, shape, FLOAT64).read(x, rows, columns, out)
    return out


def test_a_quarter_turn_is_anticlockwise() -> None:
    for side in (9, 28):
        x = images(3, side, side, np.float64)
        np.testing.assert_allclose(
            affine_warp(x, angle=np.pi / 2), np.rot90(x, axes=(1, 2)), rtol=0, atol=1e-12
        )
        np.testing.assert_allclose(affine_warp(x, angle=np.pi), x[:, ::-1, ::-1], rtol=0, atol=1e-12)


def test_doubling_the_height_halves_the_rows_that_are_read() -> None:
    x = images(2, 9, 7, np.float64)
    made = affine_warp(x, scale=np.array([2.0, 1.0]))
    np.testing.assert_allclose(made[:, ::2], x[:, 2:7], rtol=0, atol=1e-14)
    np.testing.assert_allclose(made[:, 1::2], (x[:, 2:6] + x[:, 3:7]) / 2, rtol=0, atol=1e-14)


def test_a_shear_moves_rows_sideways_by_their_distance_from_the_centre() -> None:
    x = images(2, 7, 9, np.float64)
    made = affine_warp(x, slope=1.0)
    for row in range(7):
        d = row - 3
        expected = np.roll(np.pad(x[:, row], ((0, 0), (3, 3))), d, -1)[:, 3:-3]
        np.testing.assert_allclose(made[:, row], expected, rtol=0, atol=1e-14)


def test_an_affine_map_is_scaling_then_shear_then_rotation_then_shift() -> None:
    """Positions, by composing matrices: what is read at F p + d lies at p."""
    shape, angle, slope = (28, 20), 0.3, 0.4
    scale, shift = np.array([0.8, 1.3]), np.array([1.5, -2.0])
    S, K = np.diag(scale), np.array([[1, 0], [slope, 1]])
    R = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    one = [np.array([value]) for value in (shift, angle, scale, slope)]
    a = warp.inverse_affine(shape, *one)[0]
    centre = (np.array(shape) - 1) / 2
    for p in np.random.default_rng(0).uniform(-10, 10, (20, 2)):
        seen = R @ K @ S @ p + shift
        np.testing.assert_allclose(a @ [1, *seen], p + centre, rtol=0, atol=1e-12)


def test_rotation_leaves_a_round_image_alone() -> None:
    row, column = np.indices((28, 28)) - 13.5
    round_image = np.exp(-(row**2 + column**2) / 40)
    bound = (2 / 40 + 2 / 40) / 8  # of linear interpolation: an eighth of the largest second derivatives
    x = np.repeat(round_image[None], 50, 0)
    np.testing.assert_allclose(changed(create("rotate", degrees=180), x)[0], x, rtol=0, atol=bound)
    oval = np.repeat(np.exp(-(row**2 / 80 + column**2 / 10))[None], 50, 0)
    assert np.abs(changed(create("rotate", degrees=180), oval)[0] - oval).max() > 0.5


def test_angles_factors_and_slopes_are_in_their_ranges() -> None:
    """Read off the maps: B⁻¹ = R K S has the rows of the three."""
    drawn: Any = create("affine", rotate=20, scale=0.3, shear=10)
    n = 4000
    B = drawn.coefficients((28, 28), n, np.random.default_rng(0))[:, :, 1:]
    F = np.linalg.inv(B)
    angle = np.rad2deg(np.arctan2(-F[:, 0, 1], F[:, 1, 1]))  # the image of the columns' axis is not sheared
    width = np.hypot(F[:, 0, 1], F[:, 1, 1])
    height = np.linalg.det(F) / width
    cos, sin = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    sheared = np.rad2deg(np.arctan((-sin * F[:, 0, 0] + cos * F[:, 1, 0]) / height))
    for values, centre, most in ((angle, 0, 20), (width, 1, 0.3), (height, 1, 0.3), (sheared, 0, 10)):
        assert np.abs(values - centre).max() <= most * (1 + 1e-9)
        np.testing.assert_allclose(values.mean(), centre, atol=4 * most / np.sqrt(3 * n))
        np.testing.assert_allclose(values.std(), most / np.sqrt(3), rtol=0.03)


# --- elastic ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.5, 1.3, 4.0, 20.0])
def test_smoothing_is_scipys_gaussian_filter(sigma: float) -> None:
    field = np.random.default_rng(0).standard_normal((28, 17))
    expected = ndimage.gaussian_filter(field, sigma, mode="constant")
    made = warp.smoothing(28, sigma) @ field @ warp.smoothing(17, sigma).T
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-12)


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
    made = warp.Positions(n, shape, FLOAT64, alpha, sigma).draw(still, np.random.default_rng(0))
    rows, columns = np.indices(shape)
    return np.array([made[0] - rows[:, None], made[1] - columns[:, None]])


@pytest.mark.parametrize("shape", [(28, 28), (20, 28)])
def test_alpha_is_the_norm_of_each_field(shape: tuple[int, int]) -> None:
    drawn = fields(3000, 34.0, 4.0, shape)
    norms = np.square(drawn).sum((1, 3))  # of each draw, squared
    np.testing.assert_allclose(norms.mean(1), 34.0**2, rtol=0.03)
    np.testing.assert_allclose(drawn.mean(2), 0, atol=0.15)
    assert abs(np.corrcoef(drawn[0].ravel(), drawn[1].ravel())[0, 1]) < 0.01


def test_displacements_are_correlated_as_far_as_sigma_says() -> None:
    """Two pixels in the middle, d apart: exp(−d² / 4σ²)."""
    sigma = 2.0
    drawn = fields(6000, 10.0, sigma, (33, 33))[0]
    middle = drawn[16, :, 16]
    for d in (1, 2, 4, 6):
        found = np.corrcoef(middle, drawn[16 + d, :, 16])[0, 1]
        assert found == pytest.approx(np.exp(-(d**2) / (4 * sigma**2)), abs=0.03)


def test_a_gentle_distortion_keeps_the_mass() -> None:
    x = blobs(300)
    made = changed(create("elastic", alpha=20, sigma=5), x)[0]
    mass = made.sum((1, 2)) / x.sum((1, 2))
    assert mass.mean() == pytest.approx(1, abs=0.03)
    assert mass.std() < 0.25
    assert np.abs(made - x).max() > 0.1


def test_distort_is_affine_and_elastic_where_only_one_of_them_is_wanted() -> None:
    x = images(64)
    bending = {"alpha": 30.0, "sigma": 5.0}
    still: dict[str, Any] = {"rotate": 0, "scale": 0, "shear": 0, "shift": 0}
    for name, alone, rest in (
        ("elastic", bending, still),
        ("affine", {"rotate": 12, "scale": 0.2, "shear": 3, "shift": 1.5}, {"alpha": 0}),
    ):
        one, both = changed(create(name, **alone), x)[0], changed(create("distort", **alone, **rest), x)[0]
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
def test_cutout_covers_a_square_about_a_pixel(size: int) -> None:
    x = images(600, 12, 10)
    made = changed(create("cutout", size=size), x)[0]
    np.testing.assert_array_equal(made[made != 0], x[made != 0])
    centres = set()
    for image in made == 0:
        rows, columns = image.any(1), image.any(0)
        np.testing.assert_array_equal(image, rows[:, None] & columns)  # a rectangle, and nothing else
        of = [
            {
                centre
                for centre in range(len(line))
                if np.array_equal(np.flatnonzero(line), covered(centre, size, len(line)))
            }
            for line in (rows, columns)
        ]
        assert all(of)
        centres |= {(i, j) for i in of[0] for j in of[1]}
    assert len(centres) > 110  # of 120 pixels


def covered(centre: int, size: int, length: int) -> Array:
    return np.array([i for i in range(length) if centre - size // 2 <= i < centre - size // 2 + size])


def test_cutout_covers_on_average_what_lies_inside() -> None:
    x = images(4000)
    zeros = (changed(create("cutout", size=8), x)[0] == 0).sum((1, 2))
    inside = np.mean([len(covered(centre, 8, 28)) for centre in range(28)])
    assert zeros.max() == 64
    assert zeros.min() == 16  # the centre in the first corner
    assert zeros.mean() == pytest.approx(inside**2, rel=0.02)


def mixup_by_hand(x: Array, y: Array, alpha: float) -> tuple[Array, Array, Array]:
    """With the same stream; also the shares."""
    rng = np.random.default_rng(0)
    share, second = rng.beta(alpha, alpha, len(x)), rng.permutation(len(x))
    made = [
        np.array(
            [a * values[i] + (1 - a) * values[j] for i, (a, j) in enumerate(zip(share, second, strict=True))]
        )
        for values in (x, y)
    ]
    return made[0], made[1], share


@pytest.mark.parametrize("shape", [(70, 28, 28), (500, 1, 3)])
def test_mixup_combines_rows_and_targets_alike(shape: tuple[int, int, int]) -> None:
    x = images(*shape, np.float64)
    classes = np.random.default_rng(1).integers(0, 4, len(x))
    for y in (np.eye(4)[classes], np.random.default_rng(2).standard_normal((len(x), 2))):
        made, target = changed(create("mixup", alpha=0.4), x, y)
        expected, expected_target, _ = mixup_by_hand(x, y, 0.4)
        np.testing.assert_allclose(made, expected, rtol=1e-13, atol=1e-14)
        np.testing.assert_allclose(target, expected_target, rtol=1e-13, atol=1e-14)


def test_mixups_targets_are_probabilities_of_two_classes_at_most() -> None:
    y = np.eye(10)[np.arange(3000) % 10]
    target = changed(create("mixup", alpha=1.0), images(3000, 2, 2), y)[1]
    np.testing.assert_allclose(target.sum(1), 1, rtol=0, atol=1e-12)
    assert target.min() >= 0
    assert ((target > 0).sum(1) <= 2).all()
    own = target[y == 1]
    same = (target > 0).sum(1) == 1
    np.testing.assert_allclose(own[~same].mean(), 0.5, atol=0.02)  # Beta(1, 1) is uniform
    np.testing.assert_allclose(own[~same].std(), 1 / np.sqrt(12), rtol=0.05)
    assert same.mean() == pytest.approx(0.1, abs=0.02)


def test_what_mixes_and_what_needs_images() -> None:
    assert {name for name in NAMES if create(name).mixes} == {"mixup"}
    assert {name for name in NAMES if not create(name).needs_images} == {"mixup", "noise"}


# --- whole runs ---------------------------------------------------------------------------------------

PLUGIN = '''
"""A callback that has its process interrupted at a step, once."""

import os
import signal
from pathlib import Path

from mlpframe.api import Callback, register


@register("interrupted_once")
class InterruptedOnce(Callback):
    """Sends the process SIGTERM at a step, unless the file ``interrupted`` is there.

    Options:
        step: where.
    """

    def __init__(self, *, step: int = 0) -> None:
        self.step = step

    def on_window(self, run):
        if run.step == self.step and not Path("interrupted").exists():
            Path("interrupted").touch()
            os.kill(os.getpid(), signal.SIGTERM)
'''
COMMAND = (
    "dataset=digits",
    "transforms.distort.alpha=5",
    "transforms.distort.sigma=2",
    "transforms.cutout.size=2",
    "transforms.noise.std=0.05",
    "transforms.mixup.alpha=0.2",
    "tracking=none",
    "epochs=3",
    "batch_size=32",
    "log_every=10",
    "callbacks.interrupted_once.step=50",  # 34 to an epoch
)


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder with a run that was interrupted within its second epoch and continued, one with it whole."""
    base = tmp_path_factory.mktemp("transforms")
    plugins = base / "plugins"
    plugins.mkdir()
    (plugins / "interrupted_once.py").write_text(PLUGIN)
    made = {name: base / name for name in ("whole", "interrupted")}
    for folder in made.values():
        folder.mkdir()
    (made["whole"] / "interrupted").touch()
    environment = {"MLPFRAME_PLUGINS": str(plugins)}
    ended = mlpframe(made["whole"], *COMMAND, **environment)
    assert ended.returncode == 0, ended.stderr
    ended = mlpframe(made["interrupted"], *COMMAND, **environment)
    assert ended.returncode == 143, ended.stderr
    ended = mlpframe(made["interrupted"], *COMMAND, "resume=auto", **environment)
    assert ended.returncode == 0, ended.stderr
    assert "continued from step 50" in ended.stdout
    return made


def test_a_run_learns_with_transforms(places: dict[str, Path]) -> None:
    assert record(the_run(places["whole"]))["metrics"]["val/accuracy"] > 0.6  # chance is 0.1


def test_a_continued_run_with_transforms_ends_with_the_same_bits(places: dict[str, Path]) -> None:
    whole, continued = (the_run(folder) for folder in places.values())
    (arrays, meta), (expected, expected_meta) = (
        checkpoint.load(run / "checkpoints" / "last.npz") for run in (continued, whole)
    )
    assert arrays["w"].tobytes() == expected["w"].tobytes()
    assert meta["streams"] == expected_meta["streams"]
    assert history(continued, without_time=True) == history(whole, without_time=True)


def test_images_are_needed_where_pixels_move(tmp_path: Path) -> None:
    ended = mlpframe(tmp_path, "dataset=iris", "transforms.shift.pixels=2", "tracking=none")
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == [
        "transforms.shift needs images, but the rows of this data set are not images"
    ]
    assert run_folders(tmp_path) == []


def test_an_option_out_of_range_is_refused_in_one_line(tmp_path: Path) -> None:
    ended = mlpframe(tmp_path, "dataset=digits", "transforms.elastic.sigma=0", "tracking=none")
    assert ended.returncode == 2
    assert "sigma must be more than 0, not 0" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


def test_mixup_and_noise_are_for_rows_of_any_kind(tmp_path: Path) -> None:
    changes = ("transforms.mixup.alpha=0.3", "transforms.noise.std=0.05")
    ended = mlpframe(tmp_path, "dataset=iris", *changes, "epochs=40", "lr=0.1", "tracking=none")
    assert ended.returncode == 0, ended.stderr
    assert record(the_run(tmp_path))["metrics"]["val/accuracy"] > 0.8
