/** Events, as `kubectl describe` shows them: what was done to a cluster, and what is wrong with it. */
import { randomBytes } from 'node:crypto';
import { API_VERSION } from '../resources/group.ts';
import type { KubernetesApi } from './api.ts';
import type { OwnObject } from './backup-objects.ts';
import type { Collection } from './collections.ts';

const EVENTS: Collection = { group: '/api/v1', plural: 'events' };
/** What Kubernetes takes. */
const MAX_MESSAGE_LENGTH = 1000;

export interface EventOptions {
  readonly type: 'Normal' | 'Warning';
  /** One word. */
  readonly reason: string;
  readonly message: string;
}

/** Rejects where the API server refuses: nothing depends on it. */
export async function createEvent(
  api: KubernetesApi,
  { metadata }: OwnObject,
  { type, reason, message }: EventOptions,
  nowMs: number,
): Promise<void> {
  const { name = '', namespace = '', uid = '' } = metadata ?? {};
  const time = new Date(nowMs).toISOString().replace(/\.\d+/, '');
  await api.create(EVENTS, namespace, {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${name}.${randomBytes(8).toString('hex')}`, namespace },
    involvedObject: { apiVersion: API_VERSION, kind: 'EtcdCluster', name, namespace, uid },
    type,
    reason,
    message: message.slice(0, MAX_MESSAGE_LENGTH),
    source: { component: 'etcd-operator' },
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
  });
}
