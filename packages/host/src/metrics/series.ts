/** From handles to the series that a scrape shows, in the form in which prom-client prints them. */

import { GRPC_CODE_NAMES } from '@etcd/base';
import type { Definition, Handle, MetricType } from './definition.ts';
import type { GrpcMethodMetrics, GrpcServerMetrics } from './grpc-metrics.ts';
import { Family, Histogram } from './metric.ts';

/** One line of a scrape. */
export interface Series {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** All lines of one metric. */
export interface MetricFamily {
  readonly name: string;
  readonly type: MetricType;
  readonly help: string;
  read(): Series[];
}

type Labels = Readonly<Record<string, string>>;

const NO_LABELS: Labels = {};

export function handleFamily({ name, type, help }: Definition, handle: Handle): MetricFamily {
  return { name, type, help, read: () => readHandle(name, handle) };
}

function readHandle(name: string, handle: Handle): Series[] {
  const series: Series[] = [];
  if (!(handle instanceof Family)) {
    readMetric(name, NO_LABELS, handle, series);
    return series;
  }
  for (const { labelValues, metric } of handle.series()) {
    const pairs = handle.labelNames.map((label, i): [string, string] => [label, labelValues[i]!]);
    // Sorted by name, as Go's client library prints them.
    pairs.sort(([a], [b]) => (a < b ? -1 : 1));
    readMetric(name, Object.fromEntries(pairs), metric, series);
  }
  return series;
}

function readMetric(
  name: string,
  labels: Labels,
  metric: { value: number } | Histogram,
  into: Series[],
): void {
  if (metric instanceof Histogram) readHistogram(name, labels, metric, into);
  else into.push({ metricName: name, labels, value: metric.value });
}

function readHistogram(name: string, labels: Labels, histogram: Histogram, into: Series[]): void {
  const { bounds, counts } = histogram;
  let total = 0;
  for (let i = 0; i < counts.length; i++) {
    total += counts[i]!;
    const le = i < bounds.length ? formatBound(bounds[i]!) : '+Inf';
    into.push({ metricName: `${name}_bucket`, labels: { ...labels, le }, value: total });
  }
  into.push({ metricName: `${name}_sum`, labels, value: histogram.sum });
  into.push({ metricName: `${name}_count`, labels, value: total });
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
  ): MetricFamily => ({
    name,
    type: 'counter',
    help,
    read: () =>
      [...grpc.methods()].map((method) => ({
        metricName: name,
        labels: methodLabels(method),
        value: value(method),
      })),
  });
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
  const read = (): Series[] => {
    const series: Series[] = [];
    for (const method of grpc.methods()) {
      for (const [code, grpc_code] of GRPC_CODE_NAMES.entries()) {
        const labels = { grpc_code, ...methodLabels(method) };
        series.push({ metricName: name, labels, value: method.handled[code]! });
      }
    }
    return series;
  };
  return { name, type: 'counter', help: 'Calls ended, by status.', read };
}

function handlingFamily(grpc: GrpcServerMetrics): MetricFamily {
  const name = 'grpc_server_handling_seconds';
  const read = (): Series[] => {
    const series: Series[] = [];
    for (const method of grpc.methods()) {
      if (method.handlingSeconds !== null)
        readHistogram(name, methodLabels(method), method.handlingSeconds, series);
    }
    return series;
  };
  return { name, type: 'histogram', help: 'Seconds from the start of a call to its end.', read };
}

function methodLabels(method: GrpcMethodMetrics): Record<string, string> {
  return { grpc_method: method.method, grpc_service: method.service, grpc_type: method.type };
}
