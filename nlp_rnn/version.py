"""The version of this package, read by the build and by every saved classifier."""

__version__ = "0.1.0"
