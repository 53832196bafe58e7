"""Python API of training: `nlp_rnn.train` and the run that it returns."""
