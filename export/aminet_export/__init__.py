# SPDX-License-Identifier: Apache-2.0
"""A checkpoint to a bundle that is proven equal to it.

pipeline      the named steps, in order
onnx_graph    torch to a float ONNX graph, and its check
openvino_ir   ONNX to OpenVINO IR, with our metadata
calibration   which slices of which training patients
quantize      INT8 with the overflow fix; preprocessing stays float
engines       the same slices through torch, ONNX Runtime and OpenVINO
parity        largest differences and changed decisions between the stages
card          the model card
cli           aminet-export
"""
