/**
 * Reads one HTTP/1.1 response from the bytes of a connection. Streams of messages are read with this instead of Node's
 * client, because etcd sends them in chunks of 2 KiB: here the chunks of one read are pushed together where they lie and
 * handed on as one piece.
 */
import { latin1FromBytes } from '@etcd/base';
import { PeerCodecError } from './codec-error.ts';

export interface HttpResponseHead {
  readonly status: number;
  /** Names in lower case; of a name that comes twice the last one. */
  readonly headers: ReadonlyMap<string, string>;
}

export interface HttpResponseSink {
  onHead(head: HttpResponseHead): void;
  /** The next bytes of the body, `bytes[start, end)`, valid during the call. */
  onBody(bytes: Uint8Array, start: number, end: number): void;
  /** The body is complete. Nothing follows. */
  onEnd(): void;
}

const MAX_HEAD_BYTES = 16 * 1024;
/** Sixteen hex digits would be exact no more, and no chunk is that long. */
const MAX_CHUNK_SIZE_DIGITS = 12;
const MAX_CHUNK_LINE_BYTES = 256;
const LF = 10;
const CR = 13;

type State =
  | 'head'
  | 'identity'
  | 'length'
  | 'chunk-size'
  | 'chunk-line'
  | 'chunk-data'
  | 'chunk-end'
  | 'trailer'
  | 'over';

export class HttpResponseReader {
  readonly #sink: HttpResponseSink;
  #state: State = 'head';
  #head = '';
  /** Of the body or of the chunk. */
  #left = 0;
  #sizeDigits = 0;
  #lineBytes = 0;
  /** The sink has had enough. */
  #isStopped = false;

  constructor(sink: HttpResponseSink) {
    this.#sink = sink;
  }

  /** Nothing is handed on any more. */
  stop(): void {
    this.#isStopped = true;
  }

