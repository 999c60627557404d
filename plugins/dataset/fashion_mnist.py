"""The dataset ``fashion_mnist``."""

from __future__ import annotations

from mlpframe.api import DataContext, Dataset, Preparation, Splits, register

from ._idx import checked_mirrors, load_images

MIRRORS = (
    # This mirror offers no encrypted transport; the checksums vouch for the content.
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
)
SHA256 = {
    "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


@register("fashion_mnist")
class FashionMNIST(Dataset):
    """Pictures of clothing, 28×28 pixels: the same shape as MNIST, but harder to classify.

    60,000 training and 10,000 test images in the files' order, pixels from 0 (background) to 1, 10 classes
    of equal size. From Zalando's catalog; MIT license. The files (30 MB) belong in the folder fashion-mnist
    of data_dir, and are downloaded if they are not there.

    Options:
        mirrors: addresses of folders to download from, tried in turn; null: the known public mirrors; []:
            never download.

    Source: Xiao, Rasul, Vollgraf 2017, "Fashion-MNIST: a novel image dataset for benchmarking machine
        learning algorithms".
    """

    shared = Preparation(validation=5000, test=0, split="last")

    def __init__(self, *, mirrors: list[str] | None = None) -> None:
        self.mirrors = checked_mirrors(mirrors, MIRRORS)

    def load(self, context: DataContext) -> Splits:
        return load_images(context.data_dir / "fashion-mnist", SHA256, self.mirrors, CLASSES)
