"""Moves the pixels of images: an affine map and a smooth random field say where each pixel is read.

All movements are composed into one field of positions, and the image is read once, because every further
interpolation blurs. Arrays for several images have the shape (height, images, width), so that one matrix
product computes the positions for all images.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mlpframe.api import Array, Transform, check_range

CHUNK_PIXELS = 25_000
"""Pixels processed at a time: a dozen arrays of this size stay in the cache."""
TRUNCATE = 4.0
"""Standard deviations after which a Gaussian is cut off, as in scipy.ndimage.gaussian_filter."""
NEGLIGIBLE = 1e-3
"""Singular vectors of the smoothing matrix are left out if their singular value is below this share of the
largest singular value; their variance is then below a millionth of the largest variance."""


def smoothing(n: int, sigma: float) -> Array:
    """The matrix ``(n, n)`` that smooths a vector by a Gaussian, with zeros beyond its ends."""
    radius = int(TRUNCATE * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    kernel /= kernel[0] + 2 * kernel[1:].sum()
    distance = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    return np.where(distance <= radius, kernel[np.minimum(distance, radius)], 0.0)


@lru_cache(maxsize=32)
def factor(n: int, sigma: float) -> Array:
    """A matrix A ``(n, k)`` that turns k random numbers ε ~ N(0, 1) into smooth noise A ε of mean variance 1.

    Let G = U S Vᵀ be the matrix that smooths. G ε and U S ε have the same distribution. The smoother the
    noise, the fewer singular values matter: about 10 of 28 where σ is 4, so the two displacement fields of a
    28 × 28 image take 200 random numbers, not 1,568.
    """
    u, s, _ = np.linalg.svd(smoothing(n, sigma))
    matrix: Array = (u * s)[:, s > NEGLIGIBLE * s[0]]
    matrix /= np.sqrt(np.square(matrix).sum() / n)
    matrix.flags.writeable = False
    return matrix


def inverse_affine(shape: tuple[int, int], shift: Array, angle: Array, scale: Array, slope: Array) -> Array:
    """Where to read an image so that it appears scaled, sheared, turned about its center, and shifted.

    The map of a pixel (row, column), relative to the center, is p ← R K S p + shift with the scaling S, the
    shear K: column ← column + slope · row, and the rotation R by ``angle``, counterclockwise as seen.

    Args:
        shape: height and width of an image.
        shift, scale: ``(n, 2)``, for rows and columns.
        angle, slope: ``(n,)``, the angle in radians.

    Returns:
        Coefficients ``(n, 2, 3)``: for each image three numbers a for the row that is read, and three for
        the column that is read. Each of the two is a₀ + a₁ row + a₂ column, where (row, column) is the pixel
        to fill, relative to the center.
    """
    cos, sin = np.cos(angle), np.sin(angle)
    coefficients = np.empty((len(angle), 2, 3))
    inverse = coefficients[:, :, 1:]
    inverse[:, 0, 0], inverse[:, 0, 1] = cos, sin
    inverse[:, 1, 0], inverse[:, 1, 1] = -sin - slope * cos, cos - slope * sin
    inverse /= scale[:, :, None]
    coefficients[:, :, 0] = (np.array(shape) - 1) / 2 - np.einsum("nij,nj->ni", inverse, shift)
    return coefficients


class Bilinear:
    """Reads images at positions between pixels, by bilinear interpolation. Outside an image all values are 0.

    Args:
        chunk: how many images are read at a time.
        shape: height and width of an image.
        dtype: of images and positions.
    """

    def __init__(self, chunk: int, shape: tuple[int, int], dtype: np.dtype[np.floating]) -> None:
        height, width = shape
        # An edge of zeros all around makes every neighbor of a position from -1 to ``height`` a valid index.
        self._padded = np.zeros((chunk, height + 2, width + 2), dtype)
        self._pitch = width + 2
        flat = self._padded.reshape(-1)
        self._corners = [flat[start:] for start in (0, 1, self._pitch, self._pitch + 1)]
        self._first = np.arange(chunk)[:, None] * float(self._padded[0].size) + self._pitch + 1
        self._first = self._first.astype(dtype)
        each = (height, chunk, width)
        self._values = [np.empty(each, dtype) for _ in range(4)]
        self._int32, self._index = np.empty(each, np.int32), np.empty(each, np.intp)

    def read(self, images: Array, rows: Array, columns: Array, out: Array) -> None:
        """Write the pixel values at the positions to ``out``.

        Args:
            images: ``(m, height, width)``, at most ``chunk`` of them.
            rows, columns: positions ``(height, chunk, width)``; overwritten.
            out: ``(m, height, width)``; may be ``images``.
        """
        m, height, width = images.shape
        a, b, c, d = self._values
        self._padded[:m, 1:-1, 1:-1] = images
        np.clip(rows, -1, height, rows)
        np.clip(columns, -1, width, columns)
        np.floor(rows, c)
        np.subtract(rows, c, rows)
        np.multiply(c, self._pitch, a)
        np.floor(columns, c)
        np.subtract(columns, c, columns)
        np.add(a, c, a)
        np.add(a, self._first, a)
        np.copyto(self._int32, a, casting="unsafe")  # a direct cast to intp takes twice as long
        np.copyto(self._index, self._int32)
        for corner, values in zip(self._corners, self._values, strict=True):
            corner.take(self._index, None, values, "clip")
        for left, right in ((a, b), (c, d)):
            np.subtract(right, left, right)
            np.multiply(right, columns, right)
            np.add(left, right, left)
        np.subtract(c, a, c)
        np.multiply(c, rows, c)
        np.add(a[:, :m].swapaxes(0, 1), c[:, :m].swapaxes(0, 1), out)


class Positions:
    """Positions at which a chunk of images is read: an affine map plus a random field for each image.

    One matrix product A M gives the rows of all positions, and another gives the columns. A has the matrix of
    ``factor``, a column of ones, and a column with the pixels' rows. The first rows of M are random, and its
    last two rows hold the affine map.

    Args:
        chunk, shape, dtype: as for ``Bilinear``.
        alpha: norm of each field, in pixels; 0: no field.
        sigma: standard deviation of the Gaussian that smooths the fields, in pixels.
    """

    def __init__(
        self, chunk: int, shape: tuple[int, int], dtype: np.dtype[np.floating], alpha: float, sigma: float
    ) -> None:
        height, width = shape
        along_rows, along_columns = (factor(n, sigma) if alpha else np.empty((n, 0)) for n in shape)
        from_center = np.arange(height) - (height - 1) / 2
        basis = [along_rows, np.ones((height, 1)), from_center[:, None]]
        self._down = np.concatenate(basis, 1).astype(dtype)
        self._across = np.ascontiguousarray(along_columns.T * (alpha / np.sqrt(height * width)), dtype)
        self._columns = (np.arange(width) - (width - 1) / 2).astype(dtype)
        kh, kw = along_rows.shape[1], along_columns.shape[1]
        self._noise = np.empty((2, kh, chunk, kw), dtype)
        self._inner = np.empty((2, kh + 2, chunk, width), dtype)
        self._positions = np.empty((2, height, chunk, width), dtype)

    def draw(self, coefficients: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw new random fields, and return the rows and columns of the positions.

        Args:
            coefficients: the affine maps ``(m, 2, 3)`` of m images, at most ``chunk``.
            rng: the random stream.

        Returns:
            Two arrays ``(height, chunk, width)``, which the next call overwrites.
        """
        m = len(coefficients)
        noise, inner = self._noise, self._inner
        if noise.size:
            rng.standard_normal(dtype=noise.dtype, out=noise)
        for i in (0, 1):
            random, linear, slope = inner[i, :-2], inner[i, -2, :m], inner[i, -1, :m]
            if noise.size:
                np.matmul(noise[i], self._across, random)
            a = coefficients[:, i]
            np.multiply(a[:, 2:], self._columns, linear)
            np.add(linear, a[:, :1], linear)
            slope[...] = a[:, 1:2]
            np.matmul(
                self._down,
                inner[i].reshape(len(inner[i]), -1),
                self._positions[i].reshape(len(self._down), -1),
            )
        return self._positions[0], self._positions[1]


