"""The optimizer's groups."""

from nlp_rnn.model.architecture import Architecture
from nlp_rnn.model.network import TextNetwork
from nlp_rnn.training.optim import make_optimizer
from tests.resolved_options import optimizer_options


def test_weight_decay_spares_embeddings_biases_and_nothing_else() -> None:
    network = TextNetwork(Architecture("lstm", 20, 3, 4, 5, 1, True, "attention"))
    optimizer = make_optimizer(network, optimizer_options(weight_decay=0.3))
    decay = {
        id(parameter): group["weight_decay"]
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    names = dict(network.named_parameters())
    assert len(decay) == len(names)
    spared = {name for name, parameter in names.items() if decay[id(parameter)] == 0.0}
    assert spared == {
        name for name in names if "bias" in name or name in ("embedding.weight", "pooling.query")
    }
