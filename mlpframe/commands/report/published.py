"""The numbers that the report prints. Losses are mean cross-entropy. Lists are in the order of the epochs."""

from __future__ import annotations

Q3_V = [[-0.4404, 0.4404]] * 3
Q3_C = [-0.5, 0.5]
Q3_W = [[0.0, 0.0, 0.0]] * 2
Q3_B = [0.0, 0.0, 0.0]
"""Question 3: derivatives with respect to the weights V and biases c of the output layer, and W and b."""

Q4_TRAIN = [0.1613, 0.1002, 0.0932, 0.0899, 0.0882]
Q4_LAST_WINDOW = [0.0708, 0.0635, 0.0612, 0.0605, 0.0599]
Q4_LAST_LR = 0.0011
Q4_EXPECTED = [(0.136, 0.180), (0.095, 0.105), (0.084, 0.094), (0.077, 0.086), (0.072, 0.080)]
Q4_EXPECTED_LR = (0.0059, 0.0075)
"""The ranges measured in eight independent runs of the protocol exactly as the report describes it."""

Q5_TRAIN = [0.6391, 0.2785, 0.2107, 0.1840, 0.1644]
Q5_LAST_WINDOW = [0.3983, 0.2438, 0.2056, 0.1930, 0.1344]
Q5_LAST_LR = 0.0067

Q7_1_TRAIN = [0.8518, 0.3485, 0.2298, 0.1847, 0.1413]
Q7_1_VAL = [0.4219, 0.4075, 0.2392, 0.2367, 0.1796]

Q7_3_LR = [0.1, 0.03, 0.01, 0.003, 0.001, 0.0001]
Q7_3_TRAIN = [0.1653, 0.0847, 0.1377, 0.2910, 0.5329, 1.5868]
Q7_3_VAL = [0.2278, 0.1911, 0.2346, 0.3656, 0.5392, 1.3857]

Q7_4_TRAIN_ACCURACY = [0.8792, 0.9367, 0.9511, 0.9605, 0.9679]
Q7_4_VAL_ACCURACY = [0.9383, 0.9219, 0.9578, 0.9544, 0.9632]
