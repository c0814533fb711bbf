/** What the operator may do, one at a time. Each names the state that it was decided for, so that a late one does no harm. */
import type { MemberId } from '@etcd/api';
import type { Role } from './certificates.ts';
import type { Alarm, ClusterRecord, RecordedRestore } from './observed.ts';

export type Action =
  | { readonly kind: 'add-finalizer' }
  | { readonly kind: 'remove-finalizer' }
  | { readonly kind: 'apply-services' }
  /** A new one in the place of that with this version; those from before are trusted on until they expire. */
  | { readonly kind: 'make-authority'; readonly resourceVersion: string | null }
  /** Authorities that have expired are trusted no longer. */
  | { readonly kind: 'retire-authorities'; readonly resourceVersion: string }
  | { readonly kind: 'issue-certificate'; readonly role: Role; readonly resourceVersion: string | null }
  /** The certificate stays; those who have it are told whom to trust. */
  | { readonly kind: 'spread-trust'; readonly role: Role; readonly resourceVersion: string }
  /** The one of the cluster's own. */
  | { readonly kind: 'apply-schedule' }
  | { readonly kind: 'delete-schedule'; readonly uid: string }
  | { readonly kind: 'create-backup'; readonly name: string; readonly purpose: string }
  /** Of a member, as the stateful set would make it. */
  | { readonly kind: 'create-volume'; readonly ordinal: number }
  | {
      readonly kind: 'create-restore-worker';
      readonly attempt: number;
      readonly restore: RecordedRestore;
      readonly volumeUid: string;
    }
  /** Says in a restore's own resource what the record says. */
  | {
      readonly kind: 'settle-restore';
      readonly name: string;
      readonly uid: string;
      readonly isOk: boolean;
      readonly message: string;
    }
  | { readonly kind: 'request-restore'; readonly name: string; readonly backup: string }
  /** Of cert-manager. */
  | { readonly kind: 'request-certificates' }
  | { readonly kind: 'write-record'; readonly record: ClusterRecord }
  | { readonly kind: 'create-workload'; readonly replicas: number }
  | { readonly kind: 'scale-workload'; readonly replicas: number; readonly resourceVersion: string }
  | { readonly kind: 'update-template'; readonly resourceVersion: string }
  | { readonly kind: 'delete-workload'; readonly uid: string }
  /** Refused by Kubernetes while another pod of the cluster is not ready: a call that comes late does no harm. */
  | { readonly kind: 'evict-pod'; readonly ordinal: number; readonly uid: string }
  | { readonly kind: 'delete-pod'; readonly ordinal: number; readonly uid: string }
  | { readonly kind: 'delete-volume'; readonly name: string; readonly uid: string }
  | { readonly kind: 'add-learner'; readonly name: string; readonly peerUrl: string }
  | { readonly kind: 'promote'; readonly id: MemberId }
  | { readonly kind: 'remove-member'; readonly id: MemberId }
  | { readonly kind: 'move-leader'; readonly from: MemberId; readonly to: MemberId }
  /** Done before the record says so: an operator that ends in between compacts once more. */
  | { readonly kind: 'compact'; readonly revision: bigint; readonly record: ClusterRecord }
  | { readonly kind: 'defragment'; readonly id: MemberId }
  | { readonly kind: 'disarm'; readonly id: MemberId; readonly alarm: Alarm };

export type Phase = 'Creating' | 'Available' | 'Progressing' | 'Degraded' | 'Paused' | 'Deleting';

export interface Decision {
  /** null: there is nothing to do now. */
  readonly action: Action | null;
  readonly phase: Phase;
  /** One word for programs, as Kubernetes' conditions have it. */
  readonly reason: string;
  /** A sentence for people. */
  readonly message: string;
}

export const act = (action: Action, reason: string, message: string): Decision => ({
  action,
  phase: 'Progressing',
  reason,
  message,
});

export const wait = (phase: Phase, reason: string, message: string): Decision => ({
  action: null,
  phase,
  reason,
  message,
});
