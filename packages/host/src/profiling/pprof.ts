/** Profiles in the format of `pprof`, which Go's tools and everybody else's read. */
import type { HeapProfiler, Profiler, Runtime } from 'node:inspector';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { Function as Func, Line, Location, Profile, Sample, StringTable, ValueType } from 'pprof-format';
import { SAMPLING_INTERVAL_BYTES } from './heap-sampler.ts';

const NS_PER_US = 1000;

/** Of what a sample counts: `['cpu', 'nanoseconds']`. */
type Unit = readonly [type: string, unit: string];

/** A place in the program. */
type Place = Pick<Runtime.CallFrame, 'functionName' | 'url' | 'lineNumber'>;

/** CPU time by call stack. */
export function cpuToPprof(profile: Profiler.Profile): Promise<Uint8Array> {
  const builder = new ProfileBuilder([
    ['samples', 'count'],
    ['cpu', 'nanoseconds'],
  ]);
  const { nodes, samples = [], timeDeltas = [] } = profile;
  const counts = new Map<number, { count: number; ns: number }>();
  for (const [i, id] of samples.entries()) {
    const found = counts.get(id) ?? { count: 0, ns: 0 };
    counts.set(id, found);
    found.count++;
    // What passed until the next sample was spent where this one was taken.
    found.ns += (timeDeltas[i + 1] ?? 0) * NS_PER_US;
  }
  const byId = new Map(nodes.map((node) => [node.id, node]));
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id])));
  for (const [id, { count, ns }] of counts) {
    const stack: Place[] = [];
    for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
      const { callFrame } = byId.get(at)!;
      if (parents.has(at)) stack.push(callFrame);
    }
    // Whoever waits spends nothing.
    if (stack.length > 0 && stack[0]!.functionName !== '(idle)') builder.add(stack, [count, Math.max(0, ns)]);
  }
  const durationNs = (profile.endTime - profile.startTime) * NS_PER_US;
  return builder.encode({ durationNs, period: 1_000_000, periodType: ['cpu', 'nanoseconds'] });
}

/** Bytes that are in the heap, by the call stack that allocated them. */
export function heapToPprof(profile: HeapProfiler.SamplingHeapProfile): Promise<Uint8Array> {
  const builder = new ProfileBuilder([['inuse_space', 'bytes']]);
  const visit = (node: HeapProfiler.SamplingHeapProfileNode, above: readonly Place[]): void => {
    const stack = node.callFrame.functionName === '(root)' ? above : [node.callFrame, ...above];
    if (node.selfSize > 0) builder.add(stack, [node.selfSize]);
    for (const child of node.children) visit(child, stack);
  };
  visit(profile.head, []);
  return builder.encode({ durationNs: 0, period: SAMPLING_INTERVAL_BYTES, periodType: ['space', 'bytes'] });
}

/** Numbers of things by their names. */
export function countsToPprof(type: string, counts: ReadonlyMap<string, number>): Promise<Uint8Array> {
  const builder = new ProfileBuilder([[type, 'count']]);
  for (const [name, count] of counts) builder.add([{ functionName: name, url: '', lineNumber: 0 }], [count]);
  return builder.encode({ durationNs: 0, period: 1, periodType: [type, 'count'] });
}

interface Frame {
  readonly durationNs: number;
  readonly period: number;
  readonly periodType: Unit;
}

class ProfileBuilder {
  readonly #strings = new StringTable();
  readonly #sampleType: readonly ValueType[];
  readonly #samples: Sample[] = [];
  readonly #functions: Func[] = [];
  readonly #locations: Location[] = [];
  readonly #locationIds = new Map<string, number>();

  constructor(units: readonly Unit[]) {
    this.#sampleType = units.map((unit) => this.#valueType(unit));
  }

  /** @param stack innermost first. */
  add(stack: readonly Place[], value: number[]): void {
    this.#samples.push(new Sample({ locationId: stack.map((place) => this.#location(place)), value }));
  }

  encode({ durationNs, period, periodType }: Frame): Promise<Uint8Array> {
    const profile = new Profile({
      sampleType: [...this.#sampleType],
      sample: this.#samples,
      location: this.#locations,
      function: this.#functions,
      stringTable: this.#strings,
      timeNanos: BigInt(Date.now()) * 1_000_000n,
      durationNanos: durationNs,
      periodType: this.#valueType(periodType),
      period,
    });
    return promisify(gzip)(profile.encode());
  }

  #valueType([type, unit]: Unit): ValueType {
    return new ValueType({ type: this.#strings.dedup(type), unit: this.#strings.dedup(unit) });
  }

  #location({ functionName, url, lineNumber }: Place): number {
    const name = functionName === '' ? '(anonymous)' : functionName;
    const key = `${name}\n${url}\n${lineNumber}`;
    const known = this.#locationIds.get(key);
    if (known !== undefined) return known;
    const id = this.#locations.length + 1;
    const nameIndex = this.#strings.dedup(name);
    // V8 counts lines from 0, and has -1 for what has no source.
    const line = Math.max(0, lineNumber + 1);
    this.#functions.push(
      new Func({
        id,
        name: nameIndex,
        systemName: nameIndex,
        filename: this.#strings.dedup(url),
        startLine: line,
      }),
    );
    this.#locations.push(new Location({ id, line: [new Line({ functionId: id, line })] }));
    this.#locationIds.set(key, id);
    return id;
  }
}
