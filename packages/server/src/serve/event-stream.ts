/**
 * A watch as server-sent events, which every browser can read without a library: `GET /v3/watch?key=…` with `Accept: text/event-stream`. The
 * parameters are the fields of a `WatchCreateRequest` in its JSON form, bytes in base64. Each response is an event whose data is the response's
 * JSON; its id is the revision up to which all has been sent, so that a client that comes back with `Last-Event-ID` goes on where it was.
 */
import { ENUMS, MESSAGES } from '@etcd/api/descriptors';
import { WatchRequest, type WatchResponse } from '@etcd/api/etcdserverpb';
import { JsonError, messageFromJson, messageToJson } from '@etcd/api/json';
import { WatchService } from '@etcd/api/services';
import { type Clock, GrpcCode, type Timer } from '@etcd/base';
import type { ClientCall, ClientReceiver } from '@etcd/transport';
import { refuse, statusJson } from './gateway-answers.ts';
import type { AnswerHeaders, HttpCall } from './http-call.ts';

const { watch } = WatchService.methods;
const CREATE_REQUEST = MESSAGES.get('etcdserverpb.WatchCreateRequest')!;
const MEDIA_TYPE = 'text/event-stream';
const HEADERS: AnswerHeaders = [
  ['content-type', MEDIA_TYPE],
  ['cache-control', 'no-store'],
];
/** A comment, so that whoever is in between does not take a quiet stream for a dead one. */
const HEARTBEAT = ':\n\n';
const HEARTBEAT_MS = 15_000;

export function wantsEventStream(call: HttpCall, methodPath: string): boolean {
  if (call.method !== 'GET' || methodPath !== watch.path) return false;
  return (call.header('accept') ?? '').split(',').some((type) => type.trim().split(';')[0] === MEDIA_TYPE);
}

/** The request that a query stands for. Throws {@link JsonError}. */
export function watchRequestOf(query: string, lastEventId: string | null): WatchRequest {
  const values: Record<string, unknown> = {};
  for (const [name, value] of new URLSearchParams(query)) {
    const field = CREATE_REQUEST.fields.find((known) => known.name === name || known.jsonName === name);
    if (field === undefined) throw new JsonError(`unknown parameter ${JSON.stringify(name)}`);
    const known = ENUMS.get(field.type)?.values;
    if (known?.every((item) => item.name !== value) === true) {
      throw new JsonError(`invalid value for enum field ${field.name}: ${JSON.stringify(value)}`);
    }
    // A plus sign of base64 has become a blank on its way through the form of a query.
    const text = field.kind === 'bytes' ? value.replaceAll(' ', '+') : value;
    const item = field.kind === 'bool' && /^(true|false)$/.test(text) ? text === 'true' : text;
    if (field.isRepeated) values[field.name] = [...((values[field.name] as unknown[]) ?? []), item];
    else values[field.name] = item;
  }
  if (lastEventId !== null && /^\d{1,15}$/.test(lastEventId))
    values['start_revision'] = Number(lastEventId) + 1;
  const createRequest = messageFromJson(CREATE_REQUEST.name, JSON.stringify(values));
  return new WatchRequest({ createRequest: createRequest as WatchRequest['createRequest'] });
}

/** A watch's answer as events. */
export class EventStream implements ClientReceiver {
  readonly #call: HttpCall;
  readonly #clock: Clock;
  readonly #startRevision: number;
  #timer: Timer | null = null;
  #isFull = false;
  #isOver = false;

  constructor(call: HttpCall, clock: Clock, { createRequest }: WatchRequest) {
    this.#call = call;
    this.#clock = clock;
    this.#startRevision = createRequest?.startRevision ?? 0;
  }

  onMessage(upstream: ClientCall, bytes: Uint8Array, start: number, end: number): void {
    if (this.#timer === null) {
      this.#call.start(200, HEADERS);
      this.#call.onWritable(() => {
        this.#isFull = false;
        upstream.resume();
      });
      this.#beat();
    }
    const response = watch.response.decode(bytes, start, end);
    const id = response.fragment ? null : this.#sentUpTo(response);
    const idLine = id === null ? '' : `id: ${id}\n`;
    this.#send(
      upstream,
      `${idLine}event: ${nameOf(response)}\ndata: ${messageToJson(watch.response.name, response)}\n\n`,
    );
    // The watcher was its only one.
    if (!response.canceled) return;
    this.stop();
    this.#call.end();
    upstream.cancel();
  }

  onEnd(_upstream: ClientCall, code: number, message: string): void {
    if (this.#isOver) return;
    if (this.#timer === null) {
      return refuse(this.#call, code === GrpcCode.OK ? GrpcCode.Unavailable : code, message);
    }
    this.stop();
    if (code !== GrpcCode.OK) {
      this.#call.write(`event: error\ndata: ${statusJson(code, message)}\n\n`);
    }
    this.#call.end();
  }

  /** No more signs of life: the client has gone. */
  stop(): void {
    this.#isOver = true;
    this.#timer?.cancel();
  }

  #send(upstream: ClientCall, text: string): void {
    if (this.#call.write(text)) return;
    this.#isFull = true;
    upstream.pause();
  }

  #beat(): void {
    this.#timer = this.#clock.setTimer(HEARTBEAT_MS, () => {
      // Nothing piles up for a client that does not read.
      if (!this.#isFull) this.#call.write(HEARTBEAT);
      this.#beat();
    });
  }

  /** A response has all events of its last revision; one without events says that there were none until now. */
  #sentUpTo({ created, canceled, events, header }: WatchResponse): number | null {
    if (canceled) return null;
    if (events.length > 0) return events.at(-1)!.kv?.modRevision ?? null;
    return created && this.#startRevision > 0 ? this.#startRevision - 1 : (header?.revision ?? null);
  }
}

function nameOf({ created, canceled, events }: WatchResponse): string {
  if (canceled) return 'canceled';
  if (created) return 'created';
  return events.length > 0 ? 'watch' : 'progress';
}
