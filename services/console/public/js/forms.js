// Forms: what is missing or wrong is said at its field, everything else in the alert on top of the page.

import { ApiError } from "./http.js";
import { apiFault } from "./faults.js";

const $ = (id) => document.getElementById(id);

export function showFault({ title, detail }) {
  $("alert-title").textContent = title;
  $("alert-detail").textContent = detail;
  $("alert").hidden = false;
}

export function clearFault() {
  $("alert").hidden = true;
}

/** Say what was done, for eyes and screen readers. */
export function say(message) {
  $("status").textContent = message;
}

/** Write a fault below a field, or take it away. */
export function mark(field, message = "") {
  field.setAttribute("aria-invalid", String(message !== ""));
  const place = $(`${field.id}-error`);
  if (!place) return;
  place.textContent = message;
  place.hidden = message === "";
}

/**
 * Send a form: required fields are checked, then `send(values)` runs with the button held. Faults of the API go to the fields that
 * `fields` names by JSON pointer (`{"/password": "new-password"}`).
 */
export function onSubmit(form, send, fields = {}) {
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    clearFault();
    const inputs = [...form.querySelectorAll("input, select")];
    for (const input of inputs) mark(input, input.required && !input.value.trim() ? input.dataset.missing ?? "Fill this in." : "");
    const wrong = inputs.find((input) => input.getAttribute("aria-invalid") === "true");
    if (wrong) return wrong.focus();
    const button = event.submitter ?? form.querySelector("[type=submit]");
    button.disabled = true;
    try {
      await send(Object.fromEntries(inputs.map((input) => [input.name, input.value])));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      showRefusal(error, fields);
    } finally {
      button.disabled = false;
    }
  });
}

function showRefusal(error, fields) {
  const placed = (error.errors ?? []).filter((fault) => fields[fault.pointer]);
  for (const fault of placed) mark($(fields[fault.pointer]), fault.detail);
  if (placed.length) $(fields[placed[0].pointer]).focus();
  else showFault(apiFault(error));
}

/** The text of a date for this reader; a dash when there is none. */
export function day(text) {
  return text ? new Date(text).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "–";
}
