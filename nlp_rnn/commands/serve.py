"""The command `nlp-rnn serve`: an HTTP service for saved classifiers, with a page to try them."""

import os
import re
from pathlib import Path

from nlp_rnn.commands.argument_parser import choice, number, parse_arguments
from nlp_rnn.errors import ConfigError

__all__ = ["HELP", "serve"]

HELP = """\
Serve classifiers over HTTP. Open the address in a browser to try them; its page /docs describes
the requests.

  nlp-rnn serve outputs/2026-01-31/12-00-00-gru/classifier
  nlp-rnn serve gru=GRU/classifier lstm=LSTM/classifier --workers 2
  curl localhost:8000/predict --json '{"texts": ["Warm, quick and on time."]}'

  CLASSIFIER             classifier folder, run folder, id of a run or sweep, or MLflow URI;
                         NAME=CLASSIFIER sets the name of each of several
  --host ADDRESS         address to listen on, default 127.0.0.1: this machine only
  --port N               default 8000; 0 means a free port
  --workers N            processes that share the port, default 1
  --runtime NAME         onnx (default) or int8
  --token-file FILE      accepted bearer tokens, one per line; default: requests need no token
  --allowed-hosts NAMES  accepted names in the header Host, separated by commas; default: those of
                         this machine with --host 127.0.0.1 and without a token, else all
  --max-body BYTES       largest body of a request, default 4194304
  --max-texts N          largest number of texts in a request, default 2000
  --max-characters N     largest number of characters in a text, default 100000
  --queue N              largest number of texts that wait in a process, default 4000
  --timeout SECONDS      time limit for a request to arrive, and for its prediction, default 30
  --grace SECONDS        time limit for accepted requests to finish after SIGTERM, default 30
  --follow SECONDS       interval between checks of models:/NAME@ALIAS, default 30
  --access-log           log each request, without its texts
  --log-texts            log the texts of /predict and /invocations with their predictions

Install it with: pip install 'nlp_rnn[serve]'
"""

OPTIONS = (
    "--host", "--port", "--workers", "--runtime", "--token-file", "--allowed-hosts", "--max-body",
    "--max-texts", "--max-characters", "--queue", "--timeout", "--grace", "--follow",
)  # fmt: skip
NAME = re.compile(r"([A-Za-z0-9_.-]+)=(.+)", re.DOTALL)


def serve(arguments: list[str]) -> int:
    """Run `nlp-rnn serve` with the arguments after its name; return the exit code."""
    parsed = parse_arguments("serve", arguments, OPTIONS, ("--access-log", "--log-texts"))
    if not parsed.positional:
        raise ConfigError(
            "serve needs a classifier.\nRun nlp-rnn serve FOLDER_OR_URI, or nlp-rnn serve --help."
        )
    locations = _named(parsed.positional)
    # before numpy is imported: the processes share the cores, so one thread each is fastest
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from nlp_rnn.classifier.location import find_classifier
    from nlp_rnn.serving.options import LOOPBACK, ServingOptions

    default = ServingOptions()

    def whole(name: str, default: int, low: int, high: int) -> int:
        value = number(parsed, name, low, high, whole=True)
        return default if value is None else int(value)

    def seconds(name: str, default: float) -> float:
        value = number(parsed, name, 0.1, 86_400, whole=False)
        return default if value is None else value

    host = parsed.options.get("--host", default.host)
    tokens: tuple[str, ...] = ()
    if "--token-file" in parsed.options:
        tokens = _tokens(Path(parsed.options["--token-file"]))
    hosts = _hosts(parsed.options.get("--allowed-hosts"))
    if not hosts and not tokens and host in LOOPBACK:
        # a page of another site could otherwise read predictions under a name of its own
        hosts = ("127.0.0.1", "localhost", "[::1]")
    options = ServingOptions(
        host=host,
        port=whole("--port", default.port, 0, 65535),
        workers=whole("--workers", default.workers, 1, 1024),
        runtime=choice(parsed, "--runtime", ("onnx", "int8"), default.runtime),
        tokens=tokens,
        allowed_hosts=hosts,
        max_body=whole("--max-body", default.max_body, 1024, 1 << 30),
        max_texts=whole("--max-texts", default.max_texts, 1, 1_000_000),
        max_characters=whole("--max-characters", default.max_characters, 1, 1 << 30),
        queue=whole("--queue", default.queue, 1, 10_000_000),
        timeout=seconds("--timeout", default.timeout),
        grace=seconds("--grace", default.grace),
        follow=seconds("--follow", default.follow),
        access_log="--access-log" in parsed.flags,
        log_texts="--log-texts" in parsed.flags,
    )
    if options.queue < options.max_texts:
        raise ConfigError(
            f"--queue {options.queue} is smaller than --max-texts {options.max_texts}, so a "
            "request with that many texts could never wait.\nSet --queue or --max-texts."
        )
    from nlp_rnn.serving.served_classifier import ClassifierSource

    _check_installed()
    from nlp_rnn.serving.supervisor import serve as run

    sources = [ClassifierSource(name, find_classifier(one)) for name, one in locations.items()]
    return run(options, sources)


