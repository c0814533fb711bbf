/**
 * From handles to the lines of a scrape. What stays the same from scrape to scrape (names, labels, bounds) is made once per series, so
 * that a scrape puts numbers behind texts, and little else.
 */

import { GRPC_CODE_NAMES } from '@etcd/base';
import type { Definition, Handle, MetricType } from './definition.ts';
import type { GrpcMethodMetrics, GrpcServerMetrics } from './grpc-metrics.ts';
import { Family, Histogram } from './metric.ts';

/** One line of a scrape. */
export interface Series {
  readonly metricName: string;
  readonly labels: Labels;
  readonly value: number;
}

export type Labels = Readonly<Record<string, string>>;

/** All lines of one metric. */
export interface MetricFamily {
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  /** The lines, each with its newline. */
  text(): string;
}

/** A family of which nothing is known beforehand. */
export function seriesFamily(
  name: string,
  type: MetricType,
  help: string,
  read: () => Series[],
): MetricFamily {
  const text = (): string => {
    const lines = read().map(
      ({ metricName, labels, value }) => `${lineHead(metricName, labels)}${formatValue(value)}\n`,
    );
    return lines.join('');
  };
  return { name, type, help, text };
}

export function handleFamily({ name, type, help }: Definition, handle: Handle): MetricFamily {
  const heads = new WeakMap<object, readonly string[]>();
  const headsOf = (metric: Histogram | { value: number }, labels: () => Labels): readonly string[] => {
    const known = heads.get(metric);
    if (known !== undefined) return known;
    const made = metricHeads(name, labels(), metric);
    heads.set(metric, made);
    return made;
  };
  if (!(handle instanceof Family)) {
    return {
      name,
      type,
      help,
      text: () =>
        metricText(
          headsOf(handle, () => NO_LABELS),
          handle,
        ),
    };
  }
  const text = (): string => {
    let lines = '';
    for (const { labelValues, metric } of handle.series()) {
      lines += metricText(
        headsOf(metric, () => labelsOf(handle.labelNames, labelValues)),
        metric,
      );
    }
    return lines;
  };
  return { name, type, help, text };
}

const NO_LABELS: Labels = {};

/** Sorted by name, as Go's client library prints them. */
function labelsOf(names: readonly string[], values: readonly string[]): Labels {
  const pairs = names.map((label, i): [string, string] => [label, values[i]!]);
  return Object.fromEntries(pairs.sort(([a], [b]) => (a < b ? -1 : 1)));
}

/** What the lines of a metric begin with, in their order. */
function metricHeads(name: string, labels: Labels, metric: Histogram | { value: number }): string[] {
  if (!(metric instanceof Histogram)) return [lineHead(name, labels)];
  const bounds = [...metric.bounds].map(formatBound);
  const buckets = [...bounds, '+Inf'].map((le) => lineHead(`${name}_bucket`, { ...labels, le }));
  return [...buckets, lineHead(`${name}_sum`, labels), lineHead(`${name}_count`, labels)];
}

function metricText(heads: readonly string[], metric: Histogram | { value: number }): string {
  if (!(metric instanceof Histogram)) return `${heads[0]!}${formatValue(metric.value)}\n`;
  const { counts, sum } = metric;
  let total = 0;
  let text = '';
  for (let i = 0; i < counts.length; i++) {
    total += counts[i]!;
    text += `${heads[i]!}${total}\n`;
  }
  return `${text}${heads.at(-2)!}${formatValue(sum)}\n${heads.at(-1)!}${total}\n`;
}

/** A line up to its value. */
function lineHead(name: string, labels: Labels): string {
  const pairs = Object.entries(labels).map(([label, value]) => `${label}="${escapeLabel(value)}"`);
  return pairs.length === 0 ? `${name} ` : `${name}{${pairs.join()}} `;
}

function escapeLabel(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

function formatValue(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value);
}

/**
 * As Go writes a float: with an exponent from 10^6 on and below 10^-4. Bounds are labels, and series of Go members and
 * of ours are only added up where the labels are the same text.
 */
export function formatBound(bound: number): string {
  if (bound === 0 || (bound >= 1e-4 && bound < 1e6)) return String(bound);
  const [digits, exponent = '0'] = bound.toExponential().split('e');
  const sign = exponent.startsWith('-') ? '-' : '+';
  return `${digits}e${sign}${exponent.replace(/^[+-]/, '').padStart(2, '0')}`;
}

/** The families of all registered gRPC methods. */
export function grpcFamilies(grpc: GrpcServerMetrics): MetricFamily[] {
  const perMethod = (
    name: string,
    help: string,
    value: (metrics: GrpcMethodMetrics) => number,
  ): MetricFamily => {
    const heads = new MethodHeads((labels) => [lineHead(name, labels)]);
    const line = (method: GrpcMethodMetrics): string => `${heads.of(method)[0]!}${value(method)}\n`;
    return { name, type: 'counter', help, text: () => [...grpc.methods()].map(line).join('') };
  };
  const families = [
    perMethod('grpc_server_started_total', 'Calls begun.', (method) => method.started),
    perMethod(
      'grpc_server_msg_received_total',
      'Messages received from clients.',
      (method) => method.received,
    ),
    perMethod('grpc_server_msg_sent_total', 'Messages sent to clients.', (method) => method.sent),
    handledFamily(grpc),
  ];
  if (grpc.isExtensive) families.push(handlingFamily(grpc));
  return families;
}

function handledFamily(grpc: GrpcServerMetrics): MetricFamily {
  const name = 'grpc_server_handled_total';
  const heads = new MethodHeads((labels) =>
    GRPC_CODE_NAMES.map((grpc_code) => lineHead(name, { grpc_code, ...labels })),
  );
  const text = (): string => {
    let lines = '';
    for (const method of grpc.methods()) {
      const known = heads.of(method);
      for (let code = 0; code < known.length; code++) lines += `${known[code]!}${method.handled[code]!}\n`;
    }
    return lines;
  };
  return { name, type: 'counter', help: 'Calls ended, by status.', text };
}

function handlingFamily(grpc: GrpcServerMetrics): MetricFamily {
  const name = 'grpc_server_handling_seconds';
  const heads = new MethodHeads((labels, method) => metricHeads(name, labels, method.handlingSeconds!));
  const text = (): string =>
    [...grpc.methods()]
      .map((method) =>
        method.handlingSeconds === null ? '' : metricText(heads.of(method), method.handlingSeconds),
      )
      .join('');
  return { name, type: 'histogram', help: 'Seconds from the start of a call to its end.', text };
}

/** What the lines of each method begin with. */
class MethodHeads {
  readonly #known = new Map<GrpcMethodMetrics, readonly string[]>();
  readonly #make: (labels: Labels, method: GrpcMethodMetrics) => string[];

  constructor(make: (labels: Labels, method: GrpcMethodMetrics) => string[]) {
    this.#make = make;
  }

  of(method: GrpcMethodMetrics): readonly string[] {
    const known = this.#known.get(method);
    if (known !== undefined) return known;
    const { method: grpc_method, service: grpc_service, type: grpc_type } = method;
    const made = this.#make({ grpc_method, grpc_service, grpc_type }, method);
    this.#known.set(method, made);
    return made;
  }
}
