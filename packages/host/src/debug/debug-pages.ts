/**
 * The pages under `/debug/pprof/`, with `--enable-pprof`: those that Go programs have, as far as there is anything of the kind here, each
 * as pprof, or with `?format=v8` as V8 has it. And `/debug/log-level`, ours, which tells and sets the level of the log; to set it takes a
 * caller on this machine that is no page of a browser.
 */
import { isIPv4 } from 'node:net';
import { loadOnce } from '@etcd/base';
import { httpError, httpJson, httpText, methodNotAllowed, NOT_FOUND } from '../net/index.ts';
import type * as Profiling from '../profiling/index.ts';

export interface DebugQuestion {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly remoteAddress: string;
  /** Whether a page of a browser asks. */
  readonly hasOrigin: boolean;
}

export interface DebugAnswer {
  readonly status: number;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string | Uint8Array;
}

/** The log's level, while the process runs. */
export interface LogLevelControl {
  level(): string;
  /** False: there is no such level. */
  setLevel(level: string): boolean;
}

const PPROF = '/debug/pprof/';
const LOG_LEVEL = '/debug/log-level';
const DEFAULT_SECONDS = 30;
const MAX_SECONDS = 300;

/** By name: what each page shows, for the index. */
const PROFILES: Readonly<Record<string, string>> = {
  allocs: 'What was allocated since the start and is still in the heap, sampled: the same as heap.',
  block: 'Always empty: the program has one thread, which waits for nothing but the event loop.',
  cmdline: 'The command line, secrets left out.',
  goroutine: 'What keeps the event loop waiting, by kind. ?debug=1 for text.',
  heap: 'What is in the heap, by who allocated it, sampled from the start on. ?format=v8 for V8 its own format.',
  mutex: 'Always empty: there are no locks.',
  profile: 'Processor time. ?seconds=30 to begin with, ?format=v8 for V8 its own format.',
  symbol: 'Profiles here have their names in them, so there is nothing to look up.',
  threadcreate: 'Threads by their names. ?debug=1 for text.',
  trace: 'Not here: it is a format of the Go runtime.',
};

export class DebugPages {
  readonly #log: LogLevelControl | null;
  readonly #commandLine: readonly string[];
  readonly #load = loadOnce((): Promise<typeof Profiling> => import('../profiling/index.ts'));
  #heap: Promise<Profiling.HeapSampler> | null = null;

  /**
   * @param log null: the level of the log is not shown.
   * @param commandLine what may be seen of it.
   */
  constructor(log: LogLevelControl | null, commandLine: readonly string[]) {
    this.#log = log;
    this.#commandLine = commandLine;
  }

