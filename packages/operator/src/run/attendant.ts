/**
 * Attends to one cluster: looks, decides, acts, and looks again. What a look through the cache asks for is done only where a look at the
 * things themselves asks for it, too.
 */
import { isDeepStrictEqual } from 'node:util';
import type { MemberId } from '@etcd/api';
import type { Logger } from '@etcd/base';
import { newestGood } from '../backup/newest.ts';
import type { Action, Decision } from '../cluster/action.ts';
import { decide } from '../cluster/decide.ts';
import { templateOf } from '../cluster/manifests.ts';
import { clientUrl, ordinalOf } from '../cluster/names.ts';
import type { Observed } from '../cluster/observed.ts';
import { type Access, changeMembers, Members } from '../etcd/members.ts';
import { describeError } from '../kubernetes/api.ts';
import { operatorTls } from '../kubernetes/operator-tls.ts';
import { observedFrom, ownerOf, type Parts } from '../kubernetes/parts.ts';
import type { Platform } from '../kubernetes/platform.ts';
import { type EtcdClusterSpec, parseClusterSpec } from '../resources/etcd-cluster.ts';
import { FieldReader } from '../resources/fields.ts';
import { readPodTemplate } from '../resources/pod-template.ts';
import type { OperatorMetrics } from './operator-metrics.ts';
import { statusOf } from './status.ts';

const AFTER_ACTION_MS = 500;
const WHILE_WAITING_MS = 2_000;
const WHILE_CALM_MS = 30_000;
/** What was asked for, and not heard of, may still come about; nothing is decided before this. */
export const UNSURE_MS = 20_000;
const FIRST_RETRY_MS = 1_000;
const MAX_RETRY_MS = 60_000;

export interface AttendantOptions {
  readonly namespace: string;
  readonly name: string;
  readonly platform: Platform;
  /** What the cache has; null: no such resource, or not known yet. */
  readonly cached: () => Parts | null;
  readonly gateImage: string;
  readonly logger: Logger;
  readonly nowMs: () => number;
  readonly metrics: OperatorMetrics;
  /** Where the members of an ordinal are reached; by default, under the name of their pod. */
  readonly endpointOf?: ((ordinal: number) => string) | undefined;
  readonly onAction?: ((action: Action) => void) | undefined;
}

export class Attendant {
  readonly #options: AttendantOptions;
  readonly #members = new Members();
  #failures = 0;
  #silentSinceMs: number | null = null;
  #lastStatus: object | null = null;
  /** Why it was degraded when that was told; empty: it was not. */
  #lastProblem = '';

  constructor(options: AttendantOptions) {
    this.#options = options;
  }

