/** Asks a member now and then for the time: how long the way takes, and whether its clock is far from ours. */

import type { MemberId } from '@etcd/api';
import type { EtcdUrl, Timer } from '@etcd/base';
import { formatId } from '@etcd/storage/membership';
import type { OpenCall } from './http-caller.ts';
import type { PeerEnvironment } from './peer-environment.ts';
import type { PeerResponse } from './peer-network.ts';
import { READ_TIMEOUT_MS } from './stream-kind.ts';

export const PROBING_PATH = '/raft/probing';
/** Shorter than the time after which an idle connection is closed. */
const PROBE_INTERVAL_MS = READ_TIMEOUT_MS - 1000;
/** How often the state is looked at: at first and while it is bad, and later. */
const ALERT_INTERVAL_MS = 5000;
const CALM_INTERVAL_MS = 30_000;
const MAX_DRIFT_MS = 1000;
const MAX_ANSWER_BYTES = 4096;
/** Weight of the newest round trip in the smoothed one. */
const SMOOTHING = 0.125;
/** As etcd's logs name what is probed. */
const ROUND_TRIPPER = 'ROUND_TRIPPER_RAFT_MESSAGE';

export class Prober {
  readonly #environment: PeerEnvironment;
  readonly #id: MemberId;
  #urls: readonly EtcdUrl[];
  #next = 0;
  #probeTimer: Timer | null = null;
  #reportTimer: Timer | null = null;
  #call: OpenCall | null = null;
  #smoothedMs = 0;
  #driftMs = 0;
  #problem: string | null = null;

  constructor(environment: PeerEnvironment, id: MemberId, urls: readonly EtcdUrl[]) {
    this.#environment = environment;
    this.#id = id;
    this.#urls = urls;
    this.#probeLater();
    this.#reportLater(ALERT_INTERVAL_MS);
  }

  update(urls: readonly EtcdUrl[]): void {
    this.#urls = urls;
    this.#next = 0;
  }

  stop(): void {
    this.#probeTimer?.cancel();
    this.#reportTimer?.cancel();
    this.#call?.cancel('stopped');
    this.#call = null;
  }

  #probeLater(): void {
    this.#probeTimer = this.#environment.clock.setTimer(PROBE_INTERVAL_MS, () => {
      this.#probe();
      this.#probeLater();
    });
  }

  #probe(): void {
    if (this.#call !== null) return;
    const { clock, caller } = this.#environment;
    const startMs = clock.now();
    const call = caller.call(
      {
        url: this.#urls[this.#next]!,
        method: 'GET',
        path: PROBING_PATH,
        headers: {},
        body: null,
        timeoutMs: READ_TIMEOUT_MS,
        maxAnswerBytes: MAX_ANSWER_BYTES,
        reuse: true,
      },
      (response, reason) => {
        if (this.#call !== call) return;
        this.#call = null;
        this.#problem = response === null ? reason : this.#record(response, clock.now() - startMs);
        if (this.#problem !== null) this.#next = (this.#next + 1) % this.#urls.length;
      },
    );
    this.#call = call;
  }

  /** Returns what is wrong with the answer; null when nothing is. */
  #record({ status, body }: PeerResponse, roundTripMs: number): string | null {
    const wallMs = status === 200 ? answeredTime(body) : null;
    if (wallMs === null) return `unexpected answer with status ${status}`;
    const isFirst = this.#smoothedMs === 0;
    this.#smoothedMs = isFirst ? roundTripMs : this.#smoothedMs * (1 - SMOOTHING) + roundTripMs * SMOOTHING;
    this.#driftMs = this.#environment.clock.wallNow() - wallMs - roundTripMs / 2;
    return null;
  }

  #reportLater(delayMs: number): void {
    this.#reportTimer = this.#environment.clock.setTimer(delayMs, () => this.#report());
  }

  #report(): void {
    const { logger, metrics } = this.#environment;
    const rtt = `${this.#smoothedMs.toFixed(3)}ms`;
    const fields = { 'round-tripper-name': ROUND_TRIPPER, 'remote-peer-id': formatId(this.#id), rtt };
    if (this.#problem !== null) {
      logger.warn('prober detected unhealthy status', { ...fields, error: this.#problem });
    }
    if (this.#driftMs > MAX_DRIFT_MS) {
      const drift = { 'clock-drift': `${(this.#driftMs / 1000).toFixed(3)}s` };
      logger.warn('prober found high clock drift', { ...fields, ...drift });
    }
    if (this.#smoothedMs > 0) {
      metrics.peerRoundTripTimeSeconds.labels(formatId(this.#id)).observe(this.#smoothedMs / 1000);
    }
    this.#reportLater(this.#problem === null ? CALM_INTERVAL_MS : ALERT_INTERVAL_MS);
  }
}

/** `{"OK":true,"Now":"2026-01-02T03:04:05.678901234Z"}`: Unix milliseconds, or null if it is something else. */
function answeredTime(body: Uint8Array): number | null {
  try {
    const answer: unknown = JSON.parse(Buffer.from(body).toString('utf8'));
    if (typeof answer !== 'object' || answer === null) return null;
    const { OK, Now } = answer as { OK?: unknown; Now?: unknown };
    if (OK !== true || typeof Now !== 'string') return null;
    const wallMs = Date.parse(Now);
    return Number.isNaN(wallMs) ? null : wallMs;
  } catch {
    return null;
  }
}
