"""Network of a text classifier: embedding, recurrent encoder, pooling and linear head.

Tensors have the sizes B texts, T tokens, E embedding features, D features of the encoder's states,
P features after pooling, and C labels.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from nlp_rnn.config.defaults import default_embedding_dropout
from nlp_rnn.config.model import GatedConfig, NetworkConfig, RecurrentConfig, RecurrentInit
from nlp_rnn.layers.cells import AVERAGE
from nlp_rnn.layers.pooling_modules import DirectionPooling
from nlp_rnn.layers.poolings import POOLINGS
from nlp_rnn.model.architecture import Architecture
from nlp_rnn.model.dropout import drop_features, dropped_weights
from nlp_rnn.model.embedding_vectors import prepare_freezing
from nlp_rnn.model.encoder import RecurrentEncoder
from nlp_rnn.model.language_model import POSITIONS, LanguageModel
from nlp_rnn.model.normalized_embedding import NormalizedEmbedding
from nlp_rnn.tokens.tokenizer import PAD_ID, UNKNOWN_ID

__all__ = ["Dropouts", "TextNetwork", "architecture_of", "make_network"]

EMBEDDING_SD = 0.3
"""Standard deviation of the initial embeddings."""


@dataclass(frozen=True)
class Dropouts:
    """Dropout probabilities, which apply in training only.

    "For a whole text" means variational dropout: the same mask at every step (Gal & Ghahramani
    2016, arXiv:1512.05287).

    Parameters
    ----------
    word : float
        Probability that a token is replaced by the unknown token.
    embedding : float
        Probability that a feature of the embedding is zeroed for a whole text.
    layer : float
        Dropout between recurrent layers with a new mask at every step, as in `torch.nn.LSTM`.
    variational : float
        Probability that a feature of the states between recurrent layers is zeroed for a whole
        text.
    output : float
        Probability that a feature of the last layer's states is zeroed for a whole text.
    recurrent : float
        Probability that a weight of a recurrent matrix is zeroed for a whole batch (weight drop).
    head : float
        Dropout of the pooled vector, before the last linear layer.
    """

    word: float = 0.0
    embedding: float = 0.0
    layer: float = 0.0
    variational: float = 0.0
    output: float = 0.0
    recurrent: float = 0.0
    head: float = 0.0


class TextNetwork(nn.Module):
    """Recurrent text classifier, or a classifier without recurrence if the cell is `average`.

    Guarantee: padding, the other texts of a batch and the batch size change no logit beyond
    rounding.

    Parameters
    ----------
    architecture : Architecture
        Cell, pooling and sizes of the network.
    dropouts : Dropouts or None
        Dropout probabilities; None means no dropout.
    """

    def __init__(self, architecture: Architecture, dropouts: Dropouts | None = None) -> None:
        super().__init__()
        self.architecture = architecture
        self.dropouts = dropouts or Dropouts()
        self.embedding = nn.Embedding(architecture.vocab_size, architecture.embedding_size)
        self.encoder = (
            None
            if architecture.cell == AVERAGE
            else RecurrentEncoder(architecture, self.dropouts.layer, self.dropouts.variational)
        )
        self.pooling = POOLINGS[architecture.pooling].module(
            architecture.output_size, architecture.bidirectional
        )
        self.head = nn.Linear(architecture.pooled_size, architecture.num_labels)
        # present in training only, and not part of the classifier
        self.language_model: LanguageModel | None = None

    def add_language_model(self, seed: int, positions: int = POSITIONS) -> None:
        """Add a language model, an auxiliary training objective on the encoder's states.

        Parameters
        ----------
        seed : int
            Seed of the language model's initial parameters.
        positions : int
            Maximum number of pairs of neighbouring tokens in a batch that are predicted.
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed + 1)  # other draws than those of the embedding
            self.language_model = LanguageModel(self.architecture, positions)

    def finish_training(self) -> None:
        """Remove what only training needs: the language model, and a normalized embedding.

        The normalization of the embedding is folded into its weights, so no prediction changes.
        """
        self.language_model = None
        if isinstance(self.embedding, NormalizedEmbedding):
            self.embedding = self.embedding.folded()

    def forward(
        self,
        input_ids: Tensor,
        lengths: Tensor,
        prefixes: Tensor | None = None,
        vocabulary: Tensor | None = None,
        perturbation: Tensor | None = None,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Return the logits of a batch; with `vocabulary` also the language-model loss.

        Parameters
        ----------
        input_ids, lengths : Tensor
            Right-padded token ids int64 (B, T), and lengths int64 (B,), each in 1..T.
        prefixes : Tensor or None
            Prefix lengths int64 (B,), each in 1..length. If set, the logits of these prefixes are
            computed from the same states. A bidirectional network does not support this, because
            its states depend on the rest of the text.
        vocabulary : Tensor or None
            Ids of the U tokens that occur in the batch, int64 (U,), ascending. If set, the loss of
            the language model is computed, whose softmax is over these tokens.
        perturbation : Tensor or None
            Perturbation (T, B, E) for adversarial training, added to the embeddings after dropout.

        Returns
        -------
        logits : float32 (B, C)
            With `prefixes`, (2B, C): the logits of the texts, then those of the prefixes.
        loss : scalar
            Mean cross-entropy of the language model in nats; only with `vocabulary`.
        """
        tokens = input_ids.t()
        steps = self.embed(tokens)  # (T, B, E)
        if perturbation is not None:
            steps = steps + perturbation
        direction_pooling = None
        if self.encoder is not None:
            if prefixes is None and vocabulary is None:
                direction_pooling = self._direction_pooling()
            steps = self.encode(
                self.encoder, steps, lengths, direction_pooling
            )  # (T, B, D), or pooled
        pooled = steps if direction_pooling is not None else self.pooling(steps, lengths)  # (B, P)
        if prefixes is not None:
            pooled = torch.cat([pooled, self.pooling(steps, prefixes)])  # (2B, P)
        pooled = nn.functional.dropout(pooled, self.dropouts.head, self.training)
        logits: Tensor = self.head(pooled).float()
        if vocabulary is None:
            return logits
        assert self.language_model is not None
        loss: Tensor = self.language_model(steps, tokens, lengths, vocabulary, self.embedding)
        return logits, loss

    def embed(self, tokens: Tensor) -> Tensor:
        """Return embeddings (T, B, E) of `tokens` int64 (T, B), with dropout in training."""
        word, embedding = self.dropouts.word, self.dropouts.embedding
        if self.training and word > 0:
            dropped = torch.rand(tokens.shape, device=tokens.device) < word
            tokens = tokens.masked_fill(dropped, UNKNOWN_ID)
        steps: Tensor = self.embedding(tokens)
        if self.training and embedding > 0:
            steps = drop_features(steps, embedding)
        return steps

    def _direction_pooling(self) -> DirectionPooling | None:
        """Return the pooling if the encoder can apply it to each direction separately, else None.

        It cannot if a dropout of the output comes between encoder and pooling.
        """
        dropped = self.training and self.dropouts.output > 0
        return self.pooling if isinstance(self.pooling, DirectionPooling) and not dropped else None

    def encode(
        self,
        encoder: RecurrentEncoder,
        steps: Tensor,
        lengths: Tensor,
        pooling: DirectionPooling | None = None,
    ) -> Tensor:
        """Return the encoder's states (T, B, D), with dropout in training.

        Parameters
        ----------
        encoder : RecurrentEncoder
            The encoder.
        steps : Tensor
            Embeddings (T, B, E).
        lengths : Tensor
            Lengths of the texts, int64 (B,).
        pooling : DirectionPooling or None
            Pooling that the encoder applies to each direction; the result is then (B, P).
        """
        output, recurrent = self.dropouts.output, self.dropouts.recurrent
        if self.training and recurrent > 0:
            weights = dropped_weights(encoder.rnn, recurrent)
            states: Tensor = functional_call(
                encoder,
                {f"rnn.{name}": weight for name, weight in weights.items()},
                (steps, lengths, pooling),
            )
        else:
            states = encoder(steps, lengths, pooling)
        dropped = pooling is None and self.training and output > 0
        return drop_features(states, output) if dropped else states


def architecture_of(config: NetworkConfig, vocab_size: int, num_labels: int) -> Architecture:
    """Return the architecture of a configured model for a vocabulary size and number of labels."""
    recurrent = config if isinstance(config, RecurrentConfig) else None
    return Architecture(
        cell=config.cell,
        vocab_size=vocab_size,
        num_labels=num_labels,
        embedding_size=config.embedding_size,
        hidden_size=recurrent.hidden_size if recurrent else 0,
        num_layers=recurrent.num_layers if recurrent else 0,
        bidirectional=recurrent.bidirectional if recurrent else False,
        pooling=config.pooling,
    )


def make_network(config: NetworkConfig, vocab_size: int, num_labels: int, seed: int) -> TextNetwork:
    """Return a network with random initial parameters, which are determined by the seed.

    Embeddings are normal with standard deviation `EMBEDDING_SD`, and 0 for padding. Head and
    pooling are initialized as in torch.
    """
    architecture = architecture_of(config, vocab_size, num_labels)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = TextNetwork(architecture, _dropouts(config, num_labels))
        nn.init.normal_(network.embedding.weight, std=EMBEDDING_SD)
        with torch.no_grad():
            network.embedding.weight[PAD_ID] = 0.0
        if network.encoder is not None and isinstance(config, RecurrentConfig):
            network.encoder.initialize(
                orthogonal=config.recurrent_init is RecurrentInit.orthogonal,
                forget_bias=config.forget_bias if isinstance(config, GatedConfig) else None,
            )
    if config.freeze_vectors:
        prepare_freezing(network.embedding)
    return network


def _dropouts(config: NetworkConfig, num_labels: int) -> Dropouts:
    """Return the dropouts of a configured model; those of the encoder are 0 without recurrence."""
    embedding_dropout = config.embedding_dropout
    if embedding_dropout is None:
        embedding_dropout = default_embedding_dropout(num_labels)
    dropouts = Dropouts(
        config.word_dropout,
        embedding_dropout,
        head=config.head_dropout,
    )
    if not isinstance(config, RecurrentConfig):
        return dropouts
    return replace(
        dropouts,
        layer=config.dropout,
        variational=config.variational_dropout,
        output=config.output_dropout,
        recurrent=config.weight_drop,
    )
