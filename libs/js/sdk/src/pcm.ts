// Sound as the hub carries it: base64 of 16-bit little-endian samples.

import { VoisnapError } from "./errors.js";

/** Samples, or their bytes. */
export type Pcm = Int16Array | Uint8Array | ArrayBuffer;

const CHUNK = 0x2000;

/** The bytes of a sound. Throws VoisnapError when they are no whole samples. */
export function bytesOf(pcm: Pcm): Uint8Array {
  const bytes =
    pcm instanceof ArrayBuffer ? new Uint8Array(pcm) : new Uint8Array(pcm.buffer, pcm.byteOffset, pcm.byteLength);
  if (bytes.length % 2) throw new VoisnapError("sound of 16-bit samples has an even number of bytes");
  return bytes;
}

/** Bytes as base64; `btoa` is there in browsers and in Node.js alike. */
export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (let at = 0; at < bytes.length; at += CHUNK) text += String.fromCharCode(...bytes.subarray(at, at + CHUNK));
  return btoa(text);
}

/** Samples from base64. */
export function samplesOf(base64: string): Int16Array {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length & ~1);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = text.charCodeAt(at);
  return new Int16Array(bytes.buffer);
}
