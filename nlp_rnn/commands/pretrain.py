"""Command `nlp-rnn pretrain`: pretrain language models, or resume a pretraining."""

import re
from datetime import datetime
from pathlib import Path

from nlp_rnn.commands.argument_parser import run_to_resume
from nlp_rnn.errors import ConfigError

__all__ = ["HELP", "pretrain"]

HELP = """\
Train language models on the texts of the training split, for a classifier to start from.

  nlp-rnn pretrain data=files data.path=reviews.csv data.text=review data.label=stars
  nlp-rnn pretrain data=imdb data.unlabelled=more.parquet model=lstm model.hidden_size=256
  nlp-rnn pretrain resume=RUN_FOLDER               resume an interrupted pretraining
  nlp-rnn train model.pretrained=RUN_FOLDER data=… model=…

Options: data, tokenizer and model with the keys that shape the embedding and the encoder,
pretraining.…, trainer.device, trainer.threads, trainer.precision, tracking.…, and
output_dir=FOLDER for the run folder.
nlp-rnn train experiment=pretrained data=… pretrains and trains, one after the other.
"""

GROUPS = ("data", "tokenizer", "pretraining", "tracking")
CHOICES = (*GROUPS, "model", "experiment")
KEYS = (
    "model.embedding_size model.hidden_size model.num_layers model.bidirectional "
    "model.recurrent_init model.forget_bias trainer.device trainer.threads "
    "trainer.precision"
).split()
RUN_DIR = "hydra.run.dir"


def pretrain(arguments: list[str]) -> int:
    """Run the command and return the exit code."""
    resumed = run_to_resume(arguments)
    if resumed is not None:
        from nlp_rnn.pretraining.pipeline import resume

        resume(resumed)
        return 0
    from nlp_rnn.config.arguments import with_run_dir, without_overwrite

    arguments, overwrite = without_overwrite(arguments)
    arguments = with_run_dir(arguments, RUN_DIR)
    for argument in arguments:
        _check(argument)
    from nlp_rnn.config.compose import compose
    from nlp_rnn.config.pretraining import AUTO
    from nlp_rnn.pretraining.pipeline import pretrain as run
    from nlp_rnn.runs.run_folder import check_unused

    overrides = [argument for argument in arguments if not argument.startswith(RUN_DIR)]
    config = compose([*overrides, f"model.pretrained={AUTO}"])
    folders = [value for key, _, value in (a.partition("=") for a in arguments) if key == RUN_DIR]
    now = datetime.now()
    name = f"{now:%H-%M-%S-%f}-pretraining-{config.data.name}-{config.model.name}"
    folder = Path(folders[-1]) if folders else Path("outputs") / f"{now:%Y-%m-%d}" / name
    folder = folder.expanduser().absolute()
    if not overwrite:
        check_unused(folder, "pretrain")
    run(config, folder, arguments)
    return 0


def _check(argument: str) -> None:
    if argument in ("-m", "--multirun") or argument.startswith("sweep="):
        raise ConfigError(
            "A pretraining is one run. To pretrain for each cell of a sweep, run nlp-rnn train -m "
            "experiment=pretrained model=lstm,gru"
        )
    if argument in ("model=ngrams", "model=average"):
        raise ConfigError(
            f"{argument} has no recurrent network that could be pretrained.\n"
            "Set model=gru, model=lstm or model=rnn."
        )
    key = re.sub(r"^\+*", "", argument).partition("=")[0]
    if key in (*CHOICES, *KEYS, RUN_DIR) or key.startswith(tuple(f"{g}." for g in GROUPS)):
        return
    raise ConfigError(
        f"{argument} has no effect on a pretraining, whose options are {', '.join(CHOICES)}, "
        f"{', '.join(f'{group}.…' for group in GROUPS)}, {', '.join(KEYS)} and output_dir.\n"
        "nlp-rnn pretrain --help shows examples."
    )
