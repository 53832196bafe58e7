"""The words of `nlp-rnn pretrain` become a pretraining, or one that goes on."""

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
  nlp-rnn pretrain resume=RUN_FOLDER               go on with one that was interrupted
  nlp-rnn train model.pretrained=RUN_FOLDER data=… model=…

Takes data, tokenizer and model with the keys that shape embedding and encoder, pretraining.…,
trainer.device, threads and precision, tracking.…, and hydra.run.dir=FOLDER for the run folder.
nlp-rnn train experiment=pretrained data=… does both, one after the other.
"""

GROUPS = ("data", "tokenizer", "pretraining", "tracking")
CHOICES = (*GROUPS, "model", "experiment")
KEYS = (
    "model.embedding_size model.hidden_size model.num_layers model.bidirectional "
    "model.recurrent_init model.forget_bias trainer.device trainer.threads "
    "trainer.precision"
).split()
FOLDER = "hydra.run.dir"


def pretrain(words: list[str]) -> int:
    """Run the command."""
    resumed = run_to_resume(words)
    if resumed is not None:
        from nlp_rnn.pretraining.pipeline import resume

        resume(resumed)
        return 0
    for word in words:
        _check_word(word)
    from nlp_rnn.config.pretraining import AUTO
    from nlp_rnn.launch import compose
    from nlp_rnn.pretraining.pipeline import pretrain as run

    own = [word for word in words if not word.startswith(FOLDER)]
    config = compose([*own, f"model.pretrained={AUTO}"])
    folders = [word.partition("=")[2] for word in words if word.startswith(f"{FOLDER}=")]
    now = datetime.now()
    name = f"{now:%H-%M-%S-%f}-pretraining-{config.data.name}-{config.model.name}"
    folder = Path(folders[-1]) if folders else Path("outputs") / f"{now:%Y-%m-%d}" / name
    run(config, folder.expanduser().absolute(), words)
    return 0


def _check_word(word: str) -> None:
    if word in ("-m", "--multirun") or word.startswith("sweep="):
        raise ConfigError(
            "A pretraining is one run. For one for each cell of a sweep type nlp-rnn train -m "
            "experiment=pretrained model=lstm,gru"
        )
    key = re.sub(r"^\+*", "", word).partition("=")[0]
    if key in (*CHOICES, *KEYS, FOLDER) or key.startswith(tuple(f"{g}." for g in GROUPS)):
        return
    raise ConfigError(
        f"{word} has no effect on a pretraining, which takes {', '.join(CHOICES)}, "
        f"{', '.join(f'{group}.…' for group in GROUPS)}, {', '.join(KEYS)} and {FOLDER}.\n"
        "nlp-rnn pretrain --help shows examples."
    )
