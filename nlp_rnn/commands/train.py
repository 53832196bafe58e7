"""Command `nlp-rnn train`: a run, a sweep, or resuming one of them."""

import os
import textwrap

from nlp_rnn.commands.argument_parser import run_to_resume
from nlp_rnn.config.option_texts import option_list
from nlp_rnn.config.schemas import conf_dir
from nlp_rnn.errors import ConfigError

__all__ = ["HELP", "train"]


def _groups() -> str:
    lines: list[str] = []
    for folder in sorted(path for path in conf_dir().iterdir() if path.is_dir()):
        choices = ", ".join(sorted(path.stem for path in folder.glob("*.yaml")))
        first = f"  {folder.name + ' ':<13}"
        lines += textwrap.wrap(choices, 100, initial_indent=first, subsequent_indent=" " * 15)
    return "\n".join(lines) + "\n"


HELP = f"""\
Train one classifier: tokenize, train, evaluate, save, log to MLflow.

  nlp-rnn train                                    the built-in corpus, a GRU
  nlp-rnn train model=lstm model.hidden_size=256
  nlp-rnn train data=files data.path=FOLDER_OR_FILE data.text=COLUMN data.label=COLUMN
  nlp-rnn train output_dir=FOLDER                  choose the run folder; overwrite=true replaces
                                                   the run that it holds
  nlp-rnn train -m model=lstm,gru seed=1,2,3       a sweep: every combination, compared at the end
  nlp-rnn train sweep=cells sweep.jobs=2           a predefined sweep, two jobs at a time
  nlp-rnn train -m model=lstm,gru --dry-run        the jobs of a sweep and an estimate of the time
  nlp-rnn train resume=RUN_FOLDER                  resume an interrupted run
  nlp-rnn train -m resume=SWEEP                    resume a sweep: its id, or last

Groups and their choices:
{_groups()}
nlp-rnn train --cfg job prints the configuration with an explanation of every option.
--config-dir FOLDER adds your own group files.

Options and their defaults:
{option_list()}"""


def train(arguments: list[str]) -> int:
    """Run the command and return the exit code."""
    if _is_worker():
        from nlp_rnn.runs.worker_processes import follow
        from nlp_rnn.training.processes import torchrun_processes

        follow(torchrun_processes())
        return 0
    if any(word in ("-m", "--multirun") or word.startswith("sweep=") for word in arguments):
        return _sweep(arguments)
    folder = run_to_resume(arguments)
    if folder is not None:
        from nlp_rnn.pipeline import resume

        resume(folder)
        return 0
    from nlp_rnn.launch import launch

    launch(arguments)
    return 0


def _sweep(arguments: list[str]) -> int:
    flags = ("--cfg", "-c", "--info", "-i", "--hydra-help")
    if any(argument.split("=")[0] in flags for argument in arguments):
        from nlp_rnn.launch import launch

        launch(arguments)
        return 0
    from nlp_rnn.config.arguments import with_run_dir
    from nlp_rnn.sweeps.sweep import sweep

    resumes = any(argument.startswith("resume=") for argument in arguments)
    if resumes and any(argument.startswith("output_dir=") for argument in arguments):
        raise ConfigError(
            "A sweep is resumed in its own folder, so output_dir has no effect. Remove output_dir."
        )
    if any(argument.startswith("overwrite=") for argument in arguments):
        raise ConfigError("overwrite replaces a single run. Set another output_dir for the sweep.")
    sweep(
        [
            "sweep." + argument if argument.startswith("resume=") else argument
            for argument in with_run_dir(arguments, "hydra.sweep.dir")
        ]
    )
    return 0


def _is_worker() -> bool:
    """Return whether torchrun started this process to follow another one, which has the options."""
    return "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("RANK", "0") != "0"
