"""What surrounds the training of one run: resolving, run folder, logging, console, evaluation."""
