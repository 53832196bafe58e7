// Requests to the service. A token is kept for this tab only.

const TOKEN = "nlp_rnn.token";
export class ServiceError extends Error {
  constructor(status, message, retryAfter) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

export function useToken(token) {
  sessionStorage.setItem(TOKEN, token);
}

export function hasToken() {
  return Boolean(sessionStorage.getItem(TOKEN));
}

async function send(path, options = {}) {
  const headers = { ...options.headers };
  const token = sessionStorage.getItem(TOKEN);
  if (token) {
    // a header cannot hold other characters, so no token has them
    if (/[^\x21-\x7e]/.test(token)) throw new ServiceError(401, "The token is wrong.");
    headers.Authorization = `Bearer ${token}`;
  }
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ServiceError(0, "The service does not respond. It may have been stopped.");
  }
  let content = null;
  try {
    content = await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
  }
  if (!response.ok || content === null) {
    const message = content?.message ?? `The service responded with status ${response.status}.`;
    throw new ServiceError(response.status, message, Number(response.headers.get("Retry-After")));
  }
  return content;
}

const named = (path, classifier) => `${path}?classifier=${encodeURIComponent(classifier)}`;

export function post(path, classifier, value, signal) {
  return send(named(path, classifier), {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(value),
    signal,
  });
}

export function getModel(classifier) {
  return send(classifier === null ? "/model" : named("/model", classifier));
}

export function getDescription() {
  return send("/openapi.json");
}

export function getRiskCoverage(classifier) {
  return send(named("/risk-coverage", classifier));
}
