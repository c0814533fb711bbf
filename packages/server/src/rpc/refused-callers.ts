/**
 * Who was refused: counted each time, and told once in a line with where it came from. Whoever asks again and again with the same bad token or
 * name, or with a new one every time, makes no more lines than {@link MAX_LINES}.
 */
import type { Clock, LogFields, Logger } from '@etcd/base';
import type { ServerCall } from '@etcd/transport';
import { tokenFingerprint } from '../auth/index.ts';
import type { MetricHandles } from '../metrics/index.ts';
import { tokenOf } from './callers.ts';

/** Callers that have been told of in this interval. */
const INTERVAL_MS = 60_000;
/** Lines in an interval; what comes after them is counted alone. */
const MAX_LINES = 100;
/** Of a name that comes from nobody knows whom. */
const MAX_NAME_LETTERS = 100;

export interface RefusedCallersOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<MetricHandles, 'authRefusalsTotal'>;
}

export class RefusedCallers {
  readonly #options: RefusedCallersOptions;
  /** What lines of this interval were about; at most {@link MAX_LINES}. */
  readonly #told = new Set<string>();
  #endMs = 0;
  #suppressed = 0;

  constructor(options: RefusedCallersOptions) {
    this.#options = options;
  }

  /** A call came with a token that is nobody's. */
  badToken(call: ServerCall): void {
    this.#count('token');
    const fingerprint = tokenFingerprint(tokenOf(call) ?? '');
    this.#tell('invalid auth token', `token ${fingerprint}`, call, { 'token-fingerprint': fingerprint });
  }

  /** A login failed. */
  badLogin(call: ServerCall, name: string, error: string): void {
    this.#count('login');
    const user = name.slice(0, MAX_NAME_LETTERS);
    this.#tell('invalid authentication was requested', `login ${user}`, call, { user, error });
  }

  /** A change of users, roles or permissions was refused. */
  badChange(call: ServerCall, kind: string, error: string): void {
    this.#count('change');
    this.#tell('a change of users or roles was refused', `${kind} ${error}`, call, { request: kind, error });
  }

  #count(reason: 'token' | 'login' | 'change'): void {
    this.#options.metrics.authRefusalsTotal.labels(reason).inc();
  }

  #tell(message: string, about: string, call: ServerCall, fields: LogFields): void {
    const { clock, logger } = this.#options;
    const nowMs = clock.now();
    if (nowMs >= this.#endMs) {
      this.#endMs = nowMs + INTERVAL_MS;
      this.#told.clear();
    }
    const address = addressOf(call);
    const host = address.replace(/:\d+$/, '');
    const topic = `${host} ${about}`;
    if (this.#told.has(topic) || this.#told.size >= MAX_LINES) {
      this.#suppressed++;
      return;
    }
    this.#told.add(topic);
    const suppressed = this.#suppressed === 0 ? {} : { suppressed: this.#suppressed };
    this.#suppressed = 0;
    logger.warn(message, { ...fields, 'remote-addr': address, ...suppressed });
  }
}

/** The gateway has no address of its own, and says whose the call is. */
function addressOf(call: ServerCall): string {
  const { info } = call;
  if (info.remoteAddress !== '') return info.remoteAddress;
  return (call.metadata('x-forwarded-for') ?? '').slice(0, MAX_NAME_LETTERS);
}
