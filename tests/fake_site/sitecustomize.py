"""Python imports this module at its start, if its folder is on PYTHONPATH."""

from tests.fake_training import install

install()
