from calicod.cli.doctor.table import CHECKS, examine
from tests.unit.cli.doctor.build import WELL


def test_of_a_host_on_which_all_is_well_every_check_says_so_under_its_name():
    assert [(finding.check, finding.state) for finding in examine(WELL)] == [(name, "ok") for name in CHECKS]


def test_nothing_that_is_ok_has_a_mend():
    assert [finding for finding in examine(WELL) if finding.mend] == []
