/**
 * Attends to one cluster: looks, decides, acts, and looks again. What a look through the cache asks for is done only where a look at the
 * things themselves asks for it, too.
 */
import { isDeepStrictEqual } from 'node:util';
import type { MemberId } from '@etcd/api';
import type { Logger } from '@etcd/base';
import type { Action, Decision } from '../cluster/action.ts';
import { decide } from '../cluster/decide.ts';
import { templateOf } from '../cluster/manifests.ts';
import { clientUrl, ordinalOf } from '../cluster/names.ts';
import type { Observed } from '../cluster/observed.ts';
import { changeMembers, Members } from '../etcd/members.ts';
import { describeError } from '../kubernetes/api.ts';
import { observedFrom, ownerOf, type Parts } from '../kubernetes/parts.ts';
import type { Platform } from '../kubernetes/platform.ts';
import { parseClusterSpec } from '../resources/etcd-cluster.ts';
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
  /** Where the members of an ordinal are reached; by default, under the name of their pod. */
  readonly endpointOf?: ((ordinal: number) => string) | undefined;
  readonly onAction?: ((action: Action) => void) | undefined;
}

export class Attendant {
  readonly #options: AttendantOptions;
  readonly #members = new Members();
  #failures = 0;
  #lastStatus: object | null = null;

  constructor(options: AttendantOptions) {
    this.#options = options;
  }

  /** Does one thing, if there is one; returns when to come again, null: the resource is gone. */
  async attend(): Promise<number | null> {
    const cached = this.#options.cached();
    if (cached === null) return null;
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
    const etcd = await this.#members.observe(this.#endpoints(parts), options, now, (name) => {
      const ordinal = ordinalOf(this.#options.name, name);
      return ordinal === null ? null : this.#endpoint(ordinal);
    });
    const seen = observedFrom(parts, etcd, now, gateImage);
    const template = parsed.ok ? templateOf(ownerOf(parts.cluster, parsed.spec, gateImage)) : '';
    return { seen, decision: decide(seen, template) };
  }

  #endpoints(parts: Parts): string[] {
    const endpoints: string[] = [];
    for (let ordinal = 0; ordinal < (parts.workload?.spec?.replicas ?? 0); ordinal++)
      endpoints.push(this.#endpoint(ordinal));
    return endpoints;
  }

  #endpoint(ordinal: number): string {
    const { name, namespace, endpointOf } = this.#options;
    return endpointOf === undefined ? clientUrl(name, namespace, ordinal) : endpointOf(ordinal);
  }

  async #act(parts: Parts, seen: Observed, decision: Decision, action: Action): Promise<number> {
    const { logger, platform, gateImage, onAction } = this.#options;
    const parsed = parseClusterSpec(parts.cluster.spec);
    const fields = { action: action.kind, reason: decision.reason, message: decision.message };
    try {
      const spec = parsed.ok ? parsed.spec : UNREADABLE;
      const owner = ownerOf(parts.cluster, spec, gateImage);
      await changeMembers(action, this.#endpoints(parts), (id) => this.#endpointById(seen, id));
      await platform.perform(action, parts.cluster, owner);
      this.#failures = 0;
      onAction?.(action);
      logger.info('acted', fields);
      return AFTER_ACTION_MS;
    } catch (error) {
      this.#failures++;
      const problem = describeError(error);
      logger.warn('could not act', { ...fields, error: problem });
      // A refusal is an answer; silence is not.
      const isAnswered = hasAnswer(error);
      const retryMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** (this.#failures - 1));
      return isAnswered ? retryMs : Math.max(retryMs, UNSURE_MS);
    }
  }

  #endpointById(seen: Observed, id: MemberId): string {
    const member = seen.etcd?.members.find((each) => each.id === id);
    const ordinal = ordinalOf(this.#options.name, member?.name ?? '');
    if (ordinal === null) throw new Error(`member ${id.toString(16)} is not known any more`);
    return this.#endpoint(ordinal);
  }

  /** Writes the status where it says something new. */
  async #tell(parts: Parts, seen: Observed, decision: Decision): Promise<void> {
    const { platform, gateImage, logger } = this.#options;
    const before = parts.cluster.status;
    const generation = parts.cluster.metadata?.generation ?? 0;
    const status = statusOf(seen, decision, generation, this.#lastStatus ?? before);
    if (isDeepStrictEqual(status, this.#lastStatus)) return;
    try {
      await platform.writeStatus(ownerOf(parts.cluster, UNREADABLE, gateImage), status);
      this.#lastStatus = status;
    } catch (error) {
      logger.warn('could not write the status', { error: describeError(error) });
    }
  }
}

/** In place of a declaration that can't be read, for what needs only a name. */
const UNREADABLE = {
  size: 1,
  version: '',
  imageRegistry: '',
  storage: null,
  etcdOptions: [],
  paused: false,
  repair: { replaceSilentAfterSeconds: null },
  deletesVolumes: false,
} as const;

/** Whether somebody has said no, rather than nothing. */
function hasAnswer(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const code = (error as { readonly code?: unknown }).code;
  // The API server's statuses; or the codes of gRPC, of which two say that nobody knows.
  return typeof code === 'number' && code < 500 && code !== 408 && code !== 4 && code !== 14;
}
