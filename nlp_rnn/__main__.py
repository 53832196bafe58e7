"""Run `nlp-rnn` as `python -m nlp_rnn`."""

import sys

from nlp_rnn.cli import main

sys.exit(main())
