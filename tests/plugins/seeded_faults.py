"""Seed forty faults in the built-in plugins, one at a time, and report which tests find each fault.

Run ``python tests/plugins/seeded_faults.py`` in the project's root. Arguments restrict the faults to a kind
or to a component, for example ``layer`` or ``mish``. The script copies the project to a temporary folder and
seeds the faults there. For each fault, the script prints the first test of ``tests/plugins`` that fails and
the first check of the conformance kit that fails, or ``-`` if none fails. If a text to replace does not occur
exactly once, the script stops with an error: the plugin has changed since the fault was written.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from shutil import copytree, ignore_patterns
from tempfile import TemporaryDirectory
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Fault(NamedTuple):
    kind: str
    name: str
    mistake: str
    changes: tuple[tuple[str, str], ...]
    shared: str = ""  # a second file, which holds some of the texts to replace


FAULTS = [
    Fault("layer", "batch_norm", "running variance with the divisor n, in the fast form",
          (("(1 - self.momentum) * n / (n - 1), x.dtype)", "1 - self.momentum, x.dtype)"),)),
    Fault("layer", "gelu", "a digit is lost in the coefficient",
          (("CUBIC = 0.044715", "CUBIC = 0.44715"),)),
    Fault("layer", "layer_norm", "ε outside the root",
          (("np.sqrt(variance + self.epsilon)", "np.sqrt(variance) + self.epsilon"),
           ("np.add(variance, epsilon, variance)\n            np.sqrt(variance, variance)",
            "np.sqrt(variance, variance)\n            np.add(variance, epsilon, variance)"))),
    Fault("layer", "alpha_dropout", "a of another formula",
          (("a = 1 / sqrt((1 - r) * (1 + r * alpha**2))", "a = 1 / sqrt((1 - r) + r * alpha**2)"),
           ("a = 1 / sqrt((1 - rate) * (1 + rate * DROPPED**2))",
            "a = 1 / sqrt((1 - rate) + rate * DROPPED**2)"))),
    Fault("layer", "embedding", "codes are rounded down",
          (("np.rint(x[:, [column]])", "np.floor(x[:, [column]])"),
           ("np.rint(x, rounded)", "np.floor(x, rounded)"))),
    Fault("loss", "huber", "half of δ is forgotten, in the textbook form",
          (("(np.abs(e) - delta / 2)", "(np.abs(e) - delta)"),)),
    Fault("loss", "quantile", "q and 1 − q exchanged",
          (("o, t, q = output, target, self.quantile", "o, t, q = output, target, 1 - self.quantile"),
           ("q, outputs = self.quantile, output.shape[-1]",
            "q, outputs = 1 - self.quantile, output.shape[-1]"))),
    Fault("loss", "cross_entropy", "smoothing shared by one class fewer",
          (("+ epsilon / classes)", "+ epsilon / (classes - 1))"),
           ("self.label_smoothing / classes", "self.label_smoothing / (classes - 1)"))),
    Fault("loss", "binary_cross_entropy", "predictions of the other sign",
          (("np.where(output > 0, 1, power)", "np.where(output < 0, 1, power)"),)),
    Fault("loss", "poisson", "no mean over the outputs in the fast derivative",
          (("np.multiply(d_output, share, d_output)", "pass"),)),
    Fault("optimizer", "adam", "no bias correction of v",
          (("v / (1 - self.beta2**t)", "v"),
           ("sqrt((1 - self.beta2**step) / (1 - self.beta2))", "sqrt(1 / (1 - self.beta2))")), "_moments"),
    Fault("optimizer", "nadam", "0.9 in place of 0.96",
          (("0.96 ** (self.momentum_decay * i)", "0.9 ** (self.momentum_decay * i)"),
           ("0.96 ** (step * self.momentum_decay)", "0.9 ** (step * self.momentum_decay)"))),
    Fault("optimizer", "swa", "the average counts one too many",
          (("(w - a) / (n + 1)", "(w - a) / (n + 2)"), ("1 / (n + 1)", "1 / (n + 2)"))),
    Fault("optimizer", "rprop", "the sign is kept after a turn, in the textbook form",
          (("sign = np.where(agree < 0, 0, np.sign(g))", "sign = np.sign(g)"),)),
    Fault("optimizer", "lookahead", "the fast weights do not go back to the slow ones",
          (("w = phi = phi +", "phi = phi +"), ("np.copyto(w, slow)", "pass"))),
    Fault("schedule", "warmup", "the first step is 0",
          (("(step + 1) / self.steps", "step / self.steps"),)),
    Fault("schedule", "plateau", "one epoch too early",
          (("self._bad_epochs > self.patience", "self._bad_epochs >= self.patience"),)),
    Fault("schedule", "cyclic", "the first cycle is halved already",
          (("0.5**cycle", "0.5 ** (cycle + 1)"),)),
    Fault("schedule", "sequential", "a part is told the whole run's length",
          (("upto - begin, end - begin)", "upto - begin, total_steps)"),)),
    Fault("schedule", "loss_ratio", "the last loss is not restored",
          (('self._last = state["factor"], state.get("last")', 'last = state["factor"], None'),)),
    Fault("transform", "rotate", "the other sign of a sine",
          (("-sin - slope * cos", "sin - slope * cos"),), "_warp"),
    Fault("transform", "cutout", "odd squares are off by a pixel",
          (("self.size // 2 - centers", "(self.size + 1) // 2 - centers"),)),
    Fault("transform", "mixup", "targets with the other share",
          (("_mixed(y, share, second)", "_mixed(y, 1 - share, second)"),)),
    Fault("transform", "elastic", "rows weighted by the columns' fractions",
          (("np.multiply(c, rows, c)", "np.multiply(c, columns, c)"),), "_warp"),
    Fault("transform", "noise", "the first chunk's noise for all chunks",
          (("            rng.standard_normal(dtype=x.dtype, out=drawn)\n"
            "            np.multiply(drawn, self.std, drawn)\n",
            "            if not start:\n"
            "                rng.standard_normal(dtype=x.dtype, out=drawn)\n"
            "                np.multiply(drawn, self.std, drawn)\n"),)),
    Fault("initializer", "he", "the number of outputs",
          (("2 / parameter.fan_in", "2 / parameter.fan_out"),)),
    Fault("initializer", "orthogonal", "the signs of R are forgotten",
          (("np.copysign(self.gain, np.diagonal(r, axis1=-2, axis2=-1))[..., None, :]", "self.gain"),)),
    Fault("initializer", "truncated_normal", "cut is in units of the numbers",
          (("low, high = ndtr(-self.cut), ndtr(self.cut)",
            "low, high = ndtr(-self.cut / self.std), ndtr(self.cut / self.std)"),)),
    Fault("initializer", "sparse", "std is forgotten",
          (("self.std * rng.standard_normal", "rng.standard_normal"),)),
    Fault("initializer", "lecun", "a uniform distribution of half the width",
          (("2 * sqrt(3) * std", "sqrt(3) * std"),), "_scaled"),
    Fault("metric", "brier", "also the mean over the classes",
          (("/ len(error)", "/ error.size"),)),
    Fault("metric", "calibration_error", "the nearest end in place of the upper one",
          (("np.ceil(np.clip(", "np.round(np.clip("),)),
    Fault("metric", "roc_auc", "ranks counted from 0",
          (("inside * (inside + 1) / 2", "inside * (inside - 1) / 2"),)),
    Fault("metric", "rmse", "the root of the mean over the outputs",
          (("np.sqrt(squares.mean(0)).mean()", "np.sqrt(squares.mean())"),)),
    Fault("metric", "top_k", "the last of equal classes comes first",
          (("(np.arange(classes) > c)", "(np.arange(classes) < c)"),)),
    Fault("dataset", "moons", "the lower moon is too high",
          (("0.5 - np.sin(t)", "1 - np.sin(t)"),)),
    Fault("dataset", "circles", "classes exchanged",
          (("np.where(y == 0, 1, self.factor)", "np.where(y == 0, self.factor, 1)"),)),
    Fault("dataset", "synth", "numbers drawn along the other axis",
          (("rng.randn(self.num_train + self.num_val, 2)",
            "rng.randn(2, self.num_train + self.num_val).T"),)),
    Fault("dataset", "csv", "categories in the order of the file",
          (("astype(object), sort=True)", "astype(object))"),), "_frame"),
    Fault("dataset", "teacher", "tanh of the inputs too",
          (("(np.tanh(y) if number else y)", "np.tanh(y)"),)),
]  # fmt: skip


def first_failure(root: Path, *arguments: str) -> str:
    """Run pytest with the arguments; return the name of the first test that fails, or ``-``."""
    command = [sys.executable, "-m", "pytest", "-x", "--tb=no", "-p", "no:cacheprovider", *arguments]
    environment = {**os.environ, "MLPFRAME_PLUGINS": ""}
    ended = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    if ended.returncode == 0:
        return "-"
    found = re.search(r"^(?:FAILED|ERROR) \S+?::(.*?)(?: - .*)?$", ended.stdout, re.MULTILINE)
    if ended.returncode != 1 or not found:
        raise RuntimeError(ended.stdout + ended.stderr)
    return found[1].removeprefix("test_every_component_keeps_what_its_kind_promises")


def seed(files: list[Path], changes: tuple[tuple[str, str], ...]) -> None:
    """Replace each old text by its new text. Each old text must occur exactly once in the files."""
    for old, new in changes:
        places = [file for file in files for _ in range(file.read_text().count(old))]
        assert len(places) == 1, f"{' and '.join(file.name for file in files)}: {len(places)} times {old!r}"
        places[0].write_text(places[0].read_text().replace(old, new))


def main(words: list[str]) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder) / "project"
        copytree(ROOT, root, ignore=ignore_patterns(".*", "outputs", "benchmarks", "__pycache__"))
        os.environ.setdefault("MLPFRAME_DATA", str(ROOT.parent / "shared" / "data"))
        for fault in FAULTS:
            kind, name, mistake, changes, shared = fault
            if words and not {kind, name} & set(words):
                continue
            files = [root / "plugins" / kind / f"{stem}.py" for stem in (name, shared) if stem]
            right = {file: file.read_text() for file in files}
            seed(files, changes)
            plural = "losses" if kind == "loss" else f"{kind}s"
            own = first_failure(root, *map(str, (root / "tests" / "plugins").glob(f"test_{plural}*.py")))
            kit = first_failure(root, "tests/testing/test_conformance.py", "-k", f"{kind} and {name}")
            for file, text in right.items():
                file.write_text(text)
            verdict = "not found" if own == kit == "-" else "found"
            print(f"{verdict} | {kind} {name}: {mistake} | {own} | {kit}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
