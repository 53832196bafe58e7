"""Streams of a saved classifier: texts that are processed while they arrive."""

from dataclasses import replace
from functools import cached_property

from nlp_rnn.classifier.label_choice import check_options
from nlp_rnn.classifier.probability_predictor import ProbabilityPredictor
from nlp_rnn.classifier.recurrent_step import StepNetwork
from nlp_rnn.classifier.stream import TextStream
from nlp_rnn.classifier.stream_context import StreamContext
from nlp_rnn.classifier.stream_pool import StreamPool
from nlp_rnn.classifier.weights import unpack_weights
from nlp_rnn.errors import ClassifierError

__all__ = ["StreamPredictor"]


class StreamPredictor(ProbabilityPredictor):
    """Saved classifier that can process texts while they arrive; base of `TextClassifier`."""

    @property
    def can_stream(self) -> bool:
        """Whether there is a network, and it reads texts from left to right only."""
        return self._network is not None and self._network.can_stream

    def stream(
        self,
        *,
        threshold: float | None = None,
        state: str | None = None,
        network_only: bool = False,
    ) -> TextStream:
        """Process one text while it arrives, with probabilities after every token.

        Parameters
        ----------
        threshold : float in (0, 1], optional
            Stop at the first token after which the probability of a label reaches it.
        state : str, optional
            Result of `TextStream.to_json`; the new stream continues from there.
        network_only : bool, default False
            Leave out the n-gram models of an ensemble.

        Returns
        -------
        TextStream
            The stream.

        Raises
        ------
        ClassifierError
            The network is bidirectional, or there is none; `threshold` is no probability or the
            classifier is multi-label; or `state` is not from a stream of this classifier.

        Examples
        --------
        >>> import nlp_rnn
        >>> stream = nlp_rnn.load("reviews/classifier").stream()
        >>> probabilities = stream.read("Warm, quick ")
        >>> probabilities.shape, stream.label
        ((3, 2), 'positive')
        """
        check_options(None, threshold, len(self.labels))
        if threshold is not None and self.thresholds is not None:
            raise ClassifierError(
                "A multi-label text does not end at its first label, so threshold is not "
                "supported here.\nCall stream() without it and use the stream's probabilities."
            )
        stream = TextStream(self._stream_context(network_only), threshold)
        if state is not None:
            stream.restore(state)
        return stream

    def stream_pool(self, *, network_only: bool = False) -> StreamPool:
        """Process many texts while they arrive, one step of all of them at a time.

        Parameters
        ----------
        network_only : bool, default False
            As in `stream`.

        Returns
        -------
        StreamPool
            The pool, without streams.

        Raises
        ------
        ClassifierError
            As in `stream`.
        """
        return StreamPool(self._stream_context(network_only))

    def _stream_context(self, network_only: bool) -> StreamContext:
        context = self._shared_context
        if not network_only:
            return context
        if context.ngrams is None:
            raise ClassifierError("network_only=True has no effect: there are no n-gram models.")
        return replace(context, ngrams=None)

    @cached_property
    def _shared_context(self) -> StreamContext:
        if self._network is None:
            raise ClassifierError(
                "This classifier has n-gram models and no network, so it cannot stream.\n"
                "Train one that can: nlp-rnn train experiment=streaming"
            )
        if not self._network.can_stream:
            reason = "is bidirectional: it needs the whole text"
            if not self._network.architecture.bidirectional:
                reason = "has n-grams of tokens inside its network (format 3)"
            raise ClassifierError(
                f"This classifier {reason} and cannot stream.\n"
                "Train one that can: nlp-rnn train experiment=streaming"
            )
        weights = unpack_weights(self._network.weights)
        return StreamContext(
            StepNetwork(self._network.architecture, weights),
            self._network.tokenizer.without_truncation,
            self.labels,
            self.config["checksum"],
            self.thresholds,
            self._ngrams,
            self._network_weight,
        )
