"""Version of the package."""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as _installed_version

try:
    __version__ = _installed_version("nengo-epes")
except PackageNotFoundError:  # on the path, but not installed
    __version__ = "0+unknown"
