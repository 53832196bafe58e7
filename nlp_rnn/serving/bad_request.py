"""Error of a request, with the HTTP status and the message that the client receives."""

from http import HTTPStatus

__all__ = ["FAILED", "RequestError"]

FAILED = "The service failed. See its log for details."
"""Message of status 500: details could quote a text or a path of this machine."""


class RequestError(Exception):
    """A request that gets an error instead of a prediction.

    Parameters
    ----------
    status : int
        HTTP status.
    message : str
        What is wrong, for the client. It is never logged, because it can quote a text.
    headers : dict of str to str, optional
        More headers of the response.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers or {}

    @property
    def content(self) -> dict[str, str]:
        """Body of the response, in the format of MLflow's server."""
        return {"error_code": HTTPStatus(self.status).name, "message": self.message}
