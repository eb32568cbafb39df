# SPDX-License-Identifier: Apache-2.0
"""What the folder without Python starts: `aminet-run`, also as a worker of `--jobs`."""

import multiprocessing
import sys

from aminet_runtime.cli import main

if __name__ == "__main__":
    multiprocessing.freeze_support()
    sys.exit(main())
