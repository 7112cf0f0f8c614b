// Starts the installed Chromium, headless, with a microphone made of a WAV file (or of beeps).

import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const CANDIDATES = [process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

export async function launch({ microphoneWav } = {}) {
  const executablePath = CANDIDATES.find((path) => path && existsSync(path));
  if (!executablePath) throw new Error("Chromium is needed: install it (Debian: apt-get install chromium) or set CHROMIUM.");
  return chromium.launch({
    executablePath,
    headless: true,
    args: [
      "--no-sandbox", // containers run the tests as root
      "--use-fake-ui-for-media-stream",
      "--use-fake-device-for-media-stream",
      ...(microphoneWav ? [`--use-file-for-fake-audio-capture=${microphoneWav}%noloop`] : []),
      "--autoplay-policy=no-user-gesture-required",
      "--disable-gpu",
      // A page that a test fulfils itself has no address space; Chromium would keep it from loopback WebSockets.
      "--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets",
    ],
  });
}
