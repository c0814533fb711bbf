/**
 * The end of the process, in all its forms.
 *
 *  - SIGTERM and SIGINT stop the member in order: the handlers run one after the other, then the process dies by the same
 *    signal, as etcd does (process 1 of a container, which can't die so, exits with 0). A second signal, or a handler
 *    that takes too long, ends it at once: what was acknowledged is on disk by then.
 *  - SIGQUIT, and what else ends a Go program with a dump, ends it at once with code 2.
 *  - Signals that mean nothing to a Go program mean nothing here, whatever their default is: {@link ignoreSignals}.
 *  - SIGHUP has certificates read again, once a member runs.
 *  - An exception that nobody caught, a broken invariant above all, is logged as fatal with its stack and ends the process with
 *    code 2, as a panic does: going on could write wrong data.
 *  - {@link Lifecycle.die} is for the failures that are expected: one fatal line, code 1. So end those, too, that nobody caught
 *    and that are the machine's: a disk that can't be read, a page that is damaged.
 *
 * Every way out writes the log first. There is no other: a process that waits for nothing but timers does not count as busy for Node, which
 * would end it without a word, with code 0, in the middle of a start or of an orderly stop.
 */
import type { Clock, Timer } from '@etcd/base';
import { InvariantError } from '@etcd/base';
import type { EtcdLogger } from '../logging/index.ts';

const EXIT_OK = 0;
const EXIT_FAILURE = 1;
const EXIT_PANIC = 2;

/** What is used of Node's `process`. */
export interface ProcessLike {
  readonly pid: number;
  on(event: string, listener: (...args: never[]) => void): unknown;
  removeAllListeners(event: string): unknown;
  kill(pid: number, signal: NodeJS.Signals): unknown;
}

export interface LifecycleOptions {
  readonly process: ProcessLike;
  readonly logger: EtcdLogger;
  readonly clock: Clock;
  /** How long the handlers may take together. */
  readonly shutdownLimitMs: number;
  /** Keeps Node from ending the process when nothing but timers is pending: {@link holdProcess}. */
  readonly hold: () => void;
  /** The line for an error that is the machine's and not the program's; null: it is the program's. */
  readonly failureOf?: ((error: unknown) => string | null) | undefined;
  /** Ends the process when something has failed, even where nothing can be written any more. */
  readonly exit: (code: number) => never;
}

type StopSignal = 'SIGTERM' | 'SIGINT';

/** As Go names them, which is what etcd logs. */
const SIGNAL_TEXTS: Readonly<Record<StopSignal, string>> = { SIGTERM: 'terminated', SIGINT: 'interrupt' };

/** Those of them that come from a fault of the process itself are not to be handled in JavaScript. */
const QUIT_SIGNALS: Readonly<Record<string, string>> = {
  SIGQUIT: 'quit',
  SIGABRT: 'aborted',
  SIGTRAP: 'trace/breakpoint trap',
  SIGSTKFLT: 'stack fault',
  SIGSYS: 'bad system call',
};

/** A limit on CPU time, timers, and what supervisors send to programs that make something of it. */
const IGNORED_SIGNALS = ['SIGUSR2', 'SIGALRM', 'SIGVTALRM', 'SIGIO', 'SIGPWR', 'SIGXCPU', 'SIGPROF'];

/** Signals that end a process unless it says otherwise, and that etcd does not care about. To be called before anything else. */
export function ignoreSignals(on: Pick<ProcessLike, 'on'>, options: readonly string[]): void {
  // By this one V8 looks at what is running.
  const isProfiled = options.some((option) => option.startsWith('--cpu-prof'));
  for (const signal of IGNORED_SIGNALS) {
    if (signal !== 'SIGPROF' || !isProfiled) on.on(signal, () => {});
  }
}

const INIT_PID = 1;

/** The longest that Node's timers know, 24 days. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** From now on the process ends when it is told to, whatever it waits for. */
export function holdProcess(): void {
  setInterval(() => {}, MAX_TIMER_MS);
}

export class Lifecycle {
  readonly #process: ProcessLike;
  readonly #logger: EtcdLogger;
  readonly #clock: Clock;
  readonly #shutdownLimitMs: number;
  readonly #hold: () => void;
  readonly #failureOf: (error: unknown) => string | null;
  readonly #exit: (code: number) => never;
  readonly #handlers: (() => Promise<void> | void)[] = [];
  #stopping: StopSignal | 'end' | null = null;

