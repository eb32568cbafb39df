# SPDX-License-Identifier: Apache-2.0
"""Patient folders to a prepared cohort: slices, labels and splits on disk.

folders         which patient folders there are
folder_facts    what a patient folder holds beyond what training needs
folder_source   a patient folder as a source of slices
truth           atlas against clot and SPIRAL map: what is known about each region of a slice
prepared        the format of a prepared cohort on disk
prepared_patient  one patient of it: truth, scan, images as the network sees them
arrays          its arrays, read or mapped, and refused where they are damaged
prepare_patient one patient, from a folder or any other source, to his prepared folder
prepare         a cohort of patient folders to a prepared cohort
deal            patients to train, validation and test, balanced over regions
splits          who is in which split, by patient or (leaking) by slice
report, page    who was used and who was not, and what training can expect
patients        the patients of several prepared cohorts, by split
pool            cohorts of several kinds side by side
"""
