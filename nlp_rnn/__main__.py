"""`python -m nlp_rnn` is `nlp-rnn`."""

import sys

from nlp_rnn.cli import main

sys.exit(main())
