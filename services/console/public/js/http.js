// JSON over fetch, with the platform's problem documents as errors.

const TIMEOUT_MS = 15_000;

/** What the API answered when it refused: `status` 0 means that it could not be reached. */
export class ApiError extends Error {
  constructor({ status, title, detail, code, retryAfter, errors }) {
    super(detail || title || `Request failed (${status})`);
    this.status = status;
    this.title = title;
    this.code = code;
    this.retryAfter = retryAfter;
    this.errors = errors;
  }
}

export async function requestJson(path, { method = "GET", body, token } = {}) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token) headers.Authorization = `Bearer ${token}`;
  let answer;
  try {
    answer = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
  } catch {
    throw new ApiError({ status: 0, title: "The platform can’t be reached" });
  }
  const content = await readJson(answer);
  if (!answer.ok) {
    throw new ApiError({
      status: answer.status,
      title: content?.title,
      detail: content?.detail,
      code: content?.code ?? content?.type?.split("/").pop(),
      errors: content?.errors,
      retryAfter: Number(answer.headers.get("Retry-After")) || null,
    });
  }
  return content;
}

async function readJson(answer) {
  if (answer.status === 204) return null;
  try {
    return await answer.json();
  } catch {
    return null;
  }
}
