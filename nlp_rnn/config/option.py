"""Fields of the configuration schemas, each with its help text."""

from typing import Any

__all__ = ["MISSING"]

MISSING: Any = "???"
"""What omegaconf takes for a value that must be given; to import it takes a tenth of a second."""