class Warp(Transform):
    """Base of the transforms that move pixels. An option that is 0 switches its movement off."""

    def __init__(
        self,
        *,
        shift: float = 0.0,
        rotate: float = 0.0,
        scale: float = 0.0,
        shear: float = 0.0,
        alpha: float = 0.0,
        sigma: float = 4.0,
    ) -> None:
        check_range("rotate", rotate, minimum=0, maximum=180)
        check_range("scale", scale, minimum=0, below=1)
        check_range("shear", shear, minimum=0, below=90)
        check_range("shift", shift, minimum=0)
        check_range("alpha", alpha, minimum=0)
        check_range("sigma", sigma, above=0)
        self.shift, self.rotate, self.scale, self.shear = shift, rotate, scale, shear
        self.alpha, self.sigma = alpha, sigma

    def coefficients(self, shape: tuple[int, int], n: int, rng: np.random.Generator) -> Array:
        """An affine map for each of ``n`` images, as ``inverse_affine`` returns them."""
        drawn = rng.uniform(-1, 1, (n, 6))
        return inverse_affine(
            shape,
            self.shift * drawn[:, :2],
            np.deg2rad(self.rotate) * drawn[:, 2],
            1 + self.scale * drawn[:, 3:5],
            np.tan(np.deg2rad(self.shear) * drawn[:, 5]),
        )

    def apply(self, x: Array, y: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        n, *image_shape = x.shape
        if not x.size:
            return x, y
        shape = image_shape[0], image_shape[1]
        chunk = min(n, max(1, CHUNK_PIXELS // (shape[0] * shape[1])))
        coefficients = self.coefficients(shape, n, rng).astype(x.dtype)
        positions = Positions(chunk, shape, x.dtype, self.alpha, self.sigma)
        bilinear = Bilinear(chunk, shape, x.dtype)
        for start in range(0, n, chunk):  # positions are computed for whole chunks, also for the last
            part = slice(start, min(start + chunk, n))
            rows, columns = positions.draw(coefficients[part], rng)
            bilinear.read(x[part], rows, columns, x[part])
        return x, y
