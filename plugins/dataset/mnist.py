"""The dataset ``mnist``."""

from __future__ import annotations

from mlpframe.api import DataContext, Dataset, Preparation, Splits, register

from ._idx import checked_mirrors, load_images

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
SHA256 = {
    "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


@register("mnist")
class MNIST(Dataset):
    """Handwritten digits, 28×28 pixels.

    60,000 training and 10,000 test images in the files' order, pixels from 0 (paper) to 1 (ink), 10
    classes. Assembled from NIST's Special Databases 1 and 3; CC BY-SA 3.0. The files (11 MB) belong in the
    folder mnist of data_dir, and are downloaded if they are not there.

    Options:
        mirrors: addresses of folders to download from, tried in turn; null: the known public mirrors; []:
            never download.

    Source: LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition".
    """

    shared = Preparation(validation=5000, test=0, split="last")

    def __init__(self, *, mirrors: list[str] | None = None) -> None:
        self.mirrors = checked_mirrors(mirrors, MIRRORS)

    def load(self, context: DataContext) -> Splits:
        digits = tuple("0123456789")
        return load_images(context.data_dir / "mnist", SHA256, self.mirrors, digits)
