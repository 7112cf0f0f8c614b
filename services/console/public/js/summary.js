// What is left of a call: figures, costs and the recording, as soon as the platform has stored them.

const POLL_DELAYS_MS = [300, 500, 700, 1000, 1500, 2000, 3000, 4000, 5000];

export const REASONS = {
  user_ended: "You",
  agent_ended: "The agent",
  timeout: "Time-out",
  idle_timeout: "Silence",
  max_duration: "Maximum duration",
  transfer_complete: "Transfer",
  voicemail: "Voicemail",
  disconnected: "Lost connection",
  error: "A problem",
  node_lost: "A problem",
};

export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const rest = String(whole % 60).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor((whole % 3600) / 60);
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${rest}` : `${minutes}:${rest}`;
}

/** Ask until `fetchIt()` gives something, `isFinal(error)`, or the time is over (then null). `signal` stops it. */
export async function eventually(fetchIt, signal, isFinal = () => false) {
  for (const delay of POLL_DELAYS_MS) {
    await new Promise((resolve) => setTimeout(resolve, delay));
    if (signal.aborted) return null;
    try {
      const found = await fetchIt();
      if (found) return found;
    } catch (error) {
      if (error.status === 401 || error.status === 403 || isFinal(error)) return null;
    }
  }
  return null;
}

/** Whether a refused recording will stay refused: "processing" is the one reason that passes. */
export function isWithoutRecording(error) {
  return error.code === "recording-not-available" && !error.message.includes("processing");
}

export function money(usd) {
  return new Intl.NumberFormat("en-US", {
    style: "currency",
    currency: "USD",
    minimumFractionDigits: 2,
    maximumFractionDigits: 4,
  }).format(usd);
}
