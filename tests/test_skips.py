"""A skip that nobody has allowed fails a run of continuous integration."""

import pytest

from tests.skips import SkipWatch

pytest_plugins = ["pytester"]


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    """A suite of one test that passes and one that is skipped."""
    pytester.makepyfile(
        "import pytest\n"
        "def test_runs(): pass\n"
        "@pytest.mark.skip\n"
        "def test_is_left_out(): pass\n"
        "@pytest.mark.xfail\n"
        "def test_is_expected_to_fail(): assert False\n"
    )
    return pytester


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_skip_that_is_not_in_the_list_fails_the_run(suite: pytest.Pytester, workers: str) -> None:
    result = suite.runpytest_inprocess("-p", "tests.skips", "-n", workers)

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines("skipped, but not in allowed_skips.txt: *test_is_left_out")
    result.stdout.no_fnmatch_line("skipped, but not in*test_is_expected_to_fail")


def test_a_skip_in_the_list_passes(suite: pytest.Pytester) -> None:
    suite.plugins = [SkipWatch(["*::test_is_left_out"])]

    assert suite.runpytest_inprocess().ret == pytest.ExitCode.OK
