// Passkeys: options as the API sends them (binary parts in base64url) to the browser's credentials and back.

const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (character) => character.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
const descriptors = (list = []) => list.map((one) => ({ ...one, id: bytes(one.id) }));

export const canUsePasskeys = () => typeof PublicKeyCredential === "function" && Boolean(navigator.credentials);

/** Ask an authenticator for a new key; what to send to the API. */
export async function createPasskey(options) {
  const credential = await navigator.credentials.create({
    publicKey: {
      ...options,
      challenge: bytes(options.challenge),
      user: { ...options.user, id: bytes(options.user.id) },
      excludeCredentials: descriptors(options.excludeCredentials),
    },
  });
  const { clientDataJSON, attestationObject } = credential.response;
  return answerOf(credential, {
    clientDataJSON: text(clientDataJSON),
    attestationObject: text(attestationObject),
    transports: credential.response.getTransports?.() ?? [],
  });
}

/** Ask an authenticator to sign a log-in; what to send to the API. */
export async function usePasskey(options) {
  const credential = await navigator.credentials.get({
    publicKey: { ...options, challenge: bytes(options.challenge), allowCredentials: descriptors(options.allowCredentials) },
  });
  const { clientDataJSON, authenticatorData, signature } = credential.response;
  return answerOf(credential, {
    clientDataJSON: text(clientDataJSON),
    authenticatorData: text(authenticatorData),
    signature: text(signature),
  });
}

/** Why an authenticator gave nothing, as {title, detail}. */
export function passkeyFault(error) {
  if (error.name === "NotAllowedError") return { title: "The passkey wasn’t used", detail: "It was cancelled or took too long. Try again." };
  if (error.name === "InvalidStateError") return { title: "This passkey is set up already", detail: "Use another device or security key." };
  return { title: "The passkey can’t be used here", detail: "This browser or page address doesn’t allow it. Use a code instead." };
}

function answerOf(credential, response) {
  return { id: credential.id, rawId: text(credential.rawId), type: credential.type, response };
}
