/** Asks a member's HTTP side what gRPC does not tell: metrics, its command line, its clock, its certificate. */
import { request as plainRequest } from 'node:http';
import { request as secureRequest } from 'node:https';
import type { TLSSocket } from 'node:tls';
import type { ConnectOptions } from '@etcd/client/node';
import { type HttpFacts, NO_HTTP } from './facts.ts';

/** A scrape of a large member is some hundred kilobytes. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
const SECOND_MS = 1_000;

interface Answer {
  readonly text: string;
  readonly startMs: number;
  readonly endMs: number;
  /** Of the header Date; null without one. */
  readonly dateMs: number | null;
  readonly certificateEndMs: number | null;
}

/** @param url of the member for clients. */
export async function probeHttp(
  url: string,
  tls: ConnectOptions['tls'],
  timeoutMs: number,
): Promise<HttpFacts> {
  const metrics = await get(`${url}/metrics`, tls, timeoutMs);
  if (metrics === null) return NO_HTTP;
  const vars = await get(`${url}/debug/vars`, tls, timeoutMs);
  return {
    metrics: parseMetrics(metrics.text),
    commandLine: vars === null ? null : commandLineOf(vars.text),
    clockAheadMs: vars === null ? clockAhead(metrics) : clockAhead(vars),
    certificateEndMs: metrics.certificateEndMs,
  };
}

/** Null for any answer but 200. */
export async function getText(
  url: string,
  tls: ConnectOptions['tls'],
  timeoutMs: number,
): Promise<string | null> {
  return (await get(url, tls, timeoutMs))?.text ?? null;
}

/** Null for any answer but 200. */
function get(url: string, tls: ConnectOptions['tls'], timeoutMs: number): Promise<Answer | null> {
  return new Promise((resolve) => {
    const startMs = Date.now();
    const { serverName, insecureSkipVerify, ...material } = tls ?? {};
    const options = {
      ...material,
      agent: false as const,
      timeout: timeoutMs,
      rejectUnauthorized: insecureSkipVerify !== true,
      ...(serverName === undefined ? {} : { servername: serverName }),
    };
    const send = url.startsWith('https:') ? secureRequest : plainRequest;
    const request = send(url, options, (response) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const { statusCode, headers, socket } = response;
      const certificateEndMs = certificateEnd(socket as Partial<TLSSocket>);
      response.on('data', (chunk: Buffer) => {
        size += chunk.length;
        if (size > MAX_ANSWER_BYTES) request.destroy();
        else chunks.push(chunk);
      });
      response.on('error', () => resolve(null));
      response.on('close', () => {
        if (statusCode !== 200 || size > MAX_ANSWER_BYTES) return resolve(null);
        const dateMs = headers.date === undefined ? null : Date.parse(headers.date);
        const text = Buffer.concat(chunks).toString();
        resolve({ text, startMs, endMs: Date.now(), dateMs, certificateEndMs });
      });
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(null));
    request.end();
  });
}

function certificateEnd(socket: Partial<TLSSocket>): number | null {
  const end = socket.getPeerCertificate?.()?.valid_to;
  return end === undefined || end === '' ? null : Date.parse(end);
}

/** The header has whole seconds: its clock was between that and a second later when it answered. */
export function clockAhead({
  dateMs,
  startMs,
  endMs,
}: Pick<Answer, 'dateMs' | 'startMs' | 'endMs'>): number | null {
  if (dateMs === null || Number.isNaN(dateMs)) return null;
  if (dateMs > endMs) return dateMs - endMs;
  const latest = dateMs + SECOND_MS;
  return latest < startMs ? latest - startMs : 0;
}

export function commandLineOf(text: string): string[] | null {
  try {
    const { cmdline } = JSON.parse(text) as { cmdline?: unknown };
    return Array.isArray(cmdline) && cmdline.every((word) => typeof word === 'string') ? cmdline : null;
  } catch {
    return null;
  }
}

/** Of the text format of Prometheus: values without labels, and buckets by their bound. */
export function parseMetrics(text: string): Map<string, number> {
  const metrics = new Map<string, number>();
  for (const line of text.split('\n')) {
    const match = /^([a-z_][a-z0-9_]*)(?:\{le="([^"]+)"\}|\{[a-z_]*version="([^"]*)"\})? (\S+)$/i.exec(line);
    if (match === null) continue;
    const [, name, bound, version, value] = match;
    const key =
      bound !== undefined ? `${name}{${bound}}` : version !== undefined ? `${name}{${version}}` : name!;
    metrics.set(key, Number(value));
  }
  return metrics;
}

/** What a histogram says of a quantile: the bound of the bucket that it is in, in the histogram's unit; null without enough to say. */
export function quantileOf(
  metrics: ReadonlyMap<string, number>,
  name: string,
  quantile: number,
): number | null {
  const prefix = `${name}_bucket{`;
  const buckets = [...metrics]
    .filter(([key]) => key.startsWith(prefix))
    .map(([key, count]) => ({ bound: boundOf(key.slice(prefix.length, -1)), count }))
    .sort((a, b) => a.bound - b.bound);
  const total = buckets.at(-1)?.count ?? 0;
  if (total < MIN_SAMPLES) return null;
  return buckets.find(({ count }) => count >= total * quantile)?.bound ?? null;
}

/** Fewer say nothing of one in a hundred. */
const MIN_SAMPLES = 100;

function boundOf(text: string): number {
  return text === '+Inf' ? Number.POSITIVE_INFINITY : Number(text);
}
