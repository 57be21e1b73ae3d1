"""What the experiments rest on: copies with a change, how it is counted, how a result is shown."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from stagepost.engine.flow import Flow
from stagepost.engine.links_shown import rows
from stagepost.errors import BadSettings
from tests.experiments import checkout
from tests.experiments.__main__ import Options, chosen
from tests.experiments.checkout import CopyFailed, changed
from tests.experiments.diff import lines, read_diff
from tests.experiments.result import WIDTH, Result, Table, show

TOLD = """\
40\t0\tservices/vetting/app.py
3\t1\tservices/payments/app.py
12\t12\tservices/payments/choreography.py
8\t0\tservices/demo/sql/logs.sql
5\t0\tcontracts/vetting.py
20\t2\ttests/journeys/test_styles.py
 create mode 100644 services/vetting/app.py
 create mode 100644 contracts/vetting.py
"""
SERVICES = {"vetting", "payments", "ordering"}


def test_files_are_counted_where_they_belong() -> None:
    diff = read_diff(TOLD, SERVICES)

    assert diff.services == {"vetting", "payments"}
    assert diff.new_services == {"vetting"}
    assert diff.touched_services == {"payments"}
    assert lines(diff.of(["payments"])) == "+15 -13"
    assert [file.path for file in diff.of(["elsewhere"])] == ["services/demo/sql/logs.sql"]
    assert [file.path for file in diff.of(["contracts"]) if file.is_new] == ["contracts/vetting.py"]
    assert lines(diff.of(["tests"])) == "+20 -2"
    assert diff.of(["nowhere"]) == []


def test_nothing_comes_of_no_change() -> None:
    assert read_diff("", SERVICES).services == set()


async def test_a_copy_runs_its_own_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkout, "CHANGES", tmp_path)
    (tmp_path / "port.patch").write_text(PATCH)

    with changed("port") as copy:
        ran = await copy.run("-c", "from services.loyalty.app import service; print(service.port)")

        assert (ran.status, ran.out) == (0, "8017\n")
        assert copy.diff.services == {"loyalty"}
        assert lines(copy.diff.of(copy.diff.services)) == "+1 -1"
    assert not copy.folder.exists()


async def test_a_copy_without_a_change_has_the_links_that_are_here() -> None:
    with changed() as copy:
        assert await copy.links("choreographed") == rows(Flow("choreographed"))


def test_a_change_that_does_not_fit_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkout, "CHANGES", tmp_path)
    (tmp_path / "port.patch").write_text(PATCH.replace("8007", "8008"))

    with pytest.raises(CopyFailed, match=r"services/loyalty/app\.py"), changed("port"):
        pass


def test_journeys_are_counted_from_their_report(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(
        "<testsuites><testsuite>"
        '<testcase name="a"/><testcase name="b"><failure/></testcase>'
        '<testcase name="c"><error/></testcase><testcase name="d"/>'
        "</testsuite></testsuites>"
    )

    assert checkout.judged(report) == checkout.Journeys(2, ("b", "c"))


def test_a_result_is_shown_within_the_width_of_the_readme() -> None:
    out = io.StringIO()
    table = Table(
        "What it costs", ("", "one", "other"), [("lines", 1200, "[x]"), ("safe", True, 0)]
    )
    show(Result([table], ["so [it] is " * 20], holds=True), Console(file=out, width=WIDTH))

    shown = out.getvalue()
    assert "1,200" in shown
    assert "[x]" in shown
    assert "yes" in shown
    assert max(map(len, shown.splitlines())) <= WIDTH


def test_an_experiment_that_there_is_not_is_refused() -> None:
    with pytest.raises(BadSettings, match="NAME=speed: there are criminal-check, reorder"):
        chosen(Options(name="speed"))


PATCH = """\
diff --git a/services/loyalty/app.py b/services/loyalty/app.py
--- a/services/loyalty/app.py
+++ b/services/loyalty/app.py
@@ -16,3 +16,3 @@
     about="Gives points for what customers buy.",
-    port=8007,
+    port=8017,
     sql=Path(__file__).parent / "sql",
"""