  /** From now on the heap is sampled. */
  start(): void {
    this.#heap = this.#load().then(async ({ HeapSampler }) => {
      const sampler = new HeapSampler();
      await sampler.start();
      return sampler;
    });
    // Whoever asks for the page is told.
    this.#heap.catch(() => {});
  }

  stop(): void {
    void this.#heap?.then((sampler) => sampler.stop()).catch(() => {});
  }

  isFor(path: string): boolean {
    return path === LOG_LEVEL || path.startsWith(PPROF);
  }

  async answer(question: DebugQuestion): Promise<DebugAnswer> {
    if (question.path === LOG_LEVEL) return this.#answerLogLevel(question);
    try {
      return await this.#answerProfile(question.path.slice(PPROF.length), question.query);
    } catch (error) {
      return httpError(500, `Could not enable profiling: ${(error as Error).message}`);
    }
  }

  async #answerProfile(name: string, query: URLSearchParams): Promise<DebugAnswer> {
    const isText = Number(query.get('debug') ?? 0) > 0;
    switch (name) {
      case '':
        return { status: 200, headers: [['content-type', 'text/html; charset=utf-8']], body: index() };
      case 'cmdline':
        return httpText(this.#commandLine.join('\0'));
      case 'symbol':
        return httpText('num_symbols: 0\n');
      case 'profile':
        return this.#cpuProfile(query);
      case 'heap':
      case 'allocs':
        return this.#heapProfile(name, query);
      case 'goroutine':
        return this.#counts(name, (await this.#load()).activeResources(), isText);
      case 'threadcreate':
        return this.#counts(name, (await this.#load()).threadNames(), isText);
      case 'block':
      case 'mutex':
        return this.#counts(name, new Map(), isText);
      case 'trace':
        return httpError(404, PROFILES['trace']!);
      default:
        return httpError(404, 'Unknown profile');
    }
  }

  async #cpuProfile(query: URLSearchParams): Promise<DebugAnswer> {
    const { cpuToPprof, recordCpuProfile } = await this.#load();
    const asked = Number(query.get('seconds'));
    const seconds = asked > 0 ? Math.min(asked, MAX_SECONDS) : DEFAULT_SECONDS;
    const profile = await recordCpuProfile(seconds * 1000);
    if (isOwnFormat(query)) return attachment('profile.cpuprofile', JSON.stringify(profile));
    return attachment('profile', await cpuToPprof(profile));
  }

  async #heapProfile(name: string, query: URLSearchParams): Promise<DebugAnswer> {
    const { heapToPprof } = await this.#load();
    if (this.#heap === null) return NOT_FOUND;
    const profile = await (await this.#heap).profile();
    if (isOwnFormat(query)) return attachment(`${name}.heapprofile`, JSON.stringify(profile));
    return attachment(name, await heapToPprof(profile));
  }

  async #counts(name: string, counts: ReadonlyMap<string, number>, isText: boolean): Promise<DebugAnswer> {
    const total = [...counts.values()].reduce((sum, count) => sum + count, 0);
    const lines = [...counts].map(([what, count]) => `${count} @ ${what}\n`);
    if (isText) return httpText(`${name} profile: total ${total}\n${lines.join('')}`);
    const { countsToPprof } = await this.#load();
    return attachment(name, await countsToPprof(name, counts));
  }

  #answerLogLevel({ method, query, remoteAddress, hasOrigin }: DebugQuestion): DebugAnswer {
    const log = this.#log;
    if (log === null) return NOT_FOUND;
    if (method === 'PUT') {
      if (hasOrigin || !isLoopback(remoteAddress)) return httpError(403, 'Forbidden');
      const level = query.get('level') ?? '';
      if (!log.setLevel(level)) return httpError(400, `unrecognized level: ${JSON.stringify(level)}`);
    } else if (method !== 'GET') {
      return methodNotAllowed('GET, PUT');
    }
    return httpJson(JSON.stringify({ level: log.level() }));
  }
}

function isOwnFormat(query: URLSearchParams): boolean {
  return query.get('format') === 'v8';
}

function attachment(name: string, body: string | Uint8Array): DebugAnswer {
  const headers = [
    ['content-type', 'application/octet-stream'],
    ['content-disposition', `attachment; filename="${name}"`],
    ['x-content-type-options', 'nosniff'],
  ] as const;
  return { status: 200, headers, body };
}

/** @param address an IP address, maybe with a port; one that is not known, as of a connection that is gone already, is nobody's. */
function isLoopback(address: string): boolean {
  const host = address.replace(/^::ffff:/, '').replace(/^\[(.*)\]:\d+$/, '$1');
  if (host === '::1') return true;
  const [ip = ''] = host.split(':');
  return isIPv4(ip) && ip.startsWith('127.');
}

function index(): string {
  const rows = Object.entries(PROFILES).map(
    ([name, about]) => `<tr><td><a href="${name}?debug=1">${name}</a></td><td>${about}</td></tr>`,
  );
  return `<!doctype html>
<html><head><title>/debug/pprof/</title></head><body>
<h1>/debug/pprof/</h1>
<table>
${rows.join('\n')}
</table>
</body></html>
`;
}
