/**
 * Facts about the process under the names that Go programs give them and dashboards ask for: those of them that mean the same here.
 * What only Go has (goroutines, its allocator's spans, its own version) has no counterpart.
 */
import { PerformanceObserver } from 'node:perf_hooks';
import v8 from 'node:v8';
import { residentBytes, threadCount } from '../process/index.ts';
import { type MetricFamily, type Series, seriesFamily } from './series.ts';

/** Go remembers as many pauses for its quantiles. */
const MAX_PAUSES = 256;
const QUANTILES = [0, 0.25, 0.5, 0.75, 1];

/** Pauses for garbage collection, from the first scrape on. */
class GcPauses {
  readonly #recent: number[] = [];
  #next = 0;
  #count = 0;
  #sum = 0;
  #observer: PerformanceObserver | null = null;
  /** Unix time at which the last one ended; 0 before the first. */
  lastSeconds = 0;

  read(name: string): Series[] {
    this.#observe();
    const sorted = this.#recent.toSorted((a, b) => a - b);
    const quantiles = QUANTILES.map((quantile) => ({
      metricName: name,
      labels: { quantile: String(quantile) },
      value: sorted[Math.round(quantile * (sorted.length - 1))] ?? 0,
    }));
    const totals = [
      { metricName: `${name}_sum`, labels: {}, value: this.#sum },
      { metricName: `${name}_count`, labels: {}, value: this.#count },
    ];
    return [...quantiles, ...totals];
  }

  #observe(): void {
    if (this.#observer !== null) return;
    this.#observer = new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries()) this.#add(duration / 1000);
    });
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  #add(seconds: number): void {
    this.lastSeconds = Date.now() / 1000;
    this.#count++;
    this.#sum += seconds;
    this.#recent[this.#next++ % MAX_PAUSES] = seconds;
  }
}

/** Go's `runtime.MemStats`, as far as Node has anything of the kind, in bytes. Keys, values and pages are counted: they lie outside V8's heap. */
export function memoryStatistics(): Readonly<
  Record<'alloc' | 'heapSys' | 'heapInuse' | 'heapIdle' | 'sys', number>
> {
  const { total_heap_size, used_heap_size, external_memory } = v8.getHeapStatistics();
  const heapSys = total_heap_size + external_memory;
  const alloc = used_heap_size + external_memory;
  return { alloc, heapSys, heapInuse: alloc, heapIdle: heapSys - alloc, sys: residentBytes() ?? 0 };
}

export function goFamilies(): MetricFamily[] {
  const pauses = new GcPauses();
  const gauge = (name: string, help: string, read: () => number): MetricFamily =>
    seriesFamily(name, 'gauge', help, () => [{ metricName: name, labels: {}, value: read() }]);
  const gc = 'go_gc_duration_seconds';
  return [
    seriesFamily(gc, 'summary', 'Pauses for garbage collection, since the first scrape.', () =>
      pauses.read(gc),
    ),
    gauge(
      'go_memstats_alloc_bytes',
      'Bytes in use, in the heap and outside.',
      () => memoryStatistics().alloc,
    ),
    gauge('go_memstats_heap_alloc_bytes', 'The same.', () => memoryStatistics().alloc),
    gauge('go_memstats_heap_inuse_bytes', 'The same.', () => memoryStatistics().heapInuse),
    gauge(
      'go_memstats_heap_idle_bytes',
      'Bytes of the heap that wait to be used.',
      () => memoryStatistics().heapIdle,
    ),
    gauge('go_memstats_heap_sys_bytes', 'Bytes of the heap and outside.', () => memoryStatistics().heapSys),
    gauge('go_memstats_sys_bytes', 'Resident bytes.', () => memoryStatistics().sys),
    gauge(
      'go_memstats_last_gc_time_seconds',
      'Unix time of the last pause for garbage collection, since the first scrape.',
      () => pauses.lastSeconds,
    ),
    gauge(
      'go_goroutines',
      'What keeps the event loop waiting: sockets, timers, files, requests to the system.',
      () => process.getActiveResourcesInfo().length,
    ),
    seriesFamily('go_info', 'gauge', 'The runtime; the value is 1.', () => [
      { metricName: 'go_info', labels: { version: `node ${process.version}` }, value: 1 },
    ]),
    gauge('go_sched_gomaxprocs_threads', 'Threads that run the program itself: always 1.', () => 1),
    gauge('go_threads', 'Threads of the process.', () => threadCount() ?? 0),
  ];
}
