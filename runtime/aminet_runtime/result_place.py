# SPDX-License-Identifier: Apache-2.0
"""Where results and reports are written; imported only where something is."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aminet_runtime.earlier import EarlierResult, find_earlier
from aminet_runtime.errors import AminetError
from aminet_runtime.patient import PatientFolder
from aminet_runtime.patient_name import display_name, results_folder_name
from aminet_runtime.publish import refuse_existing, write_new, write_whole
from aminet_runtime.report.exhibits import Exhibits, collect
from aminet_runtime.report.key_slices import KeySliceKeeper
from aminet_runtime.report.page import is_page_of_result, refusal_page, result_page
from aminet_runtime.result import PatientResult, to_json_file, utc_now
from aminet_runtime.sessions import AnySession

RESULT_FILE = "result.json"
REPORT_FILE = "report.html"

ToJson = Callable[[PatientResult], dict[str, object]]


@dataclass(frozen=True, slots=True)
class ResultPlace:
    """Where results are written.

    Attributes:
        folder: Gets a folder for each patient, with `result.json` and `report.html` in it.
        to_json: Makes the content of the file.
        keeps_existing: Refuse a patient whose result is there already, instead of replacing it.
        skips_done: Take the result that is there if another run would say the same.
    """

    folder: Path
    to_json: ToJson
    keeps_existing: bool = False
    skips_done: bool = False

    def path_for(self, patient: Path) -> Path:
        """Return the file for the result of a patient folder."""
        return self.folder / results_folder_name(patient) / RESULT_FILE

    def earlier(self, patient: Path, session: AnySession) -> EarlierResult | None:
        """Return the result that is there, if it is to be taken and another run would say so.

        One without its report is not: it may be gone, or be that of a later run that was refused.
        """
        if not self.skips_done:
            return None
        with_slices = self.to_json is PatientResult.to_json_with_slices
        path = self.path_for(patient)
        earlier = find_earlier(path, patient, session, with_slices=with_slices)
        if earlier is None or not _has_report(path.with_name(REPORT_FILE), earlier):
            return None
        return earlier

    def require_free(self, patient: Path) -> None:
        """Refuse, before the work, a result that must not be replaced.

        Raises:
            OutputExists: It is there, and is to be kept.
        """
        if self.keeps_existing:
            refuse_existing(self.path_for(patient))

    def keeper(self, session: AnySession) -> KeySliceKeeper:
        """Return what must see a patient's slices for the report; of an ensemble, the first's."""
        return KeySliceKeeper(session.members[0].bundle.metadata)

    def exhibits(
        self, keeper: KeySliceKeeper, result: PatientResult, patient: PatientFolder
    ) -> Exhibits:
        """Choose what the report shows; reads the patient's atlas."""
        return collect(keeper, result.regions, patient)

    def write(self, patient: Path, result: PatientResult, exhibits: Exhibits) -> None:
        """Write report and result of a patient, each whole or not at all, the result last.

        Raises:
            OutputExists: The result is there, and is to be kept.
            OutputNotWritable: One cannot be written.
        """
        self.require_free(patient)
        target = self.path_for(patient)
        write_whole(target.with_name(REPORT_FILE), result_page(result, exhibits))
        write = write_new if self.keeps_existing else write_whole
        write(target, to_json_file(self.to_json(result)))

    def write_refusal(self, patient: Path, error: AminetError) -> None:
        """Write a report that says why there is no result; a result that is there is kept.

        Raises:
            OutputNotWritable: It cannot be written.
        """
        target = self.path_for(patient)
        if self.keeps_existing and os.path.lexists(target):
            return  # its report is to be kept, too
        page = refusal_page(display_name(patient), error, created=utc_now())
        write_whole(target.with_name(REPORT_FILE), page)


def _has_report(report: Path, earlier: EarlierResult) -> bool:
    """Whether a report is there that shows this result."""
    try:
        page = report.read_bytes() if report.is_file() else b""
    except OSError:
        return False
    return is_page_of_result(page, created=earlier.created)
