/** Where objects of each kind are in Kubernetes' API. */
import { API_VERSION } from '../resources/group.ts';

export interface Collection {
  /** `/api/v1`, `/apis/apps/v1`. */
  readonly group: string;
  readonly plural: string;
}

const CORE = '/api/v1';
const OWN = `/apis/${API_VERSION}`;

export const CLUSTERS: Collection = { group: OWN, plural: 'etcdclusters' };
export const BACKUPS: Collection = { group: OWN, plural: 'etcdbackups' };
export const SCHEDULES: Collection = { group: OWN, plural: 'etcdbackupschedules' };
export const RESTORES: Collection = { group: OWN, plural: 'etcdrestores' };
export const SERVICES: Collection = { group: CORE, plural: 'services' };
export const RECORDS: Collection = { group: CORE, plural: 'configmaps' };
export const SECRETS: Collection = { group: CORE, plural: 'secrets' };
export const PODS: Collection = { group: CORE, plural: 'pods' };
export const VOLUMES: Collection = { group: CORE, plural: 'persistentvolumeclaims' };
export const WORKLOADS: Collection = { group: '/apis/apps/v1', plural: 'statefulsets' };
export const BUDGETS: Collection = { group: '/apis/policy/v1', plural: 'poddisruptionbudgets' };
export const LEASES: Collection = { group: '/apis/coordination.k8s.io/v1', plural: 'leases' };
export const CERTIFICATES: Collection = { group: '/apis/cert-manager.io/v1', plural: 'certificates' };
