"""Labels and logits become the loss that is minimized and the scores that tell how good it is.

Texts with one label each, int64 (n,), are learnt by softmax and cross-entropy; texts with any
number of labels, bool (n, C), by a sigmoid and a binary cross-entropy for each of them, added up:
what the text's labels cost together, as one label does. A mean over the labels would leave next to
nothing beside the other parts of the loss.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from nlp_rnn.config.training import ClassWeight, Monitor, TrainerConfig
from nlp_rnn.errors import ConfigError

__all__ = ["Objective", "balanced_weights", "check_task"]

LABEL_SMOOTHING = 0.1
MOST_POSITIVE_WEIGHT = 100.0
"""No label weighs more, or one text with it would be worth thousands without."""

ONLY_SINGLE = (Monitor.accuracy,)
ONLY_SEVERAL = (Monitor.micro_f1, Monitor.subset_accuracy)

Labels = NDArray[np.int64] | NDArray[np.bool_]


def check_task(config: TrainerConfig, labels: Labels, num_labels: int) -> None:
    """Refuse what could have no effect, or has no sense, for these training labels.

    Raises:
        ConfigError: an option of `config` is for labels of the other kind, or balances what is.
    """
    several = labels.ndim == 2
    wrong = ONLY_SINGLE if several else ONLY_SEVERAL
    if config.monitor in wrong:
        kind, better = ("several labels", "micro_f1, macro_f1, subset_accuracy")
        if not several:
            kind, better = ("one label", "macro_f1, accuracy")
        raise ConfigError(
            f"trainer.monitor={config.monitor.name} is not measured where a text has {kind}. "
            f"Type trainer.monitor={better} or loss."
        )
    if config.class_weight is ClassWeight.balanced:
        weights = balanced_weights(labels, num_labels)
        if np.ptp(weights[weights > 0]) == 0 and (not several or weights[0] == 1):
            raise ConfigError(
                "trainer.class_weight=balanced would do nothing: "
                + (
                    "every label is on half of the training texts."
                    if several
                    else "all classes have as many training rows."
                )
                + " Leave it out."
            )


def balanced_weights(labels: Labels, num_labels: int) -> NDArray[np.float32]:
    """What each label weighs so that all weigh alike, float32 (C,).

    Of C classes with n texts in all, n / (C · n_c), as in scikit-learn; 0 for one without texts.
    Where a text may have several labels, the weight of a text that has label c against one that
    has not: (n - n_c) / n_c, at most `MOST_POSITIVE_WEIGHT`; 1 for one that no or every text has.
    """
    total = len(labels)
    if labels.ndim == 1:
        counts = np.bincount(labels, minlength=num_labels)
        present = np.count_nonzero(counts)
        weights = np.divide(total, present * counts, out=np.zeros(num_labels), where=counts > 0)
        found: NDArray[np.float32] = weights.astype(np.float32)
        return found
    counts = labels.sum(axis=0)
    both = (counts > 0) & (counts < total)
    weights = np.divide(total - counts, counts, out=np.ones(num_labels), where=both)
    found = np.minimum(weights, MOST_POSITIVE_WEIGHT).astype(np.float32)
    return found


class Objective:
    """What a training minimizes and monitors, for labels of either kind.

    Attributes:
        monitor: the metric of validation that decides which weights are best.
        smoothing: what cross-entropy takes from the true label (Szegedy et al. 2016,
            arXiv:1512.00567) and gives to all alike; of a label that is there or not, half of it
            goes to the other answer.
    """

    def __init__(self, config: TrainerConfig, labels: Labels | None = None) -> None:
        """Of the training `labels`; without them as for one label a text, and unweighted."""
        several = labels is not None and labels.ndim == 2
        self._labels = labels if config.class_weight is ClassWeight.balanced else None
        self._weights: Tensor | None = None
        self.monitor = config.monitor.name
        if config.monitor is Monitor.auto:
            self.monitor = "micro_f1" if several else "macro_f1"
        self.smoothing = config.label_smoothing
        if self.smoothing is None:
            self.smoothing = 0.0 if several else LABEL_SMOOTHING

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The mean over the texts, a scalar; `logits` (B, C), `labels` int64 (B,) or bool (B, C).

        Weighted, it is still a mean over texts: balanced weights are 1 on average over train.
        """
        if self._labels is not None and self._weights is None:
            weights = balanced_weights(self._labels, logits.shape[1])
            self._weights = torch.from_numpy(weights).to(logits.device)
        assert self.smoothing is not None
        if labels.ndim == 1:
            if self._weights is None:
                return nn.functional.cross_entropy(logits, labels, label_smoothing=self.smoothing)
            losses = nn.functional.cross_entropy(
                logits.float(),
                labels,
                weight=self._weights,
                reduction="none",
                label_smoothing=self.smoothing,
            )
            # torch's own mean divides by the batch's weights, so that a batch of rare classes
            # would count for no more than another
            return losses.mean()
        targets = labels.float() * (1 - self.smoothing) + self.smoothing / 2
        losses = nn.functional.binary_cross_entropy_with_logits(
            logits.float(), targets, pos_weight=self._weights, reduction="none"
        )
        return losses.sum(1).mean()
