"""Policies as ONNX: the graph, its check against torch, INT8, and how fast each form is."""
