"""The parts of a network that a configuration chooses by name: cells and poolings.

`cells` and `poolings` define each of them in one class (shapes, ONNX nodes, one step in numpy) and
register it; they import no torch. `cell_functions` and `pooling_modules` are their torch parts.
"""
