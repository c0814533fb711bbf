/**
 * Members prove to each other that they have the same data: `index.ts` says how. One per member; its owner feeds it with what is
 * applied, and serves no client while {@link Integrity.isFenced}.
 */
import type { Revision } from '@etcd/api';
import type { RevisionLog } from '@etcd/storage/backend';
import { memberDirectory } from '@etcd/storage/data';
import type { PeerRequest, PeerResponse } from '../peer/index.ts';
import { ChangeHashes } from './change-hashes.ts';
import { CorruptionChecks } from './corruption-checks.ts';
import { Fence } from './fence.ts';
import { Findings } from './findings.ts';
import type { IntegrityHost } from './integrity-host.ts';
import { Scrubber } from './scrubber.ts';
import { StateExchange } from './state-exchange.ts';
import { answerStateHash, parseStateHashQuestion } from './state-hash-protocol.ts';

/** How often a fenced leader tries to get rid of the leadership: longer than a try takes. */
const STEP_ASIDE_MS = 5000;

export class Integrity {
  readonly fence: Fence;
  readonly #host: IntegrityHost;
  readonly #hashes = new ChangeHashes();
  readonly #exchange: StateExchange;
  readonly #scrubber: Scrubber;
  readonly #checks: CorruptionChecks;
  #isStopped = false;

  constructor(host: IntegrityHost) {
    const { disk, logger, config } = host;
    this.#host = host;
    this.fence = new Fence({ disk, directory: memberDirectory(config), logger });
    const findings = new Findings(host, this.fence);
    const hashes = this.#hashes;
    this.#exchange = new StateExchange({
      host,
      hashes,
      findings,
      onUndecided: () => this.#scrubber.want(),
    });
    this.#scrubber = new Scrubber({
      host,
      findings,
      hasForeignMember: () => this.#exchange.hasForeignMember,
    });
    this.#checks = new CorruptionChecks(host);
  }

  /** The member's data differ from the majority's: nobody may read or change them. */
  get isFenced(): boolean {
    return this.fence.isRaised;
  }

  /** Takes in what a transaction has changed. Hot. */
  onChanges(revision: Revision, log: RevisionLog): void {
    this.#hashes.onChanges(revision, log);
  }

  /** The store is restored, and nothing is served yet. `done` gets what speaks against going on; null: nothing. */
  checkThen(done: (problem: string | null) => void): void {
    if (this.#host.config.featureGates.InitialCorruptCheck) this.#checks.initialCheckThen(done);
    else done(null);
  }

  /** The member takes part in its cluster. */
  start(): void {
    this.#checks.start();
    this.#exchange.start();
    this.#scrubber.start();
    this.fence.whenRaised(() => this.#onFenced());
  }

  stop(): void {
    this.#isStopped = true;
    this.#exchange.stop();
    this.#scrubber.stop();
    this.#checks.stop();
  }

  /** Answers what other members ask at `/members/statehash`. */
  answer({ method, path }: PeerRequest): PeerResponse {
    if (method === 'POST') {
      this.#scrubber.want();
      return text(202, '');
    }
    const question = method === 'GET' ? parseStateHashQuestion(path) : null;
    if (question === null) return text(400, 'GET with a range of revisions, or POST');
    const body = Buffer.from(answerStateHash(this.#hashes, question));
    return { status: 200, contentType: 'application/json', body };
  }

  /** Nothing is gained by comparing on; what was applied is still told to those who ask. */
  #onFenced(): void {
    this.#host.metrics.integrityFenced.set(1);
    this.#exchange.stop();
    this.#scrubber.stop();
    this.#stepAside();
  }

  #stepAside(): void {
    if (this.#isStopped) return;
    const { clock, stepAside } = this.#host;
    stepAside();
    clock.setTimer(STEP_ASIDE_MS, () => this.#stepAside());
  }
}

function text(status: number, body: string): PeerResponse {
  return { status, contentType: 'text/plain; charset=utf-8', body: Buffer.from(body) };
}
