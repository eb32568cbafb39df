# SPDX-License-Identifier: Apache-2.0
"""Names of the files in an anatomy folder."""

TREE_FOLDER = "arteries"
TREE_PATTERN = "tree_*.npz"
TEMPLATE_FOLDER = "clinical_ct"
HEAD_FILE = "scct.nii"
STRIPPED_FILE = "scct_stripped.nii"
CSF_FILE = "sccsf.nii"
TEMPLATE_FILES = (HEAD_FILE, STRIPPED_FILE, CSF_FILE)
