# SPDX-License-Identifier: Apache-2.0
"""A checkpoint to a bundle that is proven equal to it, or to an error that says what was lost.

In the order of the steps:

    cli              aminet-export
    runs             the newest finished run of an approach, and its data
    plan             what is asked of an export, and what it answers
    pipeline, steps  the named steps, each with result and time
    source           checkpoint and patients that fit it; leaks are refused
    onnx_graph       torch to a float ONNX graph, and its check
    openvino_ir      ONNX to OpenVINO IR, with our metadata
    resizing         the resizes in front of the network, as gathered rows and columns
    graph_parts      which operations stand in front of the layers, and which behind
    calibration      which slices of which training patients
    quantize         INT8 with the overflow fix; preprocessing stays float
    onnx_int8        the same for ONNX Runtime
    networks         float, and what ships after accuracy control
    layers, restore  which layers make the error; leave them in float
    slices, scoring  patients as the networks see them, and their scores
    late_fusion      networks that see each slice alone: two parts in one graph
    shared_planes    channels with several windows: one plane at the door, copies behind it
    spiral_slices    the same for the SPIRAL threshold, drawn from the prepared maxima
    engines, openvino_scorer
                     torch, ONNX Runtime and OpenVINO behind one function
    onnx_int8_judge  the INT8 file for ONNX Runtime passes, too, or is left out
    accuracy, gate   what quantising costs, with an interval; too much is exit code 23
    judge, parity    held-out patients compare all stages from torch to what ships
    full_size, preprocessing_check
                     a patient folder at full size; the graph against the training cache
    spiral_check     the maxima of the SPIRAL threshold against the prepared ones
    isa_sweep, isa_probe
                     the same answer on every CPU, a process for each instruction set
    contents         all that a bundle is made of, gathered
    selftest         slices with known answers; the runtime has to find them
    finishing, metadata, receipts, card
                     keys in the networks, metadata, receipts, model card
    ensemble         several bundles that vote, in one folder
    ensemble_votes   what they say together about held-out patients
    ensemble_contents
                     metadata, receipt and card of an ensemble
    bundle_table     finished bundles side by side: size, speed, F1, distance to torch
"""
