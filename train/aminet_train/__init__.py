# SPDX-License-Identifier: Apache-2.0
"""Train slice classifiers: patient folders to prepared slices, checkpoints and their metrics.

The way through the package, in the order of use:

    cohort          which patient folders there are
    preprocessing   raw HU to network input: the torch module that is also inside the exported graph
    folder_facts    what a patient folder holds beyond what training needs
    prepared        the format of a prepared cohort on disk
    truth           atlas against clot and SPIRAL map: what is known about each region of a slice
    folder_source   a patient folder as a source of slices
    prepare_patient one patient, from a folder or any other source, to his prepared folder
    workers         several processes, none of which outlives its parent
    deal            patients to train, validation and test, balanced over regions
    splits          who is in which split, by patient or (leaking) by slice
    cohort_report   who was used and who was not, and what training can expect
    cohort_page     the same as one HTML page
    prepare         a cohort of patient folders to a prepared cohort
    patients        the patients of several prepared cohorts, by split
    dataset         prepared slices, with their neighbours, to batches
    augment         changes that are true to CT
    networks        simple_cnn, mobilenetv2, efficientformerv2, and their common heads
    model           preprocessing + network + sigmoid: what is exported
<<<<<<< HEAD
    settings        TOML to frozen dataclasses and back; an unknown key is an error
    train_config, train_defaults, train_settings   the settings of a run, from defaults to flags
    starting_network  random, pretrained, or another run's weights
    batches, schedule  what each step of each epoch is made of: functions of the seed
    learner         one step: augment, predict, learn
    validation      scores and metrics of the validation patients after an epoch
    processes       one process, several, several machines
    progress, run_state, run_folder, run_log   where a run is, on disk and in figures
    training_run, fit  a run from beginning to checkpoint, or from its state
    metrics         counts, precision, recall, F1, average precision at slice and patient level
=======
    fit             training on Lightning
    metrics         counts, precision, recall, F1, average precision, bootstrap intervals
    curves          precision against recall, reliability, sweep of a threshold
>>>>>>> 6b3c68a (Set models side by side at both levels, with SPIRAL and ensembles)
    thresholds      decision rule from validation scores
    answers         what an approach says about a patient, and how far it is right, at both levels
    evaluate        scores of one patient by a network, metrics of scores
    spiral          the baseline: a threshold on the SPIRAL map
    ensemble        members that vote, in one folder
    pool            cohorts of several kinds side by side
    candidates      what can be evaluated: checkpoint, bundle, ensemble
    twins           do the flags go with the clot
    evaluation      models side by side
    report_tables   its tables
    plots           curves as PNG
    mistakes        the worst mistakes as pictures
    saved_scores    scores as npz, to compute the counts again
    evaluation_files  the folder of an evaluation
    checkpoint      weights as safetensors, everything else as JSON
    tune_space      what aminet-tune searches
    tune_trials     the journal of a search
    tune            Optuna proposes, ASHA stops, Ray runs
    tune_report     what a search found
    commands        aminet-prepare, aminet-train, aminet-tune, aminet-evaluate

Array convention: slices are [C, H, W] or [N, C, H, W], canonical LPS (rows from anterior to
posterior, columns from the patient's right to left); scores and labels are [Z, 15].
"""
