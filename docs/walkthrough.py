"""How a network trains, step by step, with ``mlpframe.training`` alone: no Hydra, no MLflow.

Run it with ``python docs/walkthrough.py``; ``docs/walkthrough.txt`` is what it prints.
"""

import numpy as np

from mlpframe import registries
from mlpframe.api import Block, Shapes, Table
from mlpframe.training import Network, Streams, Updater, create_layers

# 1. Data. Points in the plane; the class of a point is whether it lies inside a circle.
rng = np.random.default_rng(0)
x = rng.uniform(-1, 1, (400, 2))
y = (np.hypot(x[:, 0], x[:, 1]) < 0.7).astype(np.intp)
table = Table(x, y)
print(f"1. data: {x.shape[0]} points, {y.sum()} of them inside the circle")

# 2. Layers. A model turns options, and the numbers of inputs and outputs, into a list of layers.
model = {"name": "mlp", "hidden": [16], "activation": "tanh", "init": "glorot"}
layers = create_layers(model, Shapes(inputs=2, outputs=2, task="classification"))
print("2. layers:", ", ".join(layer.name for layer in layers))

# 3. A network. All parameters are views into one vector w, all gradients views into one vector g.
loss = registries["loss"].create("cross_entropy")
network = Network(layers, loss, 2, y, "float64", Streams(seed=0))
for name, parameter in network.views(network.w).items():
    print(f"3. parameter {name:<12} of shape {parameter.shape}")

# 4. A plan. It gives every layer its arrays once (`bind`), for one batch size; a step then only fills arrays.
plan = network.plan(32, training=True)
plan.fill(table, np.arange(32))  # the first 32 points
before = plan.step()  # forward pass, loss, backward pass
print(f"4. loss of the first batch: {before:.4f}, length of the gradient: {np.linalg.norm(network.g):.4f}")

# 5. One derivative, checked. Move one weight a little to both sides, and see what the loss does.
position, step = 3, 1e-6
derivative = network.g[position]
network.w[position] += step
above = plan.step()
network.w[position] -= 2 * step
below = plan.step()
network.w[position] += step
print(f"5. derivative: {derivative:.6f}, by finite differences: {(above - below) / (2 * step):.6f}")

# 6. An update. The optimizer is the update rule. The updater calls the rule on the whole vector w.
updater = Updater(registries["optimizer"].create("adam"), network)
plan.step()  # computes the gradient anew, because section 5 has moved a weight
updater.update(0.01)  # the learning rate
print(f"6. loss of the same batch after one update: {plan.step():.4f}")

# 7. An epoch. An engine takes a block of batches: here all points in random order, 32 at a time.
engine = registries["engine"].create("numpy")
engine.bind(network, updater)
for epoch in range(1, 31):
    order = rng.permutation(len(table))
    batches = -(-len(table) // 32)
    block = Block(table, order, 32, [0.01] * batches)  # one learning rate for each batch
    (losses,) = engine.advance([block])  # one result for each block
    if epoch in (1, 10, 30):
        mean = sum(losses.values) / batches
        print(f"7. epoch {epoch:>2}: mean loss {mean:.4f}, {losses.correct / len(table):.1%} right")

# 8. New points. In evaluation mode the network only computes its outputs.
new = rng.uniform(-1, 1, (1000, 2))
probabilities = loss.predict(network.outputs(new))
inside = np.hypot(new[:, 0], new[:, 1]) < 0.7
print(f"8. new points: {np.mean(probabilities.argmax(1) == inside):.1%} right")
