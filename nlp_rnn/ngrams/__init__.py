"""Linear models on the n-grams of a text, merged into one sparse table that needs only numpy.

`fitting.fit_parts` fits the models in `linear_models.LINEAR_MODELS`, `fitting.merge` joins them to
an `NgramTable`, and the table predicts: alone, or in an ensemble with a network.
"""
