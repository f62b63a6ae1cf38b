"""Settings and fixtures shared by all tests."""

import nengo
import pytest
from hypothesis import HealthCheck, settings

# a deadline would fail on a busy machine
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def quiet_nengo():
    """Switch off the progress bar and the decoder cache, so that tests are
    independent."""
    nengo.rc["progress"]["progress_bar"] = "False"
    nengo.rc["decoder_cache"]["enabled"] = "False"
    yield
    nengo.rc.reload_rc([])
