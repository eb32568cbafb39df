# SPDX-License-Identifier: Apache-2.0
"""Compiled networks behind one protocol.

| module | owns |
|---|---|
| `engine` | the protocol, and the answer of one slice |
| `openvino_import` | OpenVINO, imported without network and with the same arithmetic everywhere |
| `openvino` | OpenVINO behind the protocol |
| `openvino_cut` | graphs that see each slice alone, in two parts |
| `onnxruntime` | ONNX Runtime behind the protocol, an extra |
| `saturation` | does INT8 arithmetic saturate on this CPU |
| `choice` | the engine that was asked for |

Arrays are [C, H, W] on the way in (C planes of one slice, float32 HU) and [R] and [R, h, w] on the
way out (R regions).
"""