def _named(arguments: list[str]) -> dict[str, str]:
    """Return the locations of the classifiers by name."""
    locations: dict[str, str] = {}
    for argument in arguments:
        match = None if Path(argument).exists() else NAME.fullmatch(argument)
        name, location = match.groups() if match else (_name(argument), argument)
        if name in locations:
            raise ConfigError(
                f"Two classifiers have the name {name}.\nSet their names: "
                f"first={locations[name]} second={location}"
            )
        locations[name] = location
    return locations


def _name(location: str) -> str:
    """Return a name from the last part of a path or URI, without `classifier`."""
    parts = [part for part in re.split(r"[/\\@:]", location) if part not in ("", ".", "classifier")]
    if location.startswith("models:") and len(parts) > 1:
        parts = parts[:2]
    return re.sub(r"[^A-Za-z0-9_.-]", "_", parts[-1]) if parts else "classifier"


def _hosts(value: str | None) -> tuple[str, ...]:
    """Return the names in the value of `--allowed-hosts`."""
    if value is None:
        return ()
    hosts = tuple(name for part in value.lower().split(",") if (name := part.strip()))
    if not hosts:
        raise ConfigError(
            f"--allowed-hosts is {value!r}, which has no name.\nSet names separated by commas, "
            "for example --allowed-hosts example.org,localhost"
        )
    return hosts


def _tokens(path: Path) -> tuple[str, ...]:
    """Return the tokens in a file."""
    try:
        lines = path.read_text(encoding="ascii").split("\n")
    except OSError as error:
        raise ConfigError(
            f"--token-file {path} cannot be read: {error.strerror}.\nWrite a token to it, for "
            f"example with: openssl rand -hex 32 > {path}"
        ) from None
    except UnicodeDecodeError:
        raise ConfigError(f"--token-file {path} is not ASCII text.") from None
    tokens = tuple(line.strip() for line in lines if line.strip())
    if not tokens or any(" " in token for token in tokens):
        fault = "a token that contains a space" if tokens else "no token"
        raise ConfigError(
            f"--token-file {path} has {fault}.\n"
            "Write one token per line, for example with: openssl rand -hex 32"
        )
    return tokens


def _check_installed() -> None:
    """Raise an error if the extra `serve` is not installed."""
    from importlib.util import find_spec

    libraries = ("starlette", "uvicorn", "httptools", "uvloop", "websockets", "prometheus_client")
    missing = [library for library in libraries if find_spec(library) is None]
    if missing:
        raise ConfigError(
            f"serve needs {', '.join(missing)}, which is not installed.\n"
            "Run pip install 'nlp_rnn[serve]'"
        )
