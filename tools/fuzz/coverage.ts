/** Which blocks of the packages' code have run, as V8 counts them, and whether there were new ones. */
import { type Profiler, Session } from 'node:inspector';

const session = new Session();

/** Answers of this part of the protocol come before the call returns. */
function post(method: string): object {
  let answer: object = {};
  session.post(method, method.endsWith('startPreciseCoverage') ? COUNTED : {}, (error, result) => {
    if (error !== null) throw error;
    answer = result as object;
  });
  return answer;
}

const COUNTED = { callCount: true, detailed: true };

/** To be called before the code is loaded that is to be counted. */
export function startCounting(): void {
  session.connect();
  post('Profiler.enable');
  post('Profiler.startPreciseCoverage');
}

/** What is known to have run. There may be several: V8 has one count, which each question sets to zero. */
export class Coverage {
  /** By where its text is. */
  readonly #seen = new Map<string, SeenFunction>();

  /** How much of the code has run: characters in blocks that ran. */
  get covered(): number {
    let count = 0;
    for (const { ran } of this.#seen.values()) for (const one of ran) count += one;
    return count;
  }

  /** Takes in what ran since the last call; true if a block had never run before. */
  take(): boolean {
    return this.#look(true);
  }

  /** The same, taking nothing in. */
  peek(): boolean {
    return this.#look(false);
  }

  #look(takesIn: boolean): boolean {
    const { result } = post('Profiler.takePreciseCoverage') as Profiler.TakePreciseCoverageReturnType;
    let isNew = false;
    for (const { url, functions } of result) {
      if (!url.includes('/packages/') || url.includes('/testing/')) continue;
      for (const one of functions) if (this.#lookAt(url, one.ranges, takesIn)) isNew = true;
    }
    return isNew;
  }

  #lookAt(url: string, ranges: readonly Profiler.CoverageRange[], takesIn: boolean): boolean {
    const whole = ranges[0]!;
    if (whole.count === 0) return false;
    const key = `${url}:${whole.startOffset}:${whole.endOffset}`;
    let seen = this.#seen.get(key);
    if (seen === undefined) {
      seen = { ran: new Uint8Array(whole.endOffset - whole.startOffset), shapes: new Set() };
      if (takesIn) this.#seen.set(key, seen);
    }
    // Mostly a function runs as it did before, and its text need not be gone through.
    const shape = shapeOf(ranges);
    if (seen.shapes.has(shape)) return false;
    const ran = textThatRan(ranges);
    let isNew = false;
    for (let i = 0; i < ran.length; i++) {
      if (ran[i] === 1 && seen.ran[i] === 0) {
        if (takesIn) seen.ran[i] = 1;
        isNew = true;
      }
    }
    if (!isNew || takesIn) {
      if (seen.shapes.size >= MAX_SHAPES) seen.shapes.clear();
      seen.shapes.add(shape);
    }
    return isNew;
  }
}

/** Of a function: for each character of its text, whether it ran; and the ways of running that have nothing new. */
interface SeenFunction {
  readonly ran: Uint8Array;
  readonly shapes: Set<string>;
}

const MAX_SHAPES = 64;

function shapeOf(ranges: readonly Profiler.CoverageRange[]): string {
  let shape = '';
  for (const { startOffset, endOffset, count } of ranges)
    shape += `${startOffset},${endOffset},${count > 0 ? 1 : 0};`;
  return shape;
}

function textThatRan(ranges: readonly Profiler.CoverageRange[]): Uint8Array {
  const { startOffset: start, endOffset: end } = ranges[0]!;
  const ran = new Uint8Array(end - start);
  // Inner ranges come behind the outer ones that they correct.
  for (const { startOffset, endOffset, count } of ranges) {
    ran.fill(count > 0 ? 1 : 0, startOffset - start, endOffset - start);
  }
  return ran;
}
