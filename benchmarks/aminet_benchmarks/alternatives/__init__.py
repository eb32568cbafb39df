# SPDX-License-Identifier: Apache-2.0
"""Other ways to answer the same question, each a program of its own: the yardsticks.

report_way        nibabel get_fdata and PyTorch eager, as in the source report
torchscript_way   the same, the network traced to TorchScript
onnxruntime_way   gunzip by isal and ONNX Runtime, float or INT8
minimal_openvino  gunzip by isal and OpenVINO, float or INT8: the 30-line script
gunzip_alone      gunzip and nothing else, one half of the floor

Each takes its model first, then one volume a channel, and prints one line of JSON: `slices`, the
probabilities of each slice, so that speed is never compared without the answers, and `loop_s`,
what its loop over the slices took. They check nothing, read int16 stored as LPS, and use one
thread.
"""
