/** The gateway of a member in memory, and clients of it whose every piece a test sends itself. */
import assert from 'node:assert/strict';
import { PutRequest } from '@etcd/api/etcdserverpb';
import { KvService } from '@etcd/api/services';
import { FakeMember } from '../../rpc/testing/served-member.ts';
import { Gateway } from '../gateway.ts';
import type { AnswerHeaders, HttpCall } from '../http-call.ts';

const KEY = Buffer.from('k');

export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly isOfMessages?: boolean;
  readonly target?: string;
}

/** A client of the gateway: one request, whose body a test sends in pieces, and its one answer. */
export class FakeCall implements HttpCall {
  readonly method: string;
  readonly target: string;
  readonly isSecure = false;
  readonly commonName = '';
  readonly remoteAddress = '10.0.0.9:1234';
  readonly isOfMessages: boolean;
  isBodyPaused = false;
  status = 0;
  answerHeaders: Readonly<Record<string, string>> = {};
  body = '';
  isEnded = false;
  /** Whether it takes what is written. */
  isReading = true;
  readonly #headers: Readonly<Record<string, string>>;
  #onPiece: ((bytes: Uint8Array) => void) | null = null;
  #onEnd: (() => void) | null = null;
  #onWritable: (() => void) | null = null;
  #onCancel: (() => void) | null = null;

  constructor({ method = 'POST', headers = {}, isOfMessages = false, target = '' }: Asked = {}) {
    this.target = target;
    this.isOfMessages = isOfMessages;
    this.method = method;
    this.#headers = headers;
  }

  send(text: string): void {
    this.#onPiece?.(Buffer.from(text));
  }

  finish(): void {
    this.#onEnd?.();
  }

  leave(): void {
    this.#onCancel?.();
  }

  readAgain(): void {
    this.isReading = true;
    this.#onWritable?.();
  }

  header(name: string): string | null {
    return this.#headers[name] ?? null;
  }

  readBody(onPiece: (bytes: Uint8Array) => void, onEnd: () => void): void {
    this.#onPiece = onPiece;
    this.#onEnd = onEnd;
  }

  pauseBody(): void {
    this.isBodyPaused = true;
  }

  resumeBody(): void {
    this.isBodyPaused = false;
  }

  respond(status: number, headers: AnswerHeaders, body: Uint8Array | string): void {
    this.start(status, headers);
    this.write(body);
    this.end();
  }

  start(status: number, headers: AnswerHeaders): void {
    assert.equal(this.status, 0, 'answered twice');
    this.status = status;
    this.answerHeaders = Object.fromEntries(headers);
  }

  write(piece: Uint8Array | string): boolean {
    assert.ok(this.status !== 0, 'written before it has begun');
    assert.ok(!this.isEnded, 'written behind the end');
    this.body += String(typeof piece === 'string' ? piece : Buffer.from(piece));
    return this.isReading;
  }

  end(): void {
    assert.ok(!this.isEnded, 'ended twice');
    this.isEnded = true;
  }

  onWritable(then: () => void): void {
    this.#onWritable = then;
  }

  onCancel(then: () => void): void {
    this.#onCancel = then;
  }

  get lines(): Record<string, Record<string, unknown>>[] {
    return this.body
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
  }
}

export class Fixture {
  readonly member = new FakeMember();
  readonly #gateway: Gateway;

  constructor(maxBodyBytes = 10_000) {
    const { grpc, clock } = this.member;
    this.#gateway = new Gateway({
      grpc,
      clock,
      version: '3.7.0',
      maxBodyBytes,
      maxUnfinishedBytes: 1_000_000,
    });
  }

  /** A request whose body has not come yet. */
  open(path: string, asked: Asked = {}): FakeCall {
    const call = new FakeCall(asked);
    this.#gateway.answer(path, call);
    return call;
  }

  /** Sends these pieces; everything has come to rest behind each. */
  send(call: FakeCall, ...pieces: string[]): FakeCall {
    for (const piece of pieces) {
      call.send(piece);
      this.member.clock.settle();
    }
    return call;
  }

  finish(call: FakeCall): FakeCall {
    call.finish();
    this.member.clock.settle();
    return call;
  }

  ask(path: string, body: object | string, asked: Asked = {}): FakeCall {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    return this.finish(this.send(this.open(path, asked), text));
  }

  put(value: string): void {
    this.member.ask(KvService.methods.put, new PutRequest({ key: KEY, value: Buffer.from(value) }));
  }
}
