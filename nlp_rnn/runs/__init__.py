"""Steps of a run before and after the training: options, run folder, logging, evaluation."""
