"""Vectors of a run: checked before the data is read, and described where they were used."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlp_rnn.config.model import ModelConfig, NetworkConfig, NgramsConfig
from nlp_rnn.errors import ConfigError
from nlp_rnn.runs.console import announced, print_lines

if TYPE_CHECKING:
    from nlp_rnn.tokens.static_vectors import StaticVectors

__all__ = ["check_vectors", "static_vectors", "vectors_provenance"]


def check_vectors(model: ModelConfig) -> None:
    """Check `model.vectors`; compute the vectors of a sentence encoder if they are not cached.

    Raises
    ------
    ConfigError
        There is no such file, folder or repository, or its vectors have another size.
    DataError
        It does not contain vectors, or is damaged.
    """
    from nlp_rnn.tokens.static_vectors import is_static
    from nlp_rnn.tokens.word_vector_files import open_vector_file

    vectors = _option(model)
    if vectors is None:
        return
    if is_static(vectors):
        with announced(f"Reading the vectors of {vectors}"):
            static = static_vectors(model)
        assert static is not None
        print_lines([static.summary])
    elif isinstance(model, NetworkConfig):
        open_vector_file(Path(vectors), model.embedding_size)
    elif Path(vectors).exists():
        raise ConfigError(
            f"model.vectors={vectors} is a file of word vectors, which initializes the embedding "
            "of a network and has no effect with model=ngrams.\nSet model.vectors to the folder "
            "of a static embedding model or a sentence encoder, or set model=gru."
        )
    else:
        raise ConfigError(
            f"There is no folder {vectors}.\nSet model.vectors to the folder or hub name of a "
            "static embedding model or a sentence encoder, or remove it."
        )


def static_vectors(model: ModelConfig) -> "StaticVectors | None":
    """Return the static embedding model of a configuration; None without one."""
    from nlp_rnn.tokens.static_vectors import is_static, load_static_vectors

    vectors = _option(model)
    return None if vectors is None or not is_static(vectors) else load_static_vectors(vectors)


def vectors_provenance(model: ModelConfig) -> dict[str, Any]:
    """Return source, licence and digest of the static embedding model, for a saved classifier."""
    if (vectors := static_vectors(model)) is None:
        return {}
    return {
        "vectors": {
            "source": vectors.source,
            "kind": vectors.kind,
            "licence": vectors.licence,
            "digest": vectors.digest,
        }
    }


def _option(model: ModelConfig) -> str | None:
    return model.vectors if isinstance(model, NetworkConfig | NgramsConfig) else None
