// What went wrong, in words a caller can act on: {title, detail}.

const HUB_ERRORS = {
  AGENT_NOT_FOUND: ["This agent doesn’t exist any more", "Reload the page and choose another agent."],
  AGENT_INACTIVE: ["This agent isn’t active", "Activate it, or choose another agent."],
  AUTH_FAILED: ["Your log-in isn’t valid any more", "Log out, log in again and start the call once more."],
  SESSION_LIMIT_REACHED: ["All lines are busy", "Your plan’s limit of calls at the same time is reached. Try again when a call has ended."],
  RECONNECT_FAILED: ["The call couldn’t be resumed", "It was interrupted for too long. Start a new call."],
  SESSION_TAKEN_OVER: ["The call goes on elsewhere", "It was opened again in another window or on another device."],
  STT_PROVIDER_TIMEOUT: ["The agent had trouble hearing you", "The call goes on: please say it again."],
  LLM_PROVIDER_ERROR: ["The agent had trouble answering", "The call goes on: please ask again."],
};

/** An `Error` event of the hub. */
export function hubFault({ code, message }) {
  const [title, detail] = HUB_ERRORS[code] ?? ["The call ran into a problem", message || "No details were given."];
  return { title, detail };
}

/** Why the microphone isn't there. */
export function microphoneFault(error) {
  if (!navigator.mediaDevices) {
    return { title: "The microphone can’t be used here", detail: "Browsers allow it on https:// addresses and on this computer (localhost) only." };
  }
  switch (error.name) {
    case "NotAllowedError":
    case "SecurityError":
      return { title: "The microphone is blocked", detail: "Allow it for this page in the browser’s address bar, then start the call again." };
    case "NotFoundError":
    case "OverconstrainedError":
      return { title: "No microphone was found", detail: "Connect one, then start the call again." };
    default:
      return { title: "The microphone can’t be opened", detail: "Another program may be using it. Close that, then start the call again." };
  }
}

/** Why an API request was refused. */
export function apiFault(error) {
  if (error.status === 0) return { title: error.title, detail: "Check that it is running and that you are online, then try again." };
  if (error.status === 401) return { title: "You need to log in again", detail: "Your log-in has expired." };
  if (error.code && HUB_ERRORS[error.code]) return hubFault(error);
  if (error.status === 429 || error.status === 503) {
    const wait = error.retryAfter ? `Try again in ${error.retryAfter} s.` : "Try again in a moment.";
    return { title: error.title || "The platform is busy", detail: [error.message, wait].filter((text) => text && text !== error.title).join(" ") };
  }
  return { title: error.title || "The request failed", detail: error.message };
}

export const HUB_UNREACHABLE = {
  title: "The call service can’t be reached",
  detail: "A firewall or proxy may block WebSockets, or the service is restarting. Try again in a moment.",
};

export const MEDIA_FAILED = {
  title: "No sound could get through",
  detail: "The network blocks the audio connection. Try another network, or ask your administrator for a TURN server.",
};

export const CONNECTION_LOST = {
  title: "The call was interrupted",
  detail: "The connection was lost and couldn’t be restored. Start a new call.",
};
