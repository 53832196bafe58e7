"""Training of the network of a run: processes, progress bar, checkpoints and metrics of epochs."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nlp_rnn.runs.console import print_lines
from nlp_rnn.runs.run_folder import CHECKPOINT
from nlp_rnn.runs.run_logging import log_range_test
from nlp_rnn.runs.worker_processes import processes_of, send_job

if TYPE_CHECKING:
    from nlp_rnn.config.run import RunConfig
    from nlp_rnn.model.network import TextNetwork
    from nlp_rnn.tokens.tokenization import TokenizedCorpus
    from nlp_rnn.tracking.tracked_run import TrackedRun
    from nlp_rnn.training.events import EpochEnd, TrainingResult

__all__ = ["train_network"]

TRAINING = "training.safetensors"


def train_network(
    network: "TextNetwork",
    tokens: "TokenizedCorpus",
    config: "RunConfig",
    resolved: "RunConfig",
    folder: Path,
    run: "TrackedRun",
    on_epoch: "Callable[[EpochEnd], None] | None" = None,
) -> "TrainingResult":
    """Train a network, or resume its training, and remove what only training needs.

    Parameters
    ----------
    network : TextNetwork
        The network with its initial weights, which is trained in place.
    tokens : TokenizedCorpus
        The tokenized texts.
    config, resolved : RunConfig
        The configuration as requested, and with its open options resolved.
    folder : Path
        The run folder, in which the checkpoints are.
    run : TrackedRun
        The MLflow run.
    on_epoch : callable, optional
        Called after every epoch.
    """
    from nlp_rnn.training.progress import TrainingProgress
    from nlp_rnn.training.range_test import try_learning_rates
    from nlp_rnn.training.trainer import Trainer

    labels, checkpoint = network.architecture.num_labels, folder / CHECKPOINT / TRAINING
    with (
        processes_of(resolved) as processes,
        TrainingProgress(resolved.trainer.monitor.name) as progress,
    ):
        send_job(config, resolved, tokens, labels, checkpoint, processes)

        def after_epoch(event: "EpochEnd") -> None:
            progress.on_epoch(event)
            # on disk before the checkpoint that counts this epoch as done
            run.log_metrics(event.metrics, step=event.epoch)
            if on_epoch is not None:
                on_epoch(event)

        trainer = Trainer(
            network,
            resolved.trainer,
            resolved.optimizer,
            seed=resolved.seed,
            on_update=progress.on_update,
            on_epoch=after_epoch,
            checkpoint=checkpoint,
            processes=processes,
        )
        run.set_tags({"device": str(trainer.device), "precision": trainer.precision})
        find_rate = resolved.trainer.find_learning_rate
        if find_rate and processes.first and not trainer.state.updates:
            range_test = try_learning_rates(trainer, tokens.train)
            log_range_test(range_test, folder, run)
            print(
                f"learning rate {range_test.suggestion:.1e} suggested, "
                f"{resolved.optimizer.learning_rate:.1e} used",
                flush=True,
            )
        training = trainer.fit(tokens.train, tokens.validation)
        network.finish_training()
        print_lines(training.notes)
        if trainer.profile is not None:
            run.log_text(trainer.profile.table, "profile.txt")
        return training
