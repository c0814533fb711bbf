/** Hands the leadership to a member of choice, and waits until that member leads. */

import { INTERNAL_ERRORS, type InternalError, type MemberId } from '@etcd/api';
import { assert, type Timer } from '@etcd/base';
import { formatId } from '@etcd/storage/membership';
import type { MemberEnvironment } from './member-environment.ts';

const { ErrTimeoutLeaderTransfer } = INTERNAL_ERRORS.errors;

export interface LeaderTransferOptions
  extends Pick<MemberEnvironment, 'clock' | 'logger' | 'memberId' | 'requestTimeoutMs'> {
  /** Asks raft. */
  readonly transfer: (transferee: MemberId) => void;
}

export type TransferDone = (error: InternalError | null) => void;

interface Waiting {
  readonly transferee: MemberId;
  readonly done: TransferDone;
  readonly timer: Timer;
}

export class LeaderTransfer {
  readonly #options: LeaderTransferOptions;
  #waiting: Waiting[] = [];

  constructor(options: LeaderTransferOptions) {
    this.#options = options;
  }

  start(transferee: MemberId, done: TransferDone): void {
    const { clock, requestTimeoutMs, transfer, memberId } = this.#options;
    assert(transferee !== 0n && transferee !== memberId, 'leader transfer: to nobody, or to itself');
    const waiting: Waiting = {
      transferee,
      done,
      timer: clock.setTimer(requestTimeoutMs, () => {
        this.#waiting = this.#waiting.filter((other) => other !== waiting);
        done(ErrTimeoutLeaderTransfer);
      }),
    };
    this.#waiting.push(waiting);
    this.#log('leadership transfer starting', transferee);
    transfer(transferee);
  }

  onLeader(lead: MemberId): void {
    const finished = this.#waiting.filter(({ transferee }) => transferee === lead);
    if (finished.length === 0) return;
    this.#waiting = this.#waiting.filter(({ transferee }) => transferee !== lead);
    this.#log('leadership transfer finished', lead);
    for (const { done, timer } of finished) {
      timer.cancel();
      done(null);
    }
  }

  #log(message: string, transferee: MemberId): void {
    const { logger, memberId } = this.#options;
    logger.info(message, {
      'current-leader-member-id': formatId(memberId),
      'transferee-member-id': formatId(transferee),
    });
  }
}