  get #id(): string {
    return `${this.#options.namespace}/${this.#options.name}`;
  }

  /** Does one thing, if there is one; returns when to come again, null: the resource is gone. */
  async attend(): Promise<number | null> {
    const cached = this.#options.cached();
    if (cached === null) {
      this.#options.metrics.setPhase(this.#id, null);
      return null;
    }
    const first = await this.#look(cached);
    if (first.decision.action === null) {
      await this.#tell(cached, first.seen, first.decision);
      return first.decision.phase === 'Available' ? WHILE_CALM_MS : WHILE_WAITING_MS;
    }
    const parts = await this.#options.platform.read(this.#options.namespace, this.#options.name);
    if (parts === null) return null;
    const { seen, decision } = await this.#look(parts);
    await this.#tell(parts, seen, decision);
    if (decision.action === null) return WHILE_WAITING_MS;
    return await this.#act(parts, seen, decision, decision.action);
  }

  async #look(parts: Parts): Promise<{ readonly seen: Observed; readonly decision: Decision }> {
    const { nowMs, gateImage } = this.#options;
    const now = nowMs();
    const parsed = parseClusterSpec(parts.cluster.spec);
    const options = parsed.ok ? parsed.spec.etcdOptions : [];
    const access = this.#access(parts);
    const etcd = await this.#members.observe(access, options, now, (name) => {
      const ordinal = ordinalOf(this.#options.name, name);
      return ordinal === null ? null : this.#endpoint(ordinal, access.isSecure);
    });
    this.#silentSinceMs = etcd === null ? (this.#silentSinceMs ?? now) : null;
    const seen = observedFrom(parts, etcd, this.#silentSinceMs, now, gateImage);
    const template = parsed.ok ? templateOf(ownerOf(parts, parsed.spec, gateImage)) : '';
    return { seen, decision: decide(seen, template) };
  }

  #access(parts: Parts): Access {
    const parsed = parseClusterSpec(parts.cluster.spec);
    const isSecure = parsed.ok && parsed.spec.tls !== null;
    const tls = isSecure ? operatorTls(this.#options.name, parts) : null;
    // Without a certificate of its own it would be turned away.
    const count = isSecure && tls === null ? 0 : (parts.workload?.spec?.replicas ?? 0);
    const endpoints = Array.from({ length: count }, (_, ordinal) => this.#endpoint(ordinal, isSecure));
    return { endpoints, tls, isSecure };
  }

  #endpoint(ordinal: number, isSecure: boolean): string {
    const { name, namespace, endpointOf } = this.#options;
    return endpointOf === undefined ? clientUrl(name, namespace, ordinal, isSecure) : endpointOf(ordinal);
  }

  async #act(parts: Parts, seen: Observed, decision: Decision, action: Action): Promise<number> {
    const { logger, platform, gateImage, onAction, metrics } = this.#options;
    const parsed = parseClusterSpec(parts.cluster.spec);
    const fields = { action: action.kind, reason: decision.reason, message: decision.message };
    try {
      const spec = parsed.ok ? parsed.spec : UNREADABLE;
      const owner = ownerOf(parts, spec, gateImage);
      const access = this.#access(parts);
      await changeMembers(action, access, (id) => this.#endpointById(seen, id, access.isSecure));
      await platform.perform(action, parts, owner, this.#options.nowMs());
      this.#failures = 0;
      metrics.handles.actions.labels(action.kind).inc();
      onAction?.(action);
      logger.info('acted', fields);
      await this.#tellEvent(parts, 'Normal', decision);
      return AFTER_ACTION_MS;
    } catch (error) {
      this.#failures++;
      metrics.handles.failures.labels(action.kind).inc();
      const problem = describeError(error);
      logger.warn('could not act', { ...fields, error: problem });
      // Once is enough: it is tried again and again.
      if (this.#failures === 1)
        await this.#tellEvent(parts, 'Warning', { ...decision, message: `${decision.message}: ${problem}` });
      // A refusal is an answer; silence is not.
      const isAnswered = hasAnswer(error);
      const retryMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** (this.#failures - 1));
      return isAnswered ? retryMs : Math.max(retryMs, UNSURE_MS);
    }
  }

  async #tellEvent(
    { cluster }: Parts,
    type: 'Normal' | 'Warning',
    { reason, message }: Pick<Decision, 'reason' | 'message'>,
  ): Promise<void> {
    const { platform, nowMs, logger } = this.#options;
    try {
      await platform.tellEvent(cluster, { type, reason, message }, nowMs());
    } catch (error) {
      logger.debug('could not tell an event', { error: describeError(error) });
    }
  }

  #endpointById(seen: Observed, id: MemberId, isSecure: boolean): string {
    const member = seen.etcd?.members.find((each) => each.id === id);
    const ordinal = ordinalOf(this.#options.name, member?.name ?? '');
    if (ordinal === null) throw new Error(`member ${id.toString(16)} is not known any more`);
    return this.#endpoint(ordinal, isSecure);
  }

  /** Writes the status where it says something new. */
  async #tell(parts: Parts, seen: Observed, decision: Decision): Promise<void> {
    const { platform, gateImage, logger, metrics, namespace, name } = this.#options;
    metrics.setPhase(this.#id, decision.phase);
    const newest = newestGood(seen.backups);
    if (newest !== null)
      metrics.handles.newestBackup
        .labels(namespace, name)
        .set((newest.finishedMs ?? newest.createdMs) / 1000);
    const before = parts.cluster.status;
    const generation = parts.cluster.metadata?.generation ?? 0;
    const status = statusOf(seen, decision, generation, this.#lastStatus ?? before);
    if (isDeepStrictEqual(status, this.#lastStatus)) return;
    try {
      await platform.writeStatus(ownerOf(parts, UNREADABLE, gateImage), status);
      this.#lastStatus = status;
      const problem = decision.phase === 'Degraded' ? decision.reason : '';
      if (problem !== '' && problem !== this.#lastProblem) await this.#tellEvent(parts, 'Warning', decision);
      this.#lastProblem = problem;
    } catch (error) {
      logger.warn('could not write the status', { error: describeError(error) });
    }
  }
}

/** In place of a declaration that can't be read, for what needs only a name. */
const UNREADABLE: EtcdClusterSpec = {
  size: 1,
  version: '',
  imageRegistry: '',
  storage: null,
  tls: null,
  etcdOptions: [],
  podTemplate: readPodTemplate(new FieldReader(), undefined),
  paused: false,
  repair: { replaceSilentAfterSeconds: null, restoreAfterQuorumLossSeconds: null },
  maintenance: { windows: [], defragmentation: null },
  backup: null,
  deletesVolumes: false,
};

const UNAVAILABLE = 14;
/** Of what etcd calls unavailable, this is a no that it has thought about. */
const REFUSALS = /^etcdserver: (?:unhealthy cluster|too many learner members in cluster)/;

/** Whether somebody has said no, rather than nothing. */
function hasAnswer(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const { code, message } = error as { readonly code?: unknown; readonly message?: unknown };
  if (code === UNAVAILABLE && typeof message === 'string' && REFUSALS.test(message)) return true;
  // The API server's statuses; or the codes of gRPC, of which two say that nobody knows.
  return typeof code === 'number' && code < 500 && code !== 408 && code !== 4 && code !== UNAVAILABLE;
}
