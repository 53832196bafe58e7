"""Commands of `nlp-rnn`, one module each: `HELP` and a function of the module's name.

Beside them are the parsing of arguments and the input and output tables of `nlp-rnn predict`.
"""
