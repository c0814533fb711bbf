/**
 * Linearizable reads: a read may be served once this member has applied everything that was committed when the read was
 * asked for. All reads of a turn share one question to the leader. (The question, its retries and its errors are those of
 * etcd's read loop.)
 *
 * A reader is in one place: it waits for the next question, belongs to the one that is under way, or to an answer that is ahead of what
 * is applied. It leaves it before it is told, once.
 */

import { INTERNAL_ERRORS, type InternalError, type LogIndex } from '@etcd/api';
import { assert, equalBytes } from '@etcd/base';
import type { ReadState } from '@etcd/raft';
import type { Reader } from '../request/index.ts';
import type { MemberEnvironment } from './member-environment.ts';

const { ErrLeaderChanged, ErrTimeout, ErrStopped } = INTERNAL_ERRORS.errors;

export interface LinearizableReadsOptions
  extends Pick<MemberEnvironment, 'clock' | 'logger' | 'node' | 'random' | 'requestTimeoutMs'> {
  /** Asks for a turn of the raft loop. */
  readonly wake: () => void;
  readonly appliedIndex: () => LogIndex;
  readonly onSlow: () => void;
  readonly onFailed: () => void;
}

const RETRY_MS = 500;
/** Bytes of a question's name that are the process's, and of those that are counted. */
const PROCESS_BYTES = 8;
const COUNT_BYTES = 8;

/** The question that is under way, with its retries. */
interface Question {
  readonly ids: Set<number>;
  readonly readers: readonly Reader[];
  readonly startMs: number;
  askedMs: number;
}

/** Readers for whom the leader has answered, until the member has applied so much. */
interface Confirmed {
  readonly index: LogIndex;
  readonly readers: readonly Reader[];
}

export class LinearizableReads {
  readonly #options: LinearizableReadsOptions;
  #waiting: Reader[] = [];
  #question: Question | null = null;
  #confirmed: Confirmed[] = [];
  /**
   * What the names of this process's questions begin with, drawn at random: an answer that was given to another member, or to a former
   * run of this one, and comes late, is not to be taken for an answer to what is asked now: its index is too old.
   */
  readonly #process = new Uint8Array(PROCESS_BYTES);
  #count = 0;

  constructor(options: LinearizableReadsOptions) {
    this.#options = options;
    const view = new DataView(this.#process.buffer);
    view.setUint32(0, options.random.uint32());
    view.setUint32(4, options.random.uint32());
  }

  /** Readers that have had no answer yet. */
  get waitingCount(): number {
    const confirmed = this.#confirmed.reduce((sum, { readers }) => sum + readers.length, 0);
    return confirmed + (this.#question?.readers.length ?? 0) + this.#waiting.length;
  }

  /** Tells `reader` when it may read, in this turn at the earliest. */
  add(reader: Reader): void {
    this.#waiting.push(reader);
    if (this.#question === null) this.#options.wake();
  }

  /** Asks for all that wait, unless a question is under way. To be called at the start of a turn. */
  ask(): void {
    if (this.#question !== null || this.#waiting.length === 0) return;
    const nowMs = this.#options.clock.now();
    this.#question = { ids: new Set(), readers: this.#waiting, startMs: nowMs, askedMs: nowMs };
    this.#waiting = [];
    this.#send(this.#question);
  }

  onReadState({ index, requestContext }: ReadState): void {
    const question = this.#question;
    if (question?.ids.has(this.#idOf(requestContext)) !== true) {
      this.#options.onSlow();
      this.#options.logger.warn(
        'ignored out-of-date read index response; local node read indexes queueing up',
      );
      return;
    }
    this.#question = null;
    if (this.#options.appliedIndex() >= index) release(question.readers);
    else this.#confirmed.push({ index, readers: question.readers });
    if (this.#waiting.length > 0) this.#options.wake();
  }

  onApplied(index: LogIndex): void {
    if (this.#confirmed.length === 0) return;
    const ready = this.#confirmed.filter((confirmed) => confirmed.index <= index);
    this.#confirmed = this.#confirmed.filter((confirmed) => confirmed.index > index);
    for (const { readers } of ready) release(readers);
  }

  /** The answer to what was asked under another leader would prove nothing. */
  onLeaderChanged(): void {
    if (this.#question === null) return;
    this.#options.onFailed();
    this.#fail(ErrLeaderChanged);
  }

  /** A leader can answer only after the first commit of its term: ask again at once. */
  onFirstCommitInTerm(): void {
    if (this.#question !== null) this.#send(this.#question);
  }

  /** To be called now and then: asks again, and gives up. */
  onTick(): void {
    const question = this.#question;
    if (question === null) return;
    const { clock, logger, requestTimeoutMs } = this.#options;
    const nowMs = clock.now();
    if (nowMs - question.startMs >= requestTimeoutMs) {
      logger.warn('timed out waiting for read index response (local node might have slow network)', {
        timeout: `${requestTimeoutMs}ms`,
      });
      this.#options.onSlow();
      this.#fail(ErrTimeout);
    } else if (nowMs - question.askedMs >= RETRY_MS) {
      logger.warn('waiting for ReadIndex response took too long, retrying', {
        'retry-timeout': `${RETRY_MS}ms`,
      });
      this.#send(question);
    }
  }

  /** Nobody will be served any more. */
  stop(): void {
    const readers = [
      ...this.#confirmed.flatMap((confirmed) => confirmed.readers),
      ...(this.#question?.readers ?? []),
      ...this.#waiting,
    ];
    this.#confirmed = [];
    this.#question = null;
    this.#waiting = [];
    for (const reader of readers) reader.onUnreadable(ErrStopped);
  }

  #send(question: Question): void {
    assert(question === this.#question, 'reads: a question that nobody asks any more');
    const { node, clock, wake } = this.#options;
    const id = ++this.#count;
    assert(id < Number.MAX_SAFE_INTEGER, 'reads: no names are left for questions');
    question.ids.add(id);
    question.askedMs = clock.now();
    node.readIndex(this.#contextOf(id));
    wake();
  }

  /** Other members pass it on as it is. */
  #contextOf(id: number): Uint8Array {
    const context = new Uint8Array(PROCESS_BYTES + COUNT_BYTES);
    context.set(this.#process);
    const view = new DataView(context.buffer, PROCESS_BYTES);
    view.setUint32(0, Math.floor(id / 2 ** 32));
    view.setUint32(4, id % 2 ** 32);
    return context;
  }

  /** -1: not a question of this process. */
  #idOf(context: Uint8Array): number {
    if (context.length !== PROCESS_BYTES + COUNT_BYTES) return -1;
    if (!equalBytes(context.subarray(0, PROCESS_BYTES), this.#process)) return -1;
    const view = new DataView(context.buffer, context.byteOffset + PROCESS_BYTES, COUNT_BYTES);
    return view.getUint32(0) * 2 ** 32 + view.getUint32(4);
  }

  #fail(error: InternalError): void {
    const readers = this.#question?.readers ?? [];
    this.#question = null;
    for (const reader of readers) reader.onUnreadable(error);
    if (this.#waiting.length > 0) this.#options.wake();
  }
}

function release(readers: readonly Reader[]): void {
  for (const reader of readers) reader.onReadable();
}
