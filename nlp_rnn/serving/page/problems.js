// Errors of a page, and the form that asks for the token of the service; both pages have them.
import { hasToken, useToken } from "./service.js";

const get = (id) => document.getElementById(id);

export function problem(message) {
  get("problem").hidden = !message;
  get("problem").textContent = message ?? "";
}

export function failed(error) {
  if (error.status !== 401) {
    problem(error.message);
    return;
  }
  problem(hasToken() ? "The token is wrong. Enter one of the tokens in the token file of the service." : "The service needs a token.");
  get("token-form").hidden = false;
}

// Run the start of a page, and again with each token that is entered.
export async function startPage(start) {
  const run = async () => {
    try {
      await start();
      problem(null);
      get("token-form").hidden = true;
      get("main").hidden = false;
    } catch (error) {
      failed(error);
    }
  };
  get("token-form").addEventListener("submit", (event) => {
    event.preventDefault();
    useToken(get("token").value.trim());
    run();
  });
  await run();
}
