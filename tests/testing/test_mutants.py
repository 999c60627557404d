"""The kit finds mistakes: each component here is correct, and fails a check after one line changes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from mlpframe.discovery import load_path
from mlpframe.registry import registries
from mlpframe.testing import cases, checks

FOLDER = Path(__file__).with_name("mutants")
RIGHT = sorted(FOLDER.glob("*.py"))


class Mutant(NamedTuple):
    """A mistake in a component: the check that must find it, and the change of code that makes it."""

    file: str
    mistake: str
    check: str
    old: str
    new: str


SLOPE_X = "input_derivative_equals_the_finite_difference"
SLOPE_P = "parameter_derivatives_equal_the_finite_differences"
SLOPE_LOSS = "loss_derivative_equals_the_finite_difference"
STACKED = "stacked_networks_equal_single_networks"
ARRAYS = "inner_components_get_contiguous_arrays"
CONTINUES = "a_continued_run_ends_with_the_same_bits"
CONFIGURED = "configuration_creates_the_component"
RANGES = "documented_ranges_are_enforced"
GLOBAL = "global_generators_are_not_used"
SAME = "both_forms_compute_the_same"
SAME_RUN = "training_is_the_same_without_the_fast_form"
EXPRESSIONS = "the_textbook_form_uses_array_expressions_only"
NODES = "onnx_nodes_compute_the_output"
NODES_LOSS = "onnx_nodes_compute_the_prediction"
ONNX = (NODES, NODES_LOSS)
"""The checks that exist where the package onnx is installed."""

MUTANTS = [
    # --- layers
    Mutant("mix", "transposed in the derivative of x", SLOPE_X,
           "np.matmul(dy, WT, dx)", "np.matmul(dy, W, dx)"),
    Mutant("mix", "transposed gradient", SLOPE_P,
           "np.matmul(xT, dy, gW)", "np.matmul(dy.swapaxes(-1, -2), x, gW)"),
    Mutant("mix", "bias gradient averaged", SLOPE_P,
           "np.add.reduce(dy, -2, out=gb)", "np.mean(dy, -2, out=gb)"),
    Mutant("mix", "bias gradient over the wrong axis", SLOPE_P,
           "np.add.reduce(dy, -2, out=gb)", "gb[...] = np.resize(dy.sum(-1), gb.shape)"),
    Mutant("mix", "wrong sign", SLOPE_X, "np.multiply(dx, gain, dx)", "np.multiply(dx, -gain, dx)"),
    Mutant("mix", "a factor is missing", SLOPE_P, "np.multiply(gW, gain, gW)", "pass"),
    Mutant("mix", "dx accumulated", "gradients_are_overwritten",
           "np.matmul(dy, WT, dx)", "np.add(dx, dy @ WT, dx)"),
    Mutant("mix", "g accumulated", "gradients_are_overwritten",
           "np.add.reduce(dy, -2, out=gb)", "np.add(gb, dy.sum(-2), gb)"),
    Mutant("mix", "dx is needed", "first_layer_works_without_dx", "if dx is not None:", "if True:"),
    Mutant("mix", "the stacked axis forgotten", STACKED, "x.swapaxes(-1, -2), W", "x.T, W"),
    Mutant("mix", "biases broadcast over the stacked axis", STACKED,
           'b, gW, gb, gain = p["W"], p["b"][..., None, :],', 'b, gW, gb, gain = p["W"], p["b"],'),
    Mutant("mix", "stacked gradients flattened into a copy", STACKED,
           "np.add.reduce(dy, -2, out=gb)", "gb.reshape(-1)[:] = dy.sum(-2).reshape(-1)"),
    Mutant("mix", "a staircase, flat between its steps", SLOPE_X,
           "np.multiply(y, gain, y)", "np.floor(np.multiply(y, gain * 1e5, y), y); np.divide(y, 1e5, y)"),
    Mutant("mix", "a new array in every step", "a_step_allocates_no_arrays",
           "np.multiply(y, gain, y)", "y[...] = y * gain"),
    Mutant("mix", "x overwritten", "inputs_are_not_changed",
           "np.matmul(x, W, y)", "np.matmul(np.tanh(x, x), W, y)"),
    Mutant("mix", "a parameter overwritten", "inputs_are_not_changed",
           "np.matmul(x, W, y)", "np.matmul(x, np.multiply(W, 0.99, W), y)"),
    Mutant("mix", "another width than announced", "output_has_the_announced_width",
           "def n_out(self, n_in):\n        return n_in", "def n_out(self, n_in):\n        return n_in + 1"),
    Mutant("mix", "y and dy are one array", "output_has_the_announced_width",
           "ctx.array(*x.shape), ctx.array(*x.shape)", "(ctx.array(*x.shape),) * 2"),
    Mutant("mix", "float64 in a run of float32", "float32_is_near_float64",
           "y, dy = ctx.array(*x.shape), ", "y, dy = np.empty(x.shape), "),
    Mutant("share", "overflow", "large_inputs_give_finite_results",
           "np.subtract(x, column, y)", "np.copyto(y, x)"),
    Mutant("share", "the result kept on the instance", "layers_share_no_state",
           "output = [y]", "self.output = output = getattr(self, 'output', []); output[:] = [y]"),
    Mutant("share", "a sum over the batch", SLOPE_X,
           "np.subtract(dy, column, dx)", "np.subtract(dy, column.mean(-2, keepdims=True), dx)"),
    Mutant("drop", "not rescaled", "randomness_keeps_the_expectation",
           "np.multiply(mask, scale, mask)", "pass"),
    Mutant("drop", "scaled by the other share", "randomness_keeps_the_expectation",
           "1 / (1 - self.rate), self.rate, ctx", "1 / (self.rate or 1), self.rate, ctx"),
    Mutant("drop", "drops in evaluation", "evaluation_draws_no_random_numbers",
           "self.rate, ctx.training", "self.rate, True"),
    Mutant("drop", "a generator of its own", "a_repeated_step_gives_the_same_bits",
           "rng = ctx.rng if active else None", "rng = np.random.default_rng()"),
    Mutant("drop", "the global generator", GLOBAL,
           "rng.random(out=mask, dtype=mask.dtype)", "mask[...] = np.random.random(mask.shape)"),
    Mutant("drop", "another mask backwards", SLOPE_X,
           "np.multiply(dy, mask, dx)", "np.multiply(dy, (rng.random(x.shape) < 0.5) if active else 1, dx)"),
    Mutant("centre", "the mean taken for a constant", SLOPE_X,
           "np.subtract(dx, row[..., None, :], dx)", "pass"),
    Mutant("centre", "running mean updated in evaluation", "evaluation_changes_no_state",
           "np.subtract(x, running[..., None, :], y)",
           "np.add(running, 0.1 * x.mean(-2), running); np.subtract(x, running[..., None, :], y)"),
    Mutant("centre", "one state for all layers", "layers_share_no_state",
           'return {"mean": np.zeros(n_in)}',
           'return {"mean": globals().setdefault("MEAN", np.zeros(n_in))}'),
    Mutant("centre", "the running mean is not in the state", CONTINUES,
           'running, training = ctx.state["mean"], ctx.training',
           'self.r = running = vars(self).get("r", 0 * ctx.state["mean"]); training = ctx.training'),
    Mutant("inner", "a derivative with gaps for the layer inside", ARRAYS,
           "ctx.array(*x.shape), ctx.array(*x.shape)",
           "ctx.array(*x.shape), np.empty((*x.shape, 2), x.dtype)[..., 0]"),
    Mutant("inner", "one array for both for the layer inside", ARRAYS,
           "ctx.array(*x.shape), ctx.array(*x.shape)", "(ctx.array(*x.shape),) * 2"),
    # --- losses
    Mutant("squares", "derivative of another scale", SLOPE_LOSS, "2 / outputs", "1 / outputs"),
    Mutant("squares", "the mean over the wrong number", SLOPE_LOSS,
           "np.divide(losses, outputs, losses)", "np.divide(losses, len(output), losses)"),
    Mutant("squares", "output overwritten", "outputs_and_targets_are_not_changed",
           "np.subtract(output, target, d_output)", "d_output[...] = np.subtract(output, target, output)"),
    Mutant("squares", "a new array in every step", "a_step_allocates_no_arrays",
           "np.subtract(output, target, d_output)", "d_output[...] = output - target"),
    Mutant("direct", "the derivative is not divided by the batch", SLOPE_LOSS,
           "np.divide(square, batch, d_output)", "np.copyto(d_output, square)"),
    Mutant("direct", "a sum, not a mean", "loss_is_the_mean_over_the_batch",
           "batch = output.shape[-2]", "batch = 1"),
    Mutant("direct", "weights of rows forgotten", "loss_is_the_mean_over_the_batch",
           "np.multiply(losses, weights, losses)", "np.multiply(losses, weights[0], losses)"),
    Mutant("direct", "weights in the loss only", SLOPE_LOSS,
           "np.multiply(d_output, weights[..., None], square)", "np.copyto(square, d_output)"),
    Mutant("direct", "one mean for all stacked networks", "stacked_networks_have_their_own_losses",
           "np.add.reduce(losses, -1)", "np.add.reduce(losses, None)"),
    Mutant("direct", "a number of NumPy", "float32_is_near_float64",
           "return means(np.add.reduce(losses, -1), 0.5 / batch)", "return losses.sum() * 0.5 / batch"),
    Mutant("direct", "bound once only", "losses_share_no_state",
           "def run():", "self.to = getattr(self, 'to', d_output)\n\n        def run(d_output=self.to):"),
    Mutant("likelihood", "overflow", "extreme_outputs_give_finite_results",
           "np.subtract(output, top, d_output)", "np.copyto(d_output, output)"),
    Mutant("likelihood", "log of 0", "extreme_outputs_give_finite_results",
           "np.subtract(column[..., 0], losses, losses)",
           "losses[...] = -np.log(np.take_along_axis(np.exp(output - top) / np.exp(column), "
           "target[..., None], -1)[..., 0])"),
    Mutant("likelihood", "a prediction of another shape", "prediction_has_the_shape_of_the_output",
           "return powers / powers.sum(-1, keepdims=True)", "return powers.argmax(-1)"),
    Mutant("doubts", "the other way round", SLOPE_LOSS,
           "np.sign(d_output, d_output)", "np.sign(-d_output, d_output)"),
    Mutant("doubts", "the first class alone", SAME, "np.sign(error) / likelihood",
           "np.sign(error) / likelihood * (np.arange(error.shape[-1]) == 0)"),
    Mutant("doubts", "log of 0", "extreme_outputs_give_finite_results",
           "np.maximum(likelihood, 1e-6, out=likelihood)", "pass"),
    # --- optimizers
    Mutant("ball", "uphill", "it_descends_a_quadratic",
           "np.subtract(w, scratch, w)", "np.add(w, scratch, w)"),
    Mutant("ball", "dampened by what depends on the slice", "slices_equal_the_whole_vector",
           "np.add(v, g, v)", "np.add(v, g / max(1, np.linalg.norm(g)), v)"),
    Mutant("ball", "its state on the instance", "all_state_is_in_the_slots",
           'v, mu = slots["v"], self.momentum',
           "self.v = v = vars(self).get('v', np.zeros_like(w)); mu = self.momentum"),
    Mutant("ball", "its own count of steps", "it_continues_from_weights_slots_and_step",
           "np.multiply(v, lr, scratch)",
           "self.t = vars(self).get('t', 0) + 1; np.multiply(v, lr / self.t**0.5, scratch)"),
    Mutant("ball", "the gradient changed", "the_gradient_is_not_changed",
           "np.add(v, g, v)", "np.add(v, g, g); v[...] = g"),
    Mutant("ball", "dampened in the recurrence only", "the_recurrence_equals_the_update",
           "[-lr, 1.0]", "[-lr, 1 - self.momentum]"),
    Mutant("ball", "a new vector in every update", "an_update_allocates_no_vectors",
           "np.multiply(v, lr, scratch)", "scratch[...] = lr * v"),
    Mutant("ball", "one rate for all replicas", STACKED,
           "np.multiply(v, lr, scratch)", "np.multiply(v, np.max(lr), scratch)"),
    Mutant("ball", "stacked weights flattened into a copy", STACKED,
           "np.subtract(w, scratch, w)", "w.reshape(-1)[:] -= scratch.reshape(-1)"),
    Mutant("ball", "no default rate", "default_rate_and_scope_are_valid",
           "default_lr = 0.01", "default_lr = 0.0"),
    Mutant("ball", "its state becomes float64", "float32_is_kept",
           "np.multiply(v, mu, v)", "slots['v'] = v = v.astype(np.float64) * mu"),
    Mutant("ball", "the first weight left out where there are two", "it_descends_the_rosenbrock_function",
           "np.subtract(w, scratch, w)", "w -= scratch if w.size > 2 else scratch * (np.arange(w.size) > 0)"),
    Mutant("scaled", "no epsilon: 0/0", "zero_gradients_give_finite_weights",
           "np.add(scratch, self.epsilon, scratch)", "pass"),
    Mutant("scaled", "an epsilon that float32 rounds to 0", "zero_gradients_give_finite_weights",
           "epsilon: float = 1e-6", "epsilon: float = 1e-60"),
    Mutant("scaled", "scratch carried over", "it_continues_from_weights_slots_and_step",
           "np.multiply(g, g, scratch)",
           "scratch[...] = g * g + (0 if step == 1 else 0.1 * np.nan_to_num(scratch))"),
    # --- the two forms of layers, losses and optimizers
    Mutant("centre", "the running mean forgets faster", SAME,
           "np.multiply(running, 0.9, running)", "np.multiply(running, 0.8, running)"),
    Mutant("share", "the derivative without its sum, in the textbook form", SAME,
           "(y * (dy - (dy * y).sum(1, keepdims=True)), {})", "(y * dy, {})"),
    Mutant("drop", "another mask, in the textbook form", SAME,
           "ctx.rng.random(x.shape, x.dtype)", "ctx.rng.random(x.shape[::-1], x.dtype).T"),
    Mutant("mix", "a gradient is missing, in the textbook form", SAME, ', "b": dy.sum(0)}', "}"),
    Mutant("squares", "twice the loss, and its derivative", SAME,
           "outputs = output.shape[-1]", "outputs = output.shape[-1] / 2"),
    Mutant("likelihood", "a mean over the batch, in the textbook form", SAME,
           "np.exp(output) / total[:, None] - onehot",
           "(np.exp(output) / total[:, None] - onehot) / len(output)"),
    Mutant("direct", "a sum over the rows, in the textbook form", SAME,
           "(error**2).sum(1) / 2, error", "(error**2).sum() / 2, error"),
    Mutant("scaled", "one more update is counted", SAME,
           "np.divide(scratch, step, scratch)", "np.divide(scratch, step + 1, scratch)"),
    Mutant("ball", "Nesterov's step, in the textbook form", SAME,
           "return w - lr * v, v", "return w - lr * (g + self.momentum * v), v"),
    Mutant("ball", "the slot is not returned", SAME, "return w - lr * v, v", "return w - lr * v"),
    Mutant("mix", "the bias is forgotten, in the textbook form", SAME_RUN,
           'k * x @ p["W"] + p["b"], lambda', 'k * x @ p["W"], lambda'),
    Mutant("squares", "no mean over the outputs, in the textbook form", SAME_RUN,
           "2 * error / error.shape[1]", "2 * error"),
    Mutant("scaled", "the root of the wrong sum, in the textbook form", SAME_RUN,
           "np.sqrt(s) +", "np.sqrt(s + 0.1) +"),
    Mutant("share", "out=", EXPRESSIONS,
           "y = np.exp(x) /", "y = np.exp(x, out=np.empty_like(x)) /"),
    Mutant("squares", "an argument overwritten", EXPRESSIONS, "error = output - target",
           "error = output; error -= target"),
    Mutant("ball", "weights changed in place", EXPRESSIONS,
           "return w - lr * v, v", "w -= lr * v\n        return w, v"),
    Mutant("ball", "the fast form called", EXPRESSIONS,
           "v = self.momentum * v + g", "self.update(w, g, {'v': v}, lr, t, np.empty_like(w))"),
    # --- ONNX
    Mutant("mix", "a factor is missing in ONNX", NODES, ', alpha=self.gain)\n', ")\n"),
    Mutant("centre", "the state is missing in ONNX", NODES, 'graph.node("Sub", x, state["mean"])', "x"),
    Mutant("likelihood", "logits in ONNX", NODES_LOSS, 'graph.node("Softmax", output)', "output"),
    # --- schedules
    Mutant("ramp", "off by one in a block", "factors_equal_the_factor_of_each_step",
           "for step in range(start, stop)]", "for step in range(start + 1, stop + 1)]"),
    Mutant("ramp", "a block one too short", "factors_equal_the_factor_of_each_step",
           "for step in range(start, stop)]", "for step in range(start, stop - 1)]"),
    Mutant("ramp", "counts how often it is asked", "factors_do_not_depend_on_earlier_calls",
           "return 1 - (1 - self.final) * step /",
           "self.n = step = vars(self).get('n', -1) + 1\n        return 1 - (1 - self.final) * (step % 9) /"),
    Mutant("ramp", "negative at the end", "factors_are_finite_and_not_negative",
           "max(total_steps, 1)", "max(total_steps - 1, 1)"),
    Mutant("ramp", "division by 0 in an empty run", "factors_are_finite_and_not_negative",
           "max(total_steps, 1)", "total_steps"),
    Mutant("halving", "the lowest is not saved", "it_continues_from_its_state",
           "if value < inf}", "if name == 'factor'}"),
    Mutant("halving", "infinity in its state", "it_continues_from_its_state", "if value < inf}", "}"),
    Mutant("halving", "observes nothing, and reacts", "only_observing_schedules_react",
           'observes = "epoch"', 'observes = "nothing"'),
    Mutant("halving", "one memory for all", "schedules_share_no_state",
           'self._seen = {"factor": 1.0, "lowest": inf}',
           'self._seen = globals().setdefault("SEEN", {"factor": 1.0, "lowest": inf})'),
    Mutant("halving", "NaN is passed on", "any_observed_loss_gives_finite_factors",
           'self._seen["factor"] /= 2', 'self._seen["factor"] *= value / (2 * value) if value else 1'),
    # --- the other kinds
    Mutant("noise", "an element not filled", "every_element_is_filled", "out[...] =", "out[1:] ="),
    Mutant("noise", "the global generator", GLOBAL, "rng.uniform(", "np.random.uniform("),
    Mutant("noise", "a generator of its own", "the_same_stream_gives_the_same_values",
           "rng.uniform(", "np.random.default_rng().uniform("),
    Mutant("noise", "returned, not filled", "views_are_filled_in_place", "out[...] =", "return"),
    Mutant("points", "other data each time", "the_same_seed_gives_the_same_data",
           "rng = context.rng", "rng = np.random.default_rng()"),
    Mutant("points", "classes from 1", "class_numbers_count_from_0", "[-0.4, 0.4])", "[-0.4, 0.4]) + 1"),
    Mutant("points", "classes that are no whole numbers", "parts_have_matching_shapes",
           "[-0.4, 0.4])", "[-0.4, 0.4]) * 1.0"),
    Mutant("points", "a name too many", "parts_have_matching_shapes", '("x0", "x1")', '("x0", "x1", "x2")'),
    Mutant("signs", "a class without a name", "parts_have_matching_shapes",
           '("right", "above")', '("right",)'),
    Mutant("signs", "answers that are neither 0 nor 1", "parts_have_matching_shapes",
           "(x > 0)", "np.sign(x)"),
    Mutant("points", "a hole", "inputs_and_targets_are_finite",
           "return Splits", "x[3, 1] = np.nan\n        return Splits"),
    Mutant("points", "more held out than there is", "data_can_be_prepared_for_a_run",
           "validation=0.2", "validation=90"),
    Mutant("points", "the global generator", GLOBAL, "rng.standard_normal((", "np.random.standard_normal(("),
    Mutant("blend", "float64 rows of a float32 run", "shape_and_type_are_kept",
           "keep = 1 - self.share", "keep = np.float64(1 - self.share)"),
    Mutant("blend", "probabilities of another sum", "targets_stay_valid", "keep * y +", "y +"),
    Mutant("blend", "other rows each time", "the_same_stream_gives_the_same_result",
           "rng.permutation", "np.random.default_rng().permutation"),
    Mutant("blend", "one row is too few", "zero_rows_and_one_row_work",
           "keep = 1", "if len(x) == 1:\n            raise ValueError('too few')\n        keep = 1"),
    Mutant("hits", "counts by the order of the rows", "order_of_the_rows_does_not_matter",
           "float(chosen.mean(dtype=np.float64))",
           "float(np.average(chosen, weights=np.arange(1, len(target) + 1)))"),
    Mutant("hits", "predictions sorted in place", "repeating_gives_the_same_result",
           "chosen = prediction", "prediction.sort(0)\n        chosen = prediction"),
    Mutant("hits", "best for a guess", "the_perfect_prediction_has_the_best_value",
           "float(chosen.mean(", "float((chosen * (1.2 - chosen)).mean("),
    Mutant("hits", "divided by one row less", "one_row_is_enough",
           "float(chosen.mean(dtype=np.float64))", "float(chosen.sum()) / (len(target) - 1)"),
    Mutant("answers", "best for a guess", "the_perfect_prediction_has_the_best_value",
           "float((multi_hot(prediction) == target).mean())",
           "float(abs((multi_hot(prediction) == target).mean() - 0.75))"),
    Mutant("answers", "the most probable class alone", "the_perfect_prediction_has_the_best_value",
           "multi_hot(prediction) == target", "prediction.argmax(-1)[:, None] == target"),
    Mutant("hits", "NaN taken for 0 before anybody sees it", "nan_predictions_give_nan",
           "    def compute(self, prediction, target):",
           "    def __init__(self):\n        own = self.compute\n"
           "        self.compute = lambda p, c: own(np.nan_to_num(p), c)\n\n"
           "    def compute(self, prediction, target):"),
    Mutant("hits", "no number", "result_is_a_finite_number_or_array",
           "float(chosen.mean(dtype=np.float64))", "chosen"),
    Mutant("watch", "its state comes back empty", "state_is_restored_from_json",
           'self._losses = list(state["losses"])', "pass"),
    Mutant("watch", "a state that is no JSON", "state_is_restored_from_json",
           '"losses": list(self._losses)', '"losses": set(self._losses)'),
    Mutant("watch", "one memory for all", "callbacks_share_no_state",
           "self._losses = []", "self._losses = globals().setdefault('LOSSES', [])"),
    Mutant("plain", "the rate of another step", "training_equals_the_numpy_engine",
           "self._updater.update(lr)", "self._updater.update(block.lrs[number - 1])"),
    Mutant("plain", "a batch left out", "training_equals_the_numpy_engine",
           "enumerate(block.lrs)", "enumerate(block.lrs[:-1])"),
    Mutant("plain", "a truth value in place of a reason", "answers_have_the_right_types",
           'return "it runs one network" if network.w.ndim > 1 else None', "return network.w.ndim > 1"),
    Mutant("plain", "a priority in words", "answers_have_the_right_types",
           "    def refuses(", '    priority = "high"\n\n    def refuses('),
    Mutant("taper", "as many outputs as inputs", "layers_connect_inputs_and_outputs",
           "shapes.outputs", "shapes.inputs"),
    Mutant("taper", "layers of the calls before", "equal_options_give_equal_layers",
           "layers = []", "layers = self.__dict__.setdefault('kept', [])"),
    Mutant("taper", "a list that grows", "options_are_not_changed",
           "self.hidden = hidden", "self.hidden = hidden\n        hidden.append(2)"),
    Mutant("first", "a derivative with gaps where no layer follows", ARRAYS,
           "dy = np.zeros(y.shape)",
           "dy = np.zeros((*y.shape, 1 + (len(network.layers) == 1)))[..., 0]"),
    Mutant("first", "a derivative of all replicas, row by row, where no layer follows", ARRAYS,
           "dy = np.zeros(y.shape)",
           "dy = np.zeros(y.swapaxes(0, -2).shape).swapaxes(0, -2) if network.layers[1:] == () else 0 * y"),
    Mutant("first", "targets of all replicas, row by row", ARRAYS,
           "head = network.bind(y, dy, target,",
           "head = network.bind(y, dy, target.copy('F') if stack else target,"),
    Mutant("first", "output and derivative are one array", ARRAYS, "dy = np.zeros(y.shape)", "dy = y"),
    Mutant("first", "one rate for all replicas", "training_equals_the_numpy_engine",
           "self._updater.update(lr)", "self._updater.update(np.max(lr))"),
    Mutant("first", "what the loss writes goes into a copy", "training_equals_the_numpy_engine",
           "dy = np.zeros(y.shape)", "dy = np.zeros(y.swapaxes(0, -2).shape).swapaxes(0, -2)"),
    # --- options and help
    Mutant("mix", "range not checked", RANGES, 'check_range("gain", gain, above=0, maximum=10)', "pass"),
    Mutant("mix", "bound not checked", RANGES, "above=0, maximum=10", "minimum=0, maximum=10"),
    Mutant("mix", "NaN accepted", "nan_is_refused",
           'check_range("gain", gain, above=0, maximum=10)',
           'if gain <= 0 or gain > 10:\n            raise ValueError("gain is out of range")'),
    Mutant("mix", "refused without the name", RANGES,
           'check_range("gain", gain, above=0, maximum=10)',
           'if not 0 < gain <= 10:\n            raise ValueError("this is out of range")'),
    Mutant("mix", "the default is of another type", CONFIGURED, "gain: float = 0.5", "gain: int = 0.5"),
    Mutant("mix", "the default is out of range", CONFIGURED, "gain: float = 0.5", "gain: float = 11.0"),
    Mutant("mix", "an option without a text", "help_explains_every_option",
           "        gain: factor", "        factor"),
    Mutant("mix", "a text without an option", "help_explains_every_option",
           "        gain: factor", "        loss: how much of it is lost.\n        gain: factor"),
    Mutant("mix", "no formula", "help_has_a_formula",
           "y = gain · x W + b,  ∂l/∂W = gain · xᵀ ∂l/∂y,  ∂l/∂b = Σ_batch ∂l/∂y,  ∂l/∂x = gain · ∂l/∂y Wᵀ",
           "It mixes."),
    Mutant("mix", "no sentence", "help_begins_with_one_sentence",
           "as many outputs as inputs.", "outputs and"),
]  # fmt: skip


@contextmanager
def loaded(file: Path) -> Iterator[list[tuple[str, str]]]:
    """The component of a plugin file, registered only within the ``with`` block."""
    components = load_path(file)
    try:
        yield components
    finally:
        for kind, name in components:
            registries[kind].forget(registries[kind][name].__module__)


@pytest.mark.parametrize("file", RIGHT, ids=lambda file: file.stem)
def test_the_correct_component_passes(file: Path) -> None:
    with loaded(file) as components:
        outcomes = [case.outcome() for case in cases(components)]
    assert {str(outcome.case): outcome.reason for outcome in outcomes if outcome.status != "ok"} == {}


@pytest.mark.parametrize(
    "mutant",
    [pytest.param(mutant, marks=pytest.mark.onnx if mutant.check in ONNX else ()) for mutant in MUTANTS],
    ids=lambda mutant: f"{mutant.file}: {mutant.mistake}",
)
def test_the_check_finds_the_mistake(mutant: Mutant, tmp_path: Path) -> None:
    if mutant.check in ONNX:
        pytest.importorskip("onnx", reason="the checks of ONNX nodes need the extra onnx")
    text = (FOLDER / f"{mutant.file}.py").read_text()
    assert text.count(mutant.old) == 1
    file = tmp_path / f"{mutant.file}.py"
    file.write_text(text.replace(mutant.old, mutant.new))
    with loaded(file) as components:
        (case,) = [case for case in cases(components) if case.check.name == mutant.check]
        outcome = case.outcome()
    assert outcome.status == "failed"
    assert outcome.reason


@pytest.mark.parametrize(
    "mutant",
    [mutant for mutant in MUTANTS if mutant.check == SAME],
    ids=lambda mutant: f"{mutant.file}: {mutant.mistake}",
)
def test_only_one_check_finds_that_the_two_forms_differ(mutant: Mutant, tmp_path: Path) -> None:
    text = (FOLDER / f"{mutant.file}.py").read_text()
    file = tmp_path / f"{mutant.file}.py"
    file.write_text(text.replace(mutant.old, mutant.new))
    with loaded(file) as components:
        failed = {case.check.name for case in cases(components) if case.outcome().status == "failed"}
    assert failed - {SAME_RUN} == {SAME}


def test_only_built_in_components_must_have_a_textbook_form(tmp_path: Path) -> None:
    text = (FOLDER / "squares.py").read_text()
    begin, end = text.index("    def textbook"), text.index("    def rows")
    file = tmp_path / "squares.py"
    file.write_text(text[:begin] + text[end:])
    with loaded(file) as components:
        case = next(case for case in cases(components) if case.check.name == EXPRESSIONS)
        third_party = case.outcome()
        losses = registries["loss"]
        cls = losses["kit_squares"]
        losses.forget(cls.__module__)
        losses.add("kit_squares", cls, "built-in")
        built_in = case.outcome()
    assert (third_party.status, third_party.reason) == ("skipped", "the component has no textbook form")
    assert (built_in.status, built_in.reason) == (
        "failed",
        "the component has no textbook form; write the method textbook",
    )


def test_every_check_finds_at_least_one_mistake() -> None:
    # A check that finds no mistake here might be unable to fail.
    used = {(kind, mutant.check) for mutant in MUTANTS for kind in [_kind(mutant.file)]}
    unused = [check.name for check in checks() if not any((kind, check.name) in used for kind in check.kinds)]
    assert unused == []


def _kind(file: str) -> str:
    """The kind of a correct component, from the first line of its module's docstring."""
    word = (FOLDER / f"{file}.py").read_text().split()[1]
    return "dataset" if word == "data" else word
