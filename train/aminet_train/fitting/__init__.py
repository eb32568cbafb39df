# SPDX-License-Identifier: Apache-2.0
"""Prepared slices to a checkpoint: one training run, which can be killed and resumed.

config, defaults, resolve_config   the settings of a run, from defaults to flags
dataset, augment     prepared slices, with their neighbours; changes that are true to CT
batches, schedule    what each step of each epoch is made of: functions of the seed
losses               what training minimises
starting_network     random, pretrained, or another run's weights
learner              one step: augment, predict, learn
mixed_precision      what stays float32 while a network trains in bfloat16
validation           scores and metrics of the validation patients after an epoch
heap                 memory that one step gives back is what the next one takes
processes            one process, several, several machines
progress, run_state, run_folder, run_log   where a run is, on disk and in figures
training_run, fit    a run from beginning to checkpoint, or from its state
"""
