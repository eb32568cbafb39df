# SPDX-License-Identifier: Apache-2.0
"""Train slice classifiers: patient folders to prepared slices, checkpoints and their metrics.

The rooms, each above those that follow it:

    commands        aminet-prepare, aminet-train, aminet-tune, aminet-evaluate
    tuning/         search of hyperparameters
    fitting/        prepared slices to a checkpoint: one training run
    averaging       checkpoints of one network to the mean of their weights
    judging/        what an approach is worth: metrics, tables, pictures, twins
    ensemble        members that vote, in one folder
    cohort/         patient folders to prepared slices, labels and splits

and what they share:

    checkpoint      weights as safetensors, everything else as JSON
    model           preprocessing + network + sigmoid: what is exported
    networks/       simple_cnn, mobilenetv2, efficientformerv2, and their common heads
    slice_window    the neighbours that a network sees beside a slice
    preprocessing   raw HU to network input: the torch module that is also inside the exported graph
    thresholds      decision rule from validation scores
    metrics         counts, precision, recall, F1, average precision at slice and patient level
    levels          the names of the two levels
    plain_run       the folder of a run without epochs
    provenance      what made a checkpoint or a bundle: versions and the git commit
    settings        TOML to frozen dataclasses and back; an unknown key is an error
    workers         several processes, none of which outlives its parent
    process_pool    processes that work on many items, and what can go wrong with them

Array convention: slices are [C, H, W] or [N, C, H, W], canonical LPS (rows from anterior to
posterior, columns from the patient's right to left); scores and labels are [Z, 15].
"""
