/**
 * Threads for bcrypt, which costs a tenth of a second of CPU on purpose. They are started when there is work, at most one
 * fewer than there are processors, and end when there has been none for a while. Not Node's own pool: that writes the log.
 */
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { type Clock, InvariantError, RingBuffer, type Timer } from '@etcd/base';
import { encodeBase64, hashSync } from 'bcryptjs';
import type { BcryptJob } from './bcrypt-worker.ts';
import type { Bcrypt } from './passwords.ts';

interface Task {
  readonly job: BcryptJob;
  readonly done: (error: Error | null, result: string | boolean) => void;
}

/** Passwords that wait; more are refused. */
const MAX_QUEUED = 1000;
const IDLE_MS = 60_000;
const SALT_BYTES = 16;
/** In a bundle the worker is a program beside it. */
const WORKER = new URL(
  import.meta.url.endsWith('.ts') ? './bcrypt-worker.ts' : './bcrypt-worker.mjs',
  import.meta.url,
);

export interface BcryptPoolOptions {
  readonly clock: Clock;
  readonly secret: (count: number) => Uint8Array;
  readonly maxThreads?: number | undefined;
}

export class BcryptPool implements Bcrypt {
  readonly #options: BcryptPoolOptions;
  readonly #maxThreads: number;
  readonly #queue = new RingBuffer<Task>();
  readonly #idle: Worker[] = [];
  readonly #busy = new Map<Worker, Task>();
  #idleTimer: Timer | null = null;
  #isStopped = false;

  constructor(options: BcryptPoolOptions) {
    this.#options = options;
    this.#maxThreads = options.maxThreads ?? Math.max(1, availableParallelism() - 1);
  }

  hashThen(password: string, cost: number, done: (error: Error | null, hash: string) => void): void {
    const salt = saltOf(cost, this.#options.secret(SALT_BYTES));
    this.#add({ job: { password, salt, hash: null }, done: (error, hash) => done(error, String(hash)) });
  }

  compareThen(password: string, hash: string, done: (error: Error | null, isEqual: boolean) => void): void {
    this.#add({
      job: { password, salt: null, hash },
      done: (error, isEqual) => done(error, isEqual === true),
    });
  }

  hashNow(password: string, cost: number, salt: Uint8Array): string {
    return hashSync(password, saltOf(cost, salt));
  }

  stop(): void {
    this.#isStopped = true;
    this.#idleTimer?.cancel();
    for (const worker of [...this.#idle, ...this.#busy.keys()]) void worker.terminate();
    const tasks = [...this.#busy.values()];
    this.#busy.clear();
    for (let task = this.#queue.take(); task !== undefined; task = this.#queue.take()) tasks.push(task);
    for (const { done } of tasks) done(new Error('stopped'), false);
  }

  #add(task: Task): void {
    if (this.#isStopped || this.#queue.count >= MAX_QUEUED) {
      return task.done(new Error('too many passwords are being checked'), false);
    }
    this.#queue.push(task);
    this.#next();
  }

  #next(): void {
    while (this.#queue.count > 0) {
      const worker = this.#idle.pop() ?? (this.#busy.size < this.#maxThreads ? this.#start() : null);
      if (worker === null) return;
      const task = this.#queue.take()!;
      this.#busy.set(worker, task);
      worker.postMessage(task.job);
    }
  }

  #start(): Worker {
    const worker = new Worker(WORKER);
    // An idle thread does not keep the process alive.
    worker.unref();
    worker.on('message', (result: string | boolean) => this.#finish(worker, null, result));
    worker.on('error', (error: Error) => this.#finish(worker, error, false));
    return worker;
  }

  #finish(worker: Worker, error: Error | null, result: string | boolean): void {
    const task = this.#busy.get(worker);
    if (task === undefined) return;
    this.#busy.delete(worker);
    if (error === null) this.#idle.push(worker);
    this.#scheduleEnd();
    task.done(error, result);
    if (!this.#isStopped) this.#next();
  }

  #scheduleEnd(): void {
    if (this.#idleTimer !== null || this.#isStopped) return;
    this.#idleTimer = this.#options.clock.setTimer(IDLE_MS, () => {
      this.#idleTimer = null;
      if (this.#busy.size > 0) return this.#scheduleEnd();
      for (const worker of this.#idle.splice(0)) void worker.terminate();
    });
  }
}

/** Of the version that Go's bcrypt writes. */
function saltOf(cost: number, salt: Uint8Array): string {
  if (salt.length !== SALT_BYTES) throw new InvariantError('bcrypt: a salt has 16 bytes');
  return `$2a$${String(cost).padStart(2, '0')}$${encodeBase64([...salt], SALT_BYTES)}`;
}
