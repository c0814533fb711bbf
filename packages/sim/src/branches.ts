/**
 * Which blocks of the core's code have run, as V8 counts them: what an exploration goes by, beside the states that a cluster was in. V8 has one count for the process,
 * and each question sets it to zero.
 */
import { readFileSync } from 'node:fs';
import { type Profiler, Session } from 'node:inspector';
import { crc32 } from 'node:zlib';

/** Of one function, by its place in the file as `from-to`: places within it, each where a stretch that has run begins or ends. */
type Stretches = readonly number[];

/** What is kept for the next exploration, by file. */
export interface KnownFile {
  /** Of the source: places mean nothing in another one. */
  readonly digest: number;
  readonly functions: Readonly<Record<string, Stretches>>;
}

export type KnownBlocks = Readonly<Record<string, KnownFile>>;

/** Agreement, durability, the store, leases and watches. */
const CORE =
  /\/packages\/((?:raft|bbolt)\/src\/|storage\/src\/(?:backend|lease|mvcc|schema|snap|wal)\/|server\/src\/(?:apply|cluster|consensus)\/)([^?]+)/;
const COUNTED = { callCount: false, detailed: true };

export class Branches {
  readonly #session = new Session();
  /** By file and function: for each character, whether it has run. */
  readonly #seen = new Map<string, Map<string, Uint8Array>>();
  readonly #known: KnownBlocks;

  /** To be made before the code is loaded that is to be counted. */
  constructor(known: KnownBlocks = {}) {
    this.#known = known;
    this.#session.connect();
    this.#post('Profiler.enable');
    this.#post('Profiler.startPreciseCoverage', COUNTED);
  }

  /** Characters in blocks that have run. */
  get covered(): number {
    let count = 0;
    for (const functions of this.#seen.values()) {
      for (const map of functions.values()) for (const ran of map) count += ran;
    }
    return count;
  }

  /** How many stretches of code have run since the last call that had never run before. */
  take(): number {
    const { result } = this.#post('Profiler.takePreciseCoverage') as Profiler.TakePreciseCoverageReturnType;
    let count = 0;
    for (const { url, functions } of result) {
      const [path, below, name] = CORE.exec(url) ?? [];
      if (path === undefined) continue;
      const seen = this.#seenOf(`${below}${name}`);
      for (const { ranges } of functions) count += takeIn(seen, ranges);
    }
    return count;
  }

  stop(): void {
    this.#post('Profiler.stopPreciseCoverage');
    this.#session.disconnect();
  }

  toJSON(): KnownBlocks {
    return Object.fromEntries(
      [...this.#seen].map(([file, functions]) => [
        file,
        {
          digest: digestOf(file),
          functions: Object.fromEntries([...functions].map(([place, map]) => [place, stretchesOf(map)])),
        },
      ]),
    );
  }

  #seenOf(file: string): Map<string, Uint8Array> {
    let seen = this.#seen.get(file);
    if (seen === undefined) {
      seen = new Map();
      this.#seen.set(file, seen);
      const known = this.#known[file];
      if (known !== undefined && known.digest === digestOf(file)) {
        for (const [place, stretches] of Object.entries(known.functions))
          seen.set(place, mapOf(place, stretches));
      }
    }
    return seen;
  }

  /** Answers of this part of the protocol come before the call returns. */
  #post(method: string, parameters: object = {}): object {
    let answer: object = {};
    this.#session.post(method, parameters, (error, result) => {
      if (error !== null) throw error;
      answer = result as object;
    });
    return answer;
  }
}

/** Returns how many stretches are new. */
function takeIn(seen: Map<string, Uint8Array>, ranges: readonly Profiler.CoverageRange[]): number {
  const whole = ranges[0]!;
  if (whole.count === 0) return 0;
  const place = `${whole.startOffset}-${whole.endOffset}`;
  const length = whole.endOffset - whole.startOffset;
  let known = seen.get(place);
  if (known === undefined) {
    known = new Uint8Array(length);
    seen.set(place, known);
  }
  // Inner ranges come behind the outer ones that they correct.
  const ran = new Uint8Array(length);
  for (const { startOffset, endOffset, count } of ranges) {
    ran.fill(count > 0 ? 1 : 0, startOffset - whole.startOffset, endOffset - whole.startOffset);
  }
  let count = 0;
  let isWithin = false;
  for (let at = 0; at < length; at++) {
    const isNew = ran[at] === 1 && known[at] === 0;
    if (isNew) known[at] = 1;
    if (isNew && !isWithin) count++;
    isWithin = isNew;
  }
  return count;
}

function stretchesOf(map: Uint8Array): Stretches {
  const borders: number[] = [];
  for (let at = 0; at <= map.length; at++) {
    if ((map[at] ?? 0) !== (map[at - 1] ?? 0)) borders.push(at);
  }
  return borders;
}

function mapOf(place: string, stretches: Stretches): Uint8Array {
  const [from, to] = place.split('-').map(Number) as [number, number];
  const map = new Uint8Array(to - from);
  for (let i = 0; i < stretches.length; i += 2) map.fill(1, stretches[i], stretches[i + 1]);
  return map;
}

function digestOf(file: string): number {
  return crc32(readFileSync(new URL(`../../${file}`, import.meta.url)));
}
