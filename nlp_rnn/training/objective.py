"""Training objective: classification loss, class weights, and the monitored metric.

A single-label task has labels int64 (n,), a softmax and cross-entropy. A multi-label task has
labels bool (n, C), a sigmoid for each label and binary cross-entropy. The losses of a text's labels
are added up, so that one text costs as much as in a single-label task. Their mean would be
negligible next to the other parts of the loss.

In both tasks the labels can be soft targets, float32 (n, C): the probability of each label by a
teacher (Hinton et al. 2015, arXiv:1503.02531). The losses are the same functions: targets of 0 and
1 have the loss of the labels.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nlp_rnn.config.training import ClassWeight, Monitor, TrainerConfig
from nlp_rnn.errors import ConfigError

__all__ = ["Objective", "balanced_weights", "check_task"]

MAX_POSITIVE_WEIGHT = 100.0
"""Maximum weight of a label: one text with a rare label must not outweigh thousands without it."""

ONLY_SINGLE_LABEL = (Monitor.accuracy,)
ONLY_MULTI_LABEL = (Monitor.micro_f1, Monitor.subset_accuracy)

Labels = NDArray[np.int64] | NDArray[np.bool_]
Targets = NDArray[np.float32]


def check_task(config: TrainerConfig, labels: Labels, num_labels: int) -> None:
    """Check that the options of the objective have an effect on these training labels.

    Raises
    ------
    ConfigError
        If `trainer.monitor` is not a metric of this task, or if `trainer.class_weight=balanced` is
        set although the labels are balanced already.
    """
    multi_label = labels.ndim == 2
    unsupported = ONLY_SINGLE_LABEL if multi_label else ONLY_MULTI_LABEL
    if config.monitor in unsupported:
        task = "multi-label" if multi_label else "single-label"
        metrics = "micro_f1, macro_f1, subset_accuracy" if multi_label else "macro_f1, accuracy"
        raise ConfigError(
            f"trainer.monitor={config.monitor.name} is not supported for a {task} task. "
            f"Set trainer.monitor to {metrics} or loss."
        )
    if config.class_weight is ClassWeight.balanced:
        weights = balanced_weights(labels, num_labels)
        if np.ptp(weights[weights > 0]) == 0 and (not multi_label or weights[0] == 1):
            reason = (
                "every label is on half of the training texts"
                if multi_label
                else "all classes have the same number of training texts"
            )
            raise ConfigError(
                f"trainer.class_weight=balanced has no effect: {reason}. Remove the option."
            )


def balanced_weights(
    labels: Labels, num_labels: int, targets: Targets | None = None
) -> NDArray[np.float32]:
    """Return the weight of each label that gives all labels the same influence, float32 (C,).

    Single-label: n / (C · n_c) for n texts, n_c of them with class c, as in scikit-learn; 0 for a
    class without texts. C counts the classes that have texts. Multi-label: (n - n_c) / n_c, the
    weight of a text with label c against one without it, at most `MAX_POSITIVE_WEIGHT`; 1 for a
    label that no text or every text has. With soft targets, n_c is the sum of their probabilities.
    """
    total = len(labels)
    sums = None if targets is None else targets.sum(axis=0, dtype=np.float64)
    if labels.ndim == 1:
        counts = np.bincount(labels, minlength=num_labels) if sums is None else sums
        present = np.count_nonzero(counts)
        weights = np.divide(total, present * counts, out=np.zeros(num_labels), where=counts > 0)
        balanced: NDArray[np.float32] = weights.astype(np.float32)
        return balanced
    counts = labels.sum(axis=0) if sums is None else sums
    both = (counts > 0) & (counts < total)
    weights = np.divide(total - counts, counts, out=np.ones(num_labels), where=both)
    balanced = np.minimum(weights, MAX_POSITIVE_WEIGHT).astype(np.float32)
    return balanced


class Objective:
    """Loss and monitored metric of a single-label or multi-label task.

    Parameters
    ----------
    config : TrainerConfig
        Its `monitor`, `label_smoothing` and `class_weight` are used.
    labels : ndarray, optional
        The training labels. Without them, the task is single-label and has no class weights.
    targets : ndarray, optional
        Soft targets, float32 (n, C), that the loss uses instead of the labels.

    Attributes
    ----------
    monitor : str
        The validation metric that decides which weights are the best.
    smoothing : float
        Label smoothing (Szegedy et al. 2016, arXiv:1512.00567): the probability that is taken from
        the true label and spread over all labels. In a multi-label task, half of it goes to the
        opposite value of each label.
    """

    def __init__(
        self, config: TrainerConfig, labels: Labels | None = None, targets: Targets | None = None
    ) -> None:
        """Compute class weights from the training `labels`; without labels they are equal."""
        self._labels = labels if config.class_weight is ClassWeight.balanced else None
        self._targets = targets
        self._multi_label = labels is not None and labels.ndim == 2
        self._weights: Tensor | None = None
        self.monitor = config.monitor.name
        self.smoothing = config.label_smoothing

    def is_multi_label(self, labels: Tensor) -> bool:
        """Return whether the task is multi-label; `labels` are those of a batch."""
        # the soft targets of both tasks look alike
        return self._multi_label if labels.is_floating_point() else labels.ndim == 2

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Return the mean loss of the texts, a scalar.

        With class weights it is still a mean over texts, because balanced weights have the mean 1
        over the training split.

        Parameters
        ----------
        logits : Tensor
            Float (B, C).
        labels : Tensor
            int64 (B,) for a single-label task, bool (B, C) for a multi-label task; float32 (B, C)
            for soft targets.
        """
        if self._labels is not None and self._weights is None:
            weights = balanced_weights(self._labels, logits.shape[1], self._targets)
            self._weights = torch.from_numpy(weights).to(logits.device)
        assert self.smoothing is not None
        if not self.is_multi_label(labels):
            if self._weights is None and not labels.is_floating_point():
                return nn.functional.cross_entropy(logits, labels, label_smoothing=self.smoothing)
            losses = nn.functional.cross_entropy(
                logits.float(),
                labels,
                weight=self._weights,
                reduction="none",
                label_smoothing=self.smoothing,
            )
            # torch's weighted mean divides by the weights of the batch, which would cancel the
            # larger weight of a batch of rare classes
            return losses.mean()
        targets = labels.float() * (1 - self.smoothing) + self.smoothing / 2
        losses = nn.functional.binary_cross_entropy_with_logits(
            logits.float(), targets, pos_weight=self._weights, reduction="none"
        )
        return losses.sum(1).mean()
