/**
 * For tests: the other side of a connection, which sends whatever frames it is told to, right or wrong, and
 * notes what comes back. Reads frames with code of its own, so that it does not share the mistakes of what it
 * tests.
 */
import type { Duplex, DuplexReceiver } from '../duplex/duplex.ts';
import { HpackDecoder } from '../hpack/hpack-decoder.ts';
import { HpackEncoder, Indexing } from '../hpack/hpack-encoder.ts';
import { CLIENT_PREFACE, Flag, FrameType } from '../http2/protocol.ts';

export type Fields = readonly (readonly [name: string, value: string])[];

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly payload: Buffer;
  /** Decoded, for HEADERS. */
  readonly fields: Readonly<Record<string, string>>;
}

const NO_PAYLOAD = Buffer.alloc(0);

/** The headers of a gRPC request. */
export function grpcRequest(path: string, more: Fields = []): Fields {
  return [
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', 'test'],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
    ...more,
  ];
}

/** The same fields with another value for one of them; null: without it. */
export function replaceField(fields: Fields, name: string, value: string | null): Fields {
  return fields.flatMap(([n, v]) =>
    n !== name ? [[n, v] as const] : value === null ? [] : [[name, value] as const],
  );
}

/** A message with its prefix. */
export function grpcMessage(body: Uint8Array | string, flag = 0): Buffer {
  const bytes = Buffer.from(body as string);
  const message = Buffer.alloc(5 + bytes.length);
  message[0] = flag;
  message.writeUInt32BE(bytes.length, 1);
  message.set(bytes, 5);
  return message;
}

