"""The classifier of a run: its trained network, saved alone or together with n-gram models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.classifier.predictor import TextClassifier
from nlp_rnn.config.defaults import MAX_NGRAM_LABELS
from nlp_rnn.config.model import Ensemble
from nlp_rnn.runs.console import announced, print_lines
from nlp_rnn.runs.ngram_ensemble import ensemble_metrics, fit_ensemble, unseen_classifier

if TYPE_CHECKING:
    from nlp_rnn.config.run import RunConfig
    from nlp_rnn.data.corpus import Corpus
    from nlp_rnn.model.network import TextNetwork
    from nlp_rnn.teachers.student_data import StudentData
    from nlp_rnn.tracking.tracked_run import TrackedRun

__all__ = ["TrainedClassifier"]


@dataclass(frozen=True)
class TrainedClassifier:
    """A trained network with everything that its classifier folder holds.

    Attributes
    ----------
    network : TextNetwork
        The trained network.
    tokenizer_json : str
        Its tokenizer.
    corpus : Corpus
        The labelled data that it was trained on.
    thresholds : sequence of float
        Multi-label only: the probability from which a text has each label; else empty.
    provenance : mapping
        Origin of the classifier, for its `config.json`.
    student : StudentData, optional
        The training data of a student.
    """

    network: "TextNetwork"
    tokenizer_json: str
    corpus: "Corpus"
    thresholds: Sequence[float]
    provenance: Mapping[str, Any]
    student: "StudentData | None" = None

    def save(
        self,
        folder: Path,
        config: "RunConfig",
        resolved: "RunConfig",
        metrics: Mapping[str, float],
        run: "TrackedRun",
    ) -> "tuple[dict[str, float], TextClassifier | None]":
        """Save the network; with `model.ensemble`, fit n-gram models and save the ensemble.

        The network is saved before the n-gram models are fitted, so it is not lost if that fails.

        Parameters
        ----------
        folder : Path
            The classifier folder.
        config, resolved : RunConfig
            The configuration as requested, and with its open options resolved.
        metrics : mapping of str to float
            Metrics of the training of the network.
        run : TrackedRun
            The MLflow run.

        Returns
        -------
        metrics : dict of str to float
            Those that the ensemble adds or changes.
        unseen : TextClassifier or None
            A classifier whose n-gram models have not seen the validation split; None without
            n-gram models.
        """
        self._write(folder, self.thresholds, self.provenance)
        if resolved.network.ensemble is not Ensemble.on:
            if (
                config.network.ensemble is Ensemble.auto
                and len(self.corpus.labels) > MAX_NGRAM_LABELS
            ):
                print_lines(
                    [f"ensemble: no n-gram models, which have {MAX_NGRAM_LABELS:,} labels at most"]
                )
            return {}, None
        threads = resolved.trainer.threads
        with announced("Fitting the n-gram models"):
            network = TextClassifier.load(folder, threads)
            ensemble = fit_ensemble(network, self.corpus, config, self.student)
        print_lines([ensemble.summary])
        run.set_tags({"ensemble": ensemble.summary})
        added = ensemble_metrics(ensemble, metrics)
        if not ensemble.weights.ngrams:
            return added, None
        self._write(
            folder,
            ensemble.thresholds,
            {**self.provenance, **ensemble.provenance},
            ngrams=ensemble.models.table(ensemble.weights.ngrams),
            network_weight=ensemble.weights.network,
        )
        return added, unseen_classifier(folder, ensemble, threads)

    def _write(
        self,
        folder: Path,
        thresholds: Sequence[float],
        provenance: Mapping[str, Any],
        **ngrams: Any,
    ) -> None:
        from nlp_rnn.classifier.classifier_saving import save_classifier

        state = self.network.state_dict()
        save_classifier(
            folder,
            architecture=self.network.architecture,
            state={name: tensor.cpu().numpy() for name, tensor in state.items()},
            tokenizer_json=self.tokenizer_json,
            labels=self.corpus.labels,
            thresholds=thresholds or None,
            separator=self.corpus.separator,
            text_hashes=(self.student.corpus if self.student else self.corpus).hashes,
            provenance=provenance,
            **ngrams,
        )
