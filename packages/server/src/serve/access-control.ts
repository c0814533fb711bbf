/**
 * What a browser could be made to do (S12): requests whose Host is not one of ours are refused where they come in plain text, since a
 * name that suddenly leads here would make us part of somebody's site. Answers are shown to the origins that are allowed; from others
 * nothing is taken either, since a browser sends a simple POST before it asks whether it may read the answer.
 */
import { utf8ToBytes } from '@etcd/base';
import type { AnswerHeaders, HttpCall, HttpFacts } from './http-call.ts';
import { isSameOrigin } from './origins.ts';

export interface AccessRules {
  /** Origins that may read answers; `['*']`: all. */
  readonly cors: readonly string[];
  /** Hosts under which this member is known; `['*']`: all. */
  readonly hostWhitelist: readonly string[];
}

const MISDIRECTED = 421;
const FORBIDDEN = 403;
const ALL = '*';
const READING: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS']);

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
    const origin = call.header('origin') ?? '';
    if (!this.#mayAsk(call, origin)) {
      this.#warn('rejecting HTTP request of an origin that is not allowed', { origin, host });
      return call.respond(
        FORBIDDEN,
        TEXT_HEADERS,
        utf8ToBytes(`origin ${origin} is not allowed (see --cors)\n`),
      );
    }
    const headers = this.#corsHeaders(origin);
    if (call.method === 'OPTIONS') return call.respond(200, headers, new Uint8Array(0));
    pass(headers);
  }

  /** Programs have no origin. Where lists are given, browsers say theirs with all that could change something. */
  #mayAsk(call: HttpCall, origin: string): boolean {
    return READING.has(call.method) || this.#isAllowed(call, origin);
  }

  /**
   * Whether a page may open a WebSocket. Browsers ask nobody before they open one, and show its messages to the page that did, so what
   * origins may read decides here, too.
   */
  admitsWebSocket(call: HttpFacts): boolean {
    return this.#isAllowed(call, call.header('origin') ?? '');
  }

  /** A page of this server itself always is. */
  #isAllowed(call: HttpFacts, origin: string): boolean {
    if (origin === '' || this.#origins.has(ALL) || this.#origins.has(origin)) return true;
    return isSameOrigin(origin, call);
  }

  #corsHeaders(sender: string): AnswerHeaders {
    if (this.#origins.has(ALL)) return OPEN_TO_ALL;
    return this.#origins.has(sender) ? corsHeaders(sender) : NONE;
  }
}

function corsHeaders(origin: string): AnswerHeaders {
  return [
    ['access-control-allow-methods', 'POST, GET, OPTIONS, PUT, DELETE'],
    ['access-control-allow-origin', origin],
    ['access-control-allow-headers', 'accept, content-type, authorization'],
  ];
}

const NONE: AnswerHeaders = [];
/** One object, so that its text is made once. */
const OPEN_TO_ALL = corsHeaders(ALL);

const TEXT_HEADERS: AnswerHeaders = [
  ['content-type', 'text/plain; charset=utf-8'],
  ['x-content-type-options', 'nosniff'],
];

/** A Host header without its port, as Go takes it apart: one that is not of the form `host:port` is a host as it stands. */
function hostOf(header: string): string {
  const colon = header.lastIndexOf(':');
  if (colon < 0) return header;
  const isBracketed = header.startsWith('[') && header[colon - 1] === ']';
  const host = isBracketed ? header.slice(1, colon - 1) : header.slice(0, colon);
  const isBroken = /[[\]]/.test(host) || (!isBracketed && host.includes(':'));
  return isBroken ? header : host;
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
