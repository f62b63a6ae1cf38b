"""What all tests share."""

import nengo
import pytest
from hypothesis import HealthCheck, settings

# a busy machine is no failure
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def quiet_nengo():
    """No progress bar and no decoder cache, so that no test sees another's work."""
    nengo.rc["progress"]["progress_bar"] = "False"
    nengo.rc["decoder_cache"]["enabled"] = "False"
    yield
    nengo.rc.reload_rc([])
