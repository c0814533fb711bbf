/**
 * HTTP/2 at the level of frames, for requests that no HTTP/2 library would send. Header blocks are written without
 * compression; those received are not read: what matters here is which frames come, and that the connection ends.
 */
import { connect, type Socket } from 'node:net';
import { PATIENCE_MS } from './run.ts';

export const FRAME = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

export const FLAG = { ACK: 1, END_STREAM: 1, END_HEADERS: 4 } as const;

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');

export interface RawFrame {
  readonly type: number;
  readonly flags: number;
  readonly stream: number;
  readonly payload: Buffer;
}

export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Uint8Array = Buffer.alloc(0),
): Buffer {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  header.writeUInt32BE(stream, 5);
  return Buffer.concat([header, payload]);
}

/** A header block of literal fields, none of them indexed. */
export function headerBlock(headers: readonly (readonly [string, string])[]): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of headers) {
    parts.push(Buffer.from([0]), hpackString(name), hpackString(value));
  }
  return Buffer.concat(parts);
}

function hpackString(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1');
  if (bytes.length < 127) return Buffer.concat([Buffer.from([bytes.length]), bytes]);
  const length: number[] = [127];
  let rest = bytes.length - 127;
  for (; rest >= 128; rest >>= 7) length.push((rest & 127) | 128);
  length.push(rest);
  return Buffer.concat([Buffer.from(length), bytes]);
}

export function grpcHeaders(path: string): [string, string][] {
  return [
    [':method', 'POST'],
    [':scheme', 'http'],
    [':path', path],
    [':authority', '127.0.0.1'],
    ['content-type', 'application/grpc'],
    ['te', 'trailers'],
  ];
}

/** A message as it travels in DATA frames. */
export function grpcMessage(message: Uint8Array, announcedLength = message.length, flags = 0): Buffer {
  const header = Buffer.alloc(5);
  header[0] = flags;
  header.writeUInt32BE(announcedLength, 1);
  return Buffer.concat([header, message]);
}

export class RawConnection {
  readonly frames: RawFrame[] = [];
  /** Every byte received, for those who speak something else. */
  received = Buffer.alloc(0);
  readonly #socket: Socket;
  #unparsed = Buffer.alloc(0);
  #isClosed = false;
  readonly #waiting = new Set<() => void>();
  readonly #parse: boolean;

  private constructor(socket: Socket, parse: boolean) {
    this.#socket = socket;
    this.#parse = parse;
    socket.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk]);
      if (this.#parse) this.#read(chunk);
      this.#wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#isClosed = true;
      this.#wake();
    });
  }

  /** A connection on which nothing has been sent yet. */
  static open(port: number, parse = true): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect(port, '127.0.0.1', () => resolve(new RawConnection(socket, parse)));
      socket.once('error', reject);
    });
  }

  /** A connection past its preface, with default settings. */
  static async http2(port: number, settings: Uint8Array = Buffer.alloc(0)): Promise<RawConnection> {
    const connection = await RawConnection.open(port);
    connection.send(PREFACE, frame(FRAME.SETTINGS, 0, 0, settings));
    await connection.waitFor((f) => f.type === FRAME.SETTINGS);
    connection.send(frame(FRAME.SETTINGS, FLAG.ACK, 0));
    return connection;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  send(...chunks: Uint8Array[]): void {
    if (!this.#isClosed) this.#socket.write(Buffer.concat(chunks));
  }

  /** Ends it without ceremony: a reset, as of a machine that lost its power. */
  vanish(): void {
    this.#socket.resetAndDestroy();
  }

  end(): void {
    this.#socket.end();
  }

  pause(): void {
    this.#socket.pause();
  }

  async waitFor(condition: (frame: RawFrame) => boolean, timeoutMs = PATIENCE_MS): Promise<RawFrame> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const found = this.frames.find(condition);
      if (found !== undefined) return found;
      const leftMs = deadline - Date.now();
      if (this.#isClosed || leftMs <= 0) {
        const seen = this.frames.map((f) => `${f.type}/${f.flags}/${f.stream}`).join(' ');
        throw new Error(`${this.#isClosed ? 'closed' : 'timed out'}; frames so far: ${seen}`);
      }
      await this.#change(leftMs);
    }
  }

  /** Resolves once the other side has closed; false if it has not in time. */
  async waitForClose(timeoutMs: number): Promise<boolean> {
    const deadline = Date.now() + timeoutMs;
    while (!this.#isClosed && Date.now() < deadline) await this.#change(deadline - Date.now());
    return this.#isClosed;
  }

  /** The error code with which the connection or a stream was ended, or null. */
  ending(): { goaway: number } | { reset: number } | null {
    for (const { type, payload } of this.frames) {
      if (type === FRAME.GOAWAY) return { goaway: payload.readUInt32BE(4) };
      if (type === FRAME.RST_STREAM) return { reset: payload.readUInt32BE(0) };
    }
    return null;
  }

  #read(chunk: Buffer): void {
    this.#unparsed = Buffer.concat([this.#unparsed, chunk]);
    while (this.#unparsed.length >= 9) {
      const length = this.#unparsed.readUIntBE(0, 3);
      if (this.#unparsed.length < 9 + length) return;
      this.frames.push({
        type: this.#unparsed[3]!,
        flags: this.#unparsed[4]!,
        stream: this.#unparsed.readUInt32BE(5) & 0x7fff_ffff,
        payload: this.#unparsed.subarray(9, 9 + length),
      });
      this.#unparsed = this.#unparsed.subarray(9 + length);
    }
  }

  #change(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, timeoutMs);
      this.#waiting.add(done);
    });
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}
