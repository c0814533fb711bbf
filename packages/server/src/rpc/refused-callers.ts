/**
 * Who was refused: counted each time, and told once in a line with where it came from. Whoever asks again and again with the same bad token or
 * name, or with a new one every time, makes no more lines than {@link RefusalLog} writes.
 */
import type { Clock, LogFields, Logger } from '@etcd/base';
import { RefusalLog } from '@etcd/host/logging';
import type { ServerCall } from '@etcd/transport';
import { tokenFingerprint } from '../auth/index.ts';
import type { MetricHandles } from '../metrics/index.ts';
import { tokenOf } from './callers.ts';

/** Of a name that comes from nobody knows whom. */
const MAX_NAME_LETTERS = 100;

export interface RefusedCallersOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly metrics: Pick<MetricHandles, 'authRefusalsTotal'>;
}

export class RefusedCallers {
  readonly #metrics: RefusedCallersOptions['metrics'];
  readonly #log: RefusalLog;

  constructor({ clock, logger, metrics }: RefusedCallersOptions) {
    this.#metrics = metrics;
    this.#log = new RefusalLog(clock, logger);
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
    this.#metrics.authRefusalsTotal.labels(reason).inc();
  }

  #tell(message: string, about: string, call: ServerCall, fields: LogFields): void {
    const address = addressOf(call);
    const host = address.replace(/:\d+$/, '');
    this.#log.warn(message, `${host} ${about}`, () => ({ ...fields, 'remote-addr': address }));
  }
}

/** The gateway has no address of its own, and says whose the call is. */
function addressOf(call: ServerCall): string {
  const { info } = call;
  if (info.remoteAddress !== '') return info.remoteAddress;
  return (call.metadata('x-forwarded-for') ?? '').slice(0, MAX_NAME_LETTERS);
}
