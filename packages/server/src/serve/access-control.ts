/**
 * What a browser could be made to do (S12): requests whose Host is not one of ours are refused where they come in plain text, since a
 * name that suddenly leads here would make us part of somebody's site; and answers are shown to the origins that are allowed.
 */
import { utf8ToBytes } from '@etcd/base';
import type { AnswerHeaders, HttpCall } from './http-call.ts';

export interface AccessRules {
  /** Origins that may read answers; `['*']`: all. */
  readonly cors: readonly string[];
  /** Hosts under which this member is known; `['*']`: all. */
  readonly hostWhitelist: readonly string[];
}

const MISDIRECTED = 421;
const ALL = '*';

export class AccessControl {
  readonly #origins: ReadonlySet<string>;
  readonly #hosts: ReadonlySet<string>;
  readonly #warn: (message: string, fields: Readonly<Record<string, unknown>>) => void;

  constructor(
    { cors, hostWhitelist }: AccessRules,
    warn: (message: string, fields: Readonly<Record<string, unknown>>) => void,
  ) {
    this.#origins = new Set(cors.length === 0 ? [ALL] : cors);
    this.#hosts = new Set(hostWhitelist.length === 0 ? [ALL] : hostWhitelist);
    this.#warn = warn;
  }

  /** Answers what must not go on, and questions of browsers about what they may do; else passes on what every answer carries. */
  admit(call: HttpCall, pass: (headers: AnswerHeaders) => void): void {
    const host = hostOf(call.header('host') ?? '');
    if (!call.isSecure && !this.#hosts.has(ALL) && !this.#hosts.has(host)) {
      this.#warn('rejecting HTTP request to prevent DNS rebinding attacks', { host });
      return call.respond(MISDIRECTED, TEXT_HEADERS, utf8ToBytes(`${refusalText(host)}\n`));
    }
    const headers = this.#corsHeaders(call);
    if (call.method === 'OPTIONS') return call.respond(200, headers, new Uint8Array(0));
    pass(headers);
  }

  #corsHeaders(call: HttpCall): AnswerHeaders {
    const origin = this.#origins.has(ALL) ? ALL : (call.header('origin') ?? '');
    if (!this.#origins.has(origin)) return [];
    return [
      ['access-control-allow-methods', 'POST, GET, OPTIONS, PUT, DELETE'],
      ['access-control-allow-origin', origin],
      ['access-control-allow-headers', 'accept, content-type, authorization'],
    ];
  }
}

const TEXT_HEADERS: AnswerHeaders = [
  ['content-type', 'text/plain; charset=utf-8'],
  ['x-content-type-options', 'nosniff'],
];

/** A Host header without its port. */
function hostOf(header: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d*)?$/.exec(header);
  return bracketed?.[1] ?? header.replace(/:\d*$/, '');
}

/** Says what to do, as etcd does. */
function refusalText(host: string): string {
  return `
etcd received your request, but the Host header was unrecognized.

To fix this, choose one of the following options:
- Enable TLS, then any HTTPS request will be allowed.
- Add the hostname you want to use to the whitelist in settings.
  - e.g. etcd --host-whitelist ${JSON.stringify(host)}

This requirement has been added to help prevent "DNS Rebinding" attacks (CVE-2018-5702).
`;
}
