"""Hand-built ONNX graphs in the shapes of SCRFD and ArcFace: the insightface adapter runs on them without any weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

INPUT_SIDE = 640
STRIDES = (8, 16, 32)
# What the detector "finds" in its 640 x 640 input, whatever it shows: a face around the middle.
CENTRE, HALF = 320.0, 96.0
POINTS = np.array([[-40, -30], [40, -30], [0, 8], [-30, 48], [30, 48]], float)


def detector(path: Path) -> None:
    """Nine outputs (scores, boxes, landmarks for three strides), constant but for one anchor at stride 32."""
    image = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, "h", "w"])
    nodes, outputs, constants = [], [], []
    for kind, channels in (("score", 1), ("bbox", 4), ("kps", 10)):
        for stride in STRIDES:
            cells = INPUT_SIDE // stride
            values = np.zeros((cells * cells * 2, channels), np.float32)
            if stride == 32:
                anchor = 2 * (int(CENTRE / stride) * cells + int(CENTRE / stride))
                found = {"score": np.array([0.9]), "bbox": np.full(4, HALF / stride), "kps": (POINTS / stride).ravel()}
                values[anchor] = found[kind]
            name = f"{kind}_{stride}"
            constants += [numpy_helper.from_array(values, f"{name}_c"), numpy_helper.from_array(_zero(), f"{name}_z")]
            nodes += [
                helper.make_node("ReduceMean", ["input.1"], [f"{name}_m"], keepdims=0),
                helper.make_node("Mul", [f"{name}_m", f"{name}_z"], [f"{name}_n"]),
                helper.make_node("Add", [f"{name}_c", f"{name}_n"], [name]),
            ]
            outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, list(values.shape)))
    _save(helper.make_graph(nodes, "detector", [image], outputs, constants), path)


def recogniser(path: Path, dimension: int = 64, seed: int = 0) -> None:
    """Averages of 8 x 8 pixels times a fixed random matrix."""
    crop = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["n", 3, 112, 112])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", dimension])
    weights = np.random.default_rng(seed).standard_normal((3 * 14 * 14, dimension)).astype(np.float32) * 0.05
    nodes = [
        helper.make_node("AveragePool", ["input"], ["pooled"], kernel_shape=[8, 8], strides=[8, 8]),
        helper.make_node("Flatten", ["pooled"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["embedding"]),
    ]
    _save(
        helper.make_graph(nodes, "recogniser", [crop], [embedding], [numpy_helper.from_array(weights, "weights")]), path
    )


def pack(directory: Path) -> Path:
    """A folder as FaceAnalysis wants it."""
    directory.mkdir(parents=True)
    detector(directory / "det.onnx")
    recogniser(directory / "rec.onnx")
    return directory


def _zero() -> NDArray[np.float32]:
    return np.zeros(1, np.float32)


def _save(graph: onnx.GraphProto, path: Path) -> None:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.checker.check_model(model)
    onnx.save(model, path)
