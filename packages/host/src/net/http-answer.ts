/** Answers to ordinary HTTP requests, apart from the version of HTTP that they travel by. */

export interface HttpQuestion {
  readonly method: string;
  /** Path and query as the client sent them. */
  readonly target: string;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

/** Takes the answer, now or later; called once. */
export type Answering = (answer: HttpAnswer) => void;

const TEXT_HEADERS: HttpAnswer['headers'] = [
  ['content-type', 'text/plain; charset=utf-8'],
  ['x-content-type-options', 'nosniff'],
];

/** A refusal in the form that Go's `http.Error` gives it. */
export function httpError(status: number, text: string): HttpAnswer {
  return { status, headers: TEXT_HEADERS, body: `${text}\n` };
}

export function httpText(body: string): HttpAnswer {
  return { status: 200, headers: TEXT_HEADERS, body };
}

export function httpJson(body: string): HttpAnswer {
  return { status: 200, headers: [['content-type', 'application/json']], body };
}

export function methodNotAllowed(allowed: string): HttpAnswer {
  const refusal = httpError(405, 'Method Not Allowed');
  return { ...refusal, headers: [['allow', allowed], ...refusal.headers] };
}

export const NOT_FOUND: HttpAnswer = httpError(404, '404 page not found');