  /** Takes the next bytes, `buffer[0, length)`, which it may move about. Throws {@link PeerCodecError}. */
  push(buffer: Uint8Array, length: number): void {
    let position = 0;
    if (this.#state === 'head') position = this.#readHead(buffer, length);
    if (position < length) this.#readBody(buffer, position, length);
  }

  /** The connection has ended. False when that cuts the response off. */
  end(): boolean {
    const isWhole = this.#state === 'over' || this.#state === 'identity';
    if (this.#state === 'identity') this.#finish();
    return isWhole;
  }

  #readBody(buffer: Uint8Array, position: number, length: number): void {
    switch (this.#state) {
      case 'head':
      case 'over':
        return;
      case 'identity':
        return this.#give(buffer, position, length);
      case 'length':
        return this.#readLength(buffer, position, length);
      default:
        return this.#readChunks(buffer, position, length);
    }
  }

  #give(bytes: Uint8Array, start: number, end: number): void {
    if (!this.#isStopped && end > start) this.#sink.onBody(bytes, start, end);
  }

  #finish(): void {
    this.#state = 'over';
    if (!this.#isStopped) this.#sink.onEnd();
  }

  /** Returns where the body begins. */
  #readHead(buffer: Uint8Array, length: number): number {
    const before = this.#head.length;
    const taken = Math.min(length, MAX_HEAD_BYTES - before);
    this.#head += latin1FromBytes(buffer, 0, taken);
    const end = this.#head.indexOf('\r\n\r\n', Math.max(0, before - 3));
    if (end < 0) {
      if (this.#head.length >= MAX_HEAD_BYTES) throw new PeerCodecError('http', 'response head is too large');
      return length;
    }
    const head = parseHead(this.#head.slice(0, end));
    this.#head = '';
    this.#chooseBody(head);
    this.#sink.onHead(head);
    if (this.#state === 'length' && this.#left === 0) this.#finish();
    return end + 4 - before;
  }

  #chooseBody({ status, headers }: HttpResponseHead): void {
    const lengthText = headers.get('content-length');
    if (status === 204 || status === 304) {
      this.#state = 'length';
    } else if (headers.get('transfer-encoding')?.toLowerCase() === 'chunked') {
      this.#state = 'chunk-size';
    } else if (lengthText !== undefined) {
      if (!/^\d{1,15}$/.test(lengthText)) throw new PeerCodecError('http', 'bad Content-Length');
      this.#state = 'length';
      this.#left = Number(lengthText);
    } else {
      this.#state = 'identity';
    }
  }

  #readLength(buffer: Uint8Array, position: number, length: number): void {
    const end = Math.min(length, position + this.#left);
    this.#left -= end - position;
    this.#give(buffer, position, end);
    if (this.#left === 0) this.#finish();
  }

  /** Moves what the chunks contain together, and hands it on at once. */
  #readChunks(buffer: Uint8Array, position: number, length: number): void {
    let start = position;
    let end = position;
    while (position < length && this.#state !== 'over') {
      if (this.#state !== 'chunk-data') {
        this.#readChunkFrame(buffer[position++]!);
        continue;
      }
      const part = Math.min(this.#left, length - position);
      if (end === start) start = end = position;
      else if (end !== position) buffer.copyWithin(end, position, position + part);
      end += part;
      position += part;
      this.#left -= part;
      if (this.#left === 0) this.#state = 'chunk-end';
    }
    this.#give(buffer, start, end);
    if (this.#state === 'over' && !this.#isStopped) this.#sink.onEnd();
  }

  /** One byte of what is around the content of chunks. */
  #readChunkFrame(byte: number): void {
    if (++this.#lineBytes > MAX_CHUNK_LINE_BYTES) throw new PeerCodecError('http', 'chunk head is too large');
    switch (this.#state) {
      case 'chunk-size':
        return this.#readChunkSize(byte);
      case 'chunk-line':
        if (byte === LF) this.#beginChunk();
        return;
      case 'chunk-end':
        if (byte === CR) return;
        if (byte !== LF) throw new PeerCodecError('http', 'malformed chunked encoding');
        this.#lineBytes = 0;
        this.#state = 'chunk-size';
        return;
      default:
        return this.#readTrailer(byte);
    }
  }

  #readChunkSize(byte: number): void {
    const digit = hexDigit(byte);
    if (digit >= 0) {
      if (++this.#sizeDigits > MAX_CHUNK_SIZE_DIGITS) throw new PeerCodecError('http', 'chunk is too large');
      this.#left = this.#left * 16 + digit;
      return;
    }
    if (this.#sizeDigits === 0) throw new PeerCodecError('http', 'malformed chunked encoding');
    // Spaces and extensions, up to the end of the line.
    this.#state = 'chunk-line';
    if (byte === LF) this.#beginChunk();
  }

  #beginChunk(): void {
    this.#sizeDigits = 0;
    this.#lineBytes = 0;
    this.#state = this.#left > 0 ? 'chunk-data' : 'trailer';
  }

  /** Fields behind the last chunk, which nobody uses, up to an empty line. */
  #readTrailer(byte: number): void {
    // Of a line, only the ends count: the length since the last one tells an empty line.
    if (byte === CR) this.#lineBytes--;
    if (byte !== LF) return;
    if (this.#lineBytes === 1) this.#state = 'over';
    this.#lineBytes = 0;
  }
}

function parseHead(text: string): HttpResponseHead {
  const [statusLine = '', ...lines] = text.split('\r\n');
  const match = /^HTTP\/1\.[01] (\d{3})(?: |$)/.exec(statusLine);
  if (match === null) throw new PeerCodecError('http', 'malformed HTTP response');
  const headers = new Map<string, string>();
  for (const line of lines) {
    const colon = line.indexOf(':');
    if (colon <= 0) throw new PeerCodecError('http', 'malformed HTTP response');
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return { status: Number(match[1]), headers };
}

function hexDigit(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const letter = byte | 0x20;
  return letter >= 97 && letter <= 102 ? letter - 87 : -1;
}
