"""Settings and fixtures shared by all tests."""

import os
import sys
from pathlib import Path

import nengo
import pytest
from hypothesis import HealthCheck, settings

# compiled code checks its indices; the setting is not part of the key of numba's
# cache, so such code has a cache of its own
os.environ["NUMBA_BOUNDSCHECK"] = "1"
cache = Path(__file__).parent.parent / ".pytest_cache" / "numba-with-bounds"
os.environ["NUMBA_CACHE_DIR"] = str(cache)

# a deadline would fail on a busy machine
settings.register_profile(
    "patient", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")


def disable_decoder_cache():
    """Let no other process hold a lock; doctests have no fixture for this."""
    nengo.rc["decoder_cache"]["enabled"] = "False"


disable_decoder_cache()


@pytest.fixture(autouse=True)
def quiet_nengo():
    """Switch off the progress bar and the decoder cache, so that tests are
    independent."""
    nengo.rc["progress"]["progress_bar"] = "False"
    yield
    nengo.rc.reload_rc([])
    disable_decoder_cache()
    if "jax" in sys.modules:  # a page of the documentation changes it
        sys.modules["jax"].config.update("jax_enable_x64", False)
