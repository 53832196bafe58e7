"""The parts of a network that a configuration chooses by name: cells and poolings.

`cells` and `poolings` define them, one class each (shapes, ONNX nodes, a step in numpy), and
register them; they import no torch. `cell_functions`, `gru_loop` and `pooling_modules` are the
torch parts. `cell_interface` and `pooling_interface` document what a new one must define;
`onnx_graph` is the builder that ONNX nodes are added to. The package stands above `config` in the
import order, because configurations are checked against both registries.
"""
