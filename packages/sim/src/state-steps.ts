/**
 * What members have made of the log, compared at every turn of theirs and not only when all is calm: at the same entry all have the same, and the revision that the
 * log says; now and then also every single pair, lease and alarm.
 */
import { AlarmType, RangeRequest } from '@etcd/api/etcdserverpb';
import { decodeKeyValue } from '@etcd/api/mvccpb';
import type { EtcdServer } from '@etcd/server';
import type { Backend } from '@etcd/storage/backend';
import { executeRange } from '@etcd/storage/mvcc';
import { readConsistentIndex } from '@etcd/storage/schema';
import { isSamePair } from './checks.ts';
import { releaseText } from './member-state.ts';
import type { Model } from './model.ts';

/** Of one run of a member. */
export interface StateView {
  appliedIndex: number;
  /** The state is that of this entry or of a later one: what a start, or the leader's database, has brought. */
  floorIndex: number;
  backend: Backend | null;
}

export function newStateView(): StateView {
  return { appliedIndex: 0, floorIndex: 0, backend: null };
}

export interface StateStepsOptions {
  readonly violate: (property: string, details: string) => void;
  readonly model: Model;
  readonly revisionAt: (index: number) => number | null;
}

/** Of so many entries one is looked at in every detail. */
const WHOLE_EVERY = 64;
const EVERYTHING = { key: new Uint8Array(1), rangeEnd: new Uint8Array(1) };

interface SeenState {
  readonly name: string;
  readonly text: string;
}

export class StateSteps {
  readonly #options: StateStepsOptions;
  /** By entry: what the first member had that was seen there. */
  readonly #states: (SeenState | undefined)[] = [];

  constructor(options: StateStepsOptions) {
    this.#options = options;
  }

  /** The cluster begins anew, with a log of its own. */
  clear(): void {
    this.#states.length = 0;
  }

  /** To be called after every turn of a member, when what it has applied is known to the model. */
  observe(name: string, server: EtcdServer, view: StateView): void {
    const { appliedIndex, backend } = server;
    if (backend !== view.backend) {
      view.backend = backend;
      view.floorIndex = readConsistentIndex(backend).index;
    }
    if (appliedIndex === view.appliedIndex || appliedIndex < view.floorIndex) return;
    view.appliedIndex = appliedIndex;
    const at = `${name} at entry ${appliedIndex}`;
    const revision = this.#options.revisionAt(appliedIndex);
    if (revision === null) return;
    if (server.store.revision !== revision) {
      return this.#violate(`${at} is at revision ${server.store.revision}, the log at ${revision}`);
    }
    const isWhole = appliedIndex % WHOLE_EVERY === 0;
    if (isWhole) this.#comparePairs(at, server, revision);
    const text = isWhole ? `${briefText(server)}; ${wholeText(server)}` : briefText(server);
    const other = this.#states[appliedIndex];
    if (other === undefined) this.#states[appliedIndex] = { name, text };
    else if (other.text !== text) this.#violate(`${at} has ${text}; ${other.name} had ${other.text}`);
  }

  #comparePairs(at: string, { store }: EtcdServer, revision: number): void {
    const { kvs } = executeRange(store, new RangeRequest(EVERYTHING));
    const expected = this.#options.model.range('\0', '\0', revision);
    const wrong = expected.find(
      (version, i) =>
        i >= kvs.count || !isSamePair(decodeKeyValue(kvs.buffer(i), kvs.start(i), kvs.end(i)), version),
    );
    if (wrong !== undefined) this.#violate(`${at} does not have ${wrong.key} of ${wrong.mod}`);
    else if (kvs.count > expected.length)
      this.#violate(`${at} has ${kvs.count} pairs, the log ${expected.length}`);
  }

  #violate(details: string): void {
    this.#options.violate('equal states', details);
  }
}

function briefText({ store, lessor, auth, alarms }: EtcdServer): string {
  const access = `${auth.isEnabled ? 'on' : 'off'} at ${auth.revision}`;
  return `compacted ${store.compactRevision}, ${lessor.leaseCount} leases, users ${access}, ${alarms.list(AlarmType.NONE).length} alarms`;
}

function wholeText({ lessor, alarms, membership }: EtcdServer): string {
  const leases = lessor.leases().map((id) => id.toString(16));
  const raised = alarms
    .list(AlarmType.NONE)
    .map(({ memberId, alarm }) => `${memberId.toString(16)} ${alarm}`);
  const members = membership
    .members()
    .map(({ id, isLearner }) => `${id.toString(16)} ${isLearner ? 'learns' : 'votes'}`);
  return [leases, raised, members, [releaseText(membership)]].map((words) => words.sort().join()).join('; ');
}