  constructor(options: LifecycleOptions) {
    this.#process = options.process;
    this.#logger = options.logger;
    this.#clock = options.clock;
    this.#shutdownLimitMs = options.shutdownLimitMs;
    this.#hold = options.hold;
    this.#failureOf = options.failureOf ?? (() => null);
    this.#exit = options.exit;
  }

  /** Takes over signals, uncaught exceptions and Node's own warnings. Once, early. */
  install(): void {
    this.#hold();
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      this.#process.on(signal, () => this.#onStopSignal(signal));
    }
    for (const [signal, text] of Object.entries(QUIT_SIGNALS)) {
      this.#process.on(signal, () => {
        this.#logger.fatal('received signal; quitting without shutdown', { signal: text });
        this.#exit(EXIT_PANIC);
      });
    }
    // Includes rejected promises that nobody handled.
    this.#process.on('uncaughtException', (error: unknown) => this.#onUncaught(error));
    // Node prints warnings as plain text, which is no line of the log.
    this.#process.removeAllListeners('warning');
    this.#process.on('warning', (warning: Error) => {
      this.#logger.warn('warning of the runtime', { name: warning.name, error: warning.message });
    });
  }

  /** Calls `handler` at every SIGHUP, which ends a process that does not listen to it. */
  onHangup(handler: () => void): void {
    this.#process.on('SIGHUP', () => {
      this.#logger.info('received signal; reading certificates again', { signal: 'hangup' });
      handler();
    });
  }

  /** Adds a step of an orderly stop. Steps run in the order in which they were added, each after the one before it. */
  onShutdown(handler: () => Promise<void> | void): void {
    this.#handlers.push(handler);
  }

  /** Whether an orderly stop has begun. */
  isStopping(): boolean {
    return this.#stopping !== null;
  }

  /** Ends the process because of an expected failure. */
  die(message: string, fields: Readonly<Record<string, unknown>>, code: number = EXIT_FAILURE): never {
    this.#logger.fatal(message, fields);
    this.#exit(code);
  }

  /** Stops in order because there is nothing left to do, and ends with success. */
  end(): void {
    if (this.#stopping === null) this.#stop('end');
  }

  #onStopSignal(signal: StopSignal): void {
    const fields = { signal: SIGNAL_TEXTS[signal] };
    if (this.#stopping !== null) {
      this.#logger.warn('received another signal; stopping at once', fields);
      this.#dieBy(signal);
      return;
    }
    this.#logger.info('received signal; shutting down', fields);
    this.#stop(signal);
  }

  #stop(reason: StopSignal | 'end'): void {
    this.#stopping = reason;
    const limit = this.#clock.setTimer(this.#shutdownLimitMs, () => {
      this.#logger.error('shutdown took too long; stopping at once', { 'limit-ms': this.#shutdownLimitMs });
      this.#dieBy(reason);
    });
    this.#runHandlers(reason, limit).catch((error: unknown) => this.#onUncaught(error));
  }

  async #runHandlers(reason: StopSignal | 'end', limit: Timer): Promise<void> {
    for (const handler of this.#handlers) {
      try {
        await handler();
      } catch (error) {
        if (error instanceof InvariantError) throw error;
        this.#logger.error('failed to stop a part in order', { error, stacktrace: stackOf(error) });
      }
    }
    limit.cancel();
    this.#dieBy(reason);
  }

  #dieBy(reason: StopSignal | 'end'): void {
    this.#logger.flush();
    // The kernel does not let process 1 die of a signal that it sends to itself.
    if (reason === 'end' || this.#process.pid === INIT_PID) return this.#exit(EXIT_OK);
    this.#process.removeAllListeners(reason);
    this.#process.kill(this.#process.pid, reason);
  }

  #onUncaught(error: unknown): void {
    const failure = this.#failureOf(error);
    if (failure !== null) return this.die(failure, { error });
    const message = error instanceof InvariantError ? 'invariant broken' : 'uncaught exception';
    this.#logger.fatal(message, { error: errorText(error), stacktrace: stackOf(error) });
    this.#exit(EXIT_PANIC);
  }
}

function errorText(error: unknown): string {
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error);
}

function stackOf(error: unknown): string | undefined {
  return error instanceof Error ? error.stack : undefined;
}
