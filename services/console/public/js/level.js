// Loudness of a stream as 0–100, a few times a second.

const FLOOR_DB = -60;
const INTERVAL_MS = 80;

/** Calls `onLevel(0…100)` until the returned function is called. */
export function watchLevel(stream, onLevel) {
  const context = new AudioContext();
  const source = context.createMediaStreamSource(stream);
  const analyser = context.createAnalyser();
  analyser.fftSize = 1024;
  source.connect(analyser);
  context.resume().catch(() => {});
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    onLevel(percent(samples));
  }, INTERVAL_MS);
  return () => {
    clearInterval(timer);
    source.disconnect();
    context.close().catch(() => {});
  };
}

function percent(samples) {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const decibels = 10 * Math.log10(sum / samples.length + 1e-12);
  return Math.round(Math.min(1, Math.max(0, 1 - decibels / FLOOR_DB)) * 100);
}
