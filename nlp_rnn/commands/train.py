"""The words of `nlp-rnn train` become a run, a sweep, or one of them that goes on."""

import os

from nlp_rnn.commands.argument_parser import run_to_resume
from nlp_rnn.config.compose import conf_dir

__all__ = ["HELP", "train"]


def _groups() -> str:
    lines = ""
    for folder in sorted(path for path in conf_dir().iterdir() if path.is_dir()):
        choices = sorted(path.stem for path in folder.glob("*.yaml"))
        lines += f"  {folder.name:<11}{', '.join(choices)}\n"
    return lines


HELP = f"""\
Train one classifier: tokenize, train, test, save, log to MLflow.

  nlp-rnn train                                    the built-in corpus, a GRU
  nlp-rnn train model=lstm model.hidden_size=256
  nlp-rnn train data=files data.path=FOLDER_OR_FILE data.text=COLUMN data.label=COLUMN
  nlp-rnn train -m model=lstm,gru seed=1,2,3       a sweep: every combination, compared at the end
  nlp-rnn train sweep=cells sweep.jobs=2           a sweep that others use too, two jobs at a time
  nlp-rnn train -m model=lstm,gru --dry-run        what it would run, and how long
  nlp-rnn train resume=RUN_FOLDER                  go on with a run that was interrupted
  nlp-rnn train -m resume=SWEEP                    go on with a sweep: its id, or last

Groups and their choices:
{_groups()}
nlp-rnn train --cfg job prints every key with its value; hydra.run.dir=FOLDER says where the
run folder goes; --config-dir FOLDER adds your own group files.
"""


def train(words: list[str]) -> int:
    """Run the command."""
    if _is_worker():
        from nlp_rnn.runs.worker_processes import follow
        from nlp_rnn.training.processes import torchrun_processes

        follow(torchrun_processes())
        return 0
    if any(word in ("-m", "--multirun") or word.startswith("sweep=") for word in words):
        return _sweep(words)
    folder = run_to_resume(words)
    if folder is not None:
        from nlp_rnn.pipeline import resume

        resume(folder)
        return 0
    from nlp_rnn.launch import launch

    launch(words)
    return 0


def _sweep(words: list[str]) -> int:
    if any(word.split("=")[0] in ("--cfg", "-c", "--info", "-i", "--hydra-help") for word in words):
        from nlp_rnn.launch import launch

        launch(words)
        return 0
    from nlp_rnn.sweeps.sweep import sweep

    sweep(["sweep." + word if word.startswith("resume=") else word for word in words])
    return 0


def _is_worker() -> bool:
    """Whether torchrun started this process to follow another one, which reads the words."""
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("RANK", "0") != "0"