export class RawPeer implements DuplexReceiver {
  /** Every frame that has come. */
  readonly frames: Frame[] = [];
  hasEnded = false;
  isClosed = false;
  readonly encoder = new HpackEncoder();
  readonly #duplex: Duplex;
  readonly #decoder = new HpackDecoder<Readonly<Record<string, string>>>({
    interpret: (fields) => Object.fromEntries(fields.map(({ name, value }) => [name, value])),
    maxListSizeBytes: 1_000_000,
  });
  #unread: Buffer = NO_PAYLOAD;

  constructor(duplex: Duplex) {
    this.#duplex = duplex;
    duplex.open(this);
  }

  onData(chunk: Uint8Array): void {
    this.#unread = Buffer.concat([this.#unread, chunk]);
    if (this.#unread.subarray(0, 3).toString() === 'PRI') {
      if (this.#unread.length < CLIENT_PREFACE.length) return;
      this.#unread = this.#unread.subarray(CLIENT_PREFACE.length);
    }
    while (this.#unread.length >= 9) {
      const end = 9 + this.#unread.readUIntBE(0, 3);
      if (this.#unread.length < end) return;
      const type = this.#unread[3]!;
      const payload = this.#unread.subarray(9, end);
      const fields = type === FrameType.HEADERS ? this.#decoder.decode(payload, 0, payload.length) : null;
      this.frames.push({
        type,
        flags: this.#unread[4]!,
        streamId: this.#unread.readUInt32BE(5) & 0x7fff_ffff,
        payload,
        fields: fields ?? {},
      });
      this.#unread = this.#unread.subarray(end);
    }
  }

  onDrain(): void {}

  onEnd(): void {
    this.hasEnded = true;
  }

  onClose(): void {
    this.isClosed = true;
  }

  // Sending

  bytes(...parts: Uint8Array[]): void {
    this.#duplex.write([Buffer.concat(parts)]);
  }

  /** The client's preface with SETTINGS, and the acknowledgement of the server's. */
  preface(settings: readonly (readonly [id: number, value: number])[] = []): void {
    this.bytes(Buffer.from(CLIENT_PREFACE), settingsFrame(settings), frame(FrameType.SETTINGS, Flag.ACK, 0));
  }

  settings(settings: readonly (readonly [id: number, value: number])[]): void {
    this.bytes(settingsFrame(settings));
  }

  frame(type: number, flags: number, streamId: number, payload: Uint8Array = NO_PAYLOAD): void {
    this.bytes(frame(type, flags, streamId, payload));
  }

  block(fields: Fields): Buffer {
    this.encoder.begin();
    for (const [name, value] of fields) this.encoder.add(name, value, Indexing.INCREMENTAL);
    return Buffer.from(this.encoder.finish());
  }

  headers(streamId: number, fields: Fields, endStream = false): void {
    const flags = Flag.END_HEADERS | (endStream ? Flag.END_STREAM : 0);
    this.frame(FrameType.HEADERS, flags, streamId, this.block(fields));
  }

  data(streamId: number, payload: Uint8Array | string, endStream = false): void {
    const flags = endStream ? Flag.END_STREAM : 0;
    this.frame(FrameType.DATA, flags, streamId, Buffer.from(payload as string));
  }

  /** A whole unary request. */
  call(streamId: number, path: string, body: Uint8Array | string = '', more: Fields = []): void {
    this.headers(streamId, grpcRequest(path, more));
    this.data(streamId, grpcMessage(body), true);
  }

  windowUpdate(streamId: number, increment: number): void {
    this.frame(FrameType.WINDOW_UPDATE, 0, streamId, uint32(increment));
  }

  reset(streamId: number, errorCode: number): void {
    this.frame(FrameType.RST_STREAM, 0, streamId, uint32(errorCode));
  }

  ping(data = 'pingping', isAck = false): void {
    this.frame(FrameType.PING, isAck ? Flag.ACK : 0, 0, Buffer.from(data));
  }

  end(): void {
    this.#duplex.end();
  }

  destroy(): void {
    this.#duplex.destroy();
  }

  pause(): void {
    this.#duplex.pause();
  }

  resume(): void {
    this.#duplex.resume();
  }

  // What came back

  ofType(type: number): Frame[] {
    return this.frames.filter((each) => each.type === type);
  }

  ofStream(streamId: number): Frame[] {
    return this.frames.filter((each) => each.streamId === streamId);
  }

  /** The body of a stream, all its DATA joined. */
  body(streamId: number): Buffer {
    const frames = this.ofStream(streamId).filter((each) => each.type === FrameType.DATA);
    return Buffer.concat(frames.map((each) => each.payload));
  }

  /** The messages of a stream. */
  messages(streamId: number): string[] {
    const messages: string[] = [];
    for (let rest = this.body(streamId); rest.length >= 5; ) {
      const end = 5 + rest.readUInt32BE(1);
      messages.push(rest.toString('latin1', 5, end));
      rest = rest.subarray(end);
    }
    return messages;
  }

  /** The last headers of a stream: its trailers when it has ended. */
  trailers(streamId: number): Readonly<Record<string, string>> {
    const headers = this.ofStream(streamId).filter((each) => each.type === FrameType.HEADERS);
    return headers.at(-1)?.fields ?? {};
  }

  /** Error code of the reset of a stream, or -1. */
  resetOf(streamId: number): number {
    const reset = this.ofStream(streamId).find((each) => each.type === FrameType.RST_STREAM);
    return reset?.payload.readUInt32BE(0) ?? -1;
  }

  /** Error code and debug text of the last GOAWAY, or null. */
  goaway(): { lastStreamId: number; errorCode: number; text: string } | null {
    const last = this.ofType(FrameType.GOAWAY).at(-1);
    if (last === undefined) return null;
    const { payload } = last;
    const text = payload.toString('latin1', 8);
    return { lastStreamId: payload.readUInt32BE(0), errorCode: payload.readUInt32BE(4), text };
  }
}

export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array = NO_PAYLOAD,
): Buffer {
  const bytes = Buffer.alloc(9 + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes[3] = type;
  bytes[4] = flags;
  bytes.writeUInt32BE(streamId, 5);
  bytes.set(payload, 9);
  return bytes;
}

export function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

function settingsFrame(settings: readonly (readonly [id: number, value: number])[]): Buffer {
  const payload = Buffer.alloc(settings.length * 6);
  for (const [i, [id, value]] of settings.entries()) {
    payload.writeUInt16BE(id, i * 6);
    payload.writeUInt32BE(value, i * 6 + 2);
  }
  return frame(FrameType.SETTINGS, 0, 0, payload);
}
