import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InternalError } from '@etcd/api';
import { NO_IDENTITY } from '@etcd/storage/auth';
import {
  Membership,
  type MembershipState,
  NO_DOWNGRADE,
  newMember,
  parseVersion,
} from '@etcd/storage/membership';
import { SimClock } from '@etcd/testing';
import { createHandles } from '../metrics/index.ts';
import {
  ENTRY_KINDS,
  KINDS,
  type Kind,
  PendingRequests,
  RequestIds,
  V2_FIELD,
  type Waiter,
} from '../request/index.ts';
import { Proposals } from './proposals.ts';
import { Releases } from './releases.ts';

const CLUSTER_ID = 7n;
/** Reads everything, as this program does. */
const OURS = 'ours';

/** A member whose cluster is at a version, with other members that run these releases; null: never heard of. */
function proposer(clusterVersion: string | null, others: readonly (string | null)[]) {
  const members = [null, ...others].map((_, i) =>
    newMember(BigInt(i + 1), { peerUrls: [`http://m${i}:2380`], isLearner: false }),
  );
  const state: MembershipState = {
    members,
    removedIds: [],
    version: clusterVersion === null ? null : parseVersion(`${clusterVersion}.0`),
    downgrade: NO_DOWNGRADE,
  };
  const membership = new Membership({ clusterId: CLUSTER_ID, state });
  const memberId = members[0]!.id;
  const releases = new Releases({
    membership,
    memberId,
    ask: (asked, done) => {
      const answers = asked.map(({ id }) => {
        const release = others[Number(id) - 2] ?? null;
        const server = release === OURS ? '3.7.3' : release === null ? null : `${release}.1`;
        return { server, cluster: null, isOurs: release === OURS };
      });
      done(answers);
    },
  });
  releases.askThen(() => {});
  const proposed: Uint8Array[] = [];
  const clock = new SimClock();
  const proposals = new Proposals({
    ids: new RequestIds(memberId, 1),
    pending: new PendingRequests(),
    clock,
    metrics: createHandles(),
    queue: {
      hasRoom: true,
      propose: (data) => void proposed.push(data),
      proposeAsLeader: (data) => void proposed.push(data),
      proposeConfChange: () => {},
    },
    membership,
    releases,
    maxRequestBytes: 1000,
    leaderIdentity: () => NO_IDENTITY,
    isStopped: () => false,
    isBehind: () => false,
  });
  return { proposals, proposed, membership };
}

/** Why a request of a kind is refused; null when it leaves. */
function refusal<K extends Kind | 'v2'>(
  kind: K,
  clusterVersion: string | null,
  others: readonly (string | null)[],
): string | null {
  const { proposals, proposed } = proposer(clusterVersion, others);
  let refused: InternalError | null = null;
  const onFailed = (error: InternalError): void => {
    refused = error;
  };
  if (kind === 'v2') {
    const waiter = { kind: 'v2', request: null, onApplied: () => {}, onFailed } as const;
    proposals.proposeV2(() => new Uint8Array(1), waiter);
  } else {
    proposeEmpty(proposals, kind, onFailed);
  }
  assert.equal(proposed.length, refused === null ? 1 : 0);
  return (refused as InternalError | null)?.message ?? null;
}

function proposeEmpty<K extends Kind>(
  proposals: Proposals,
  kind: K,
  onFailed: (error: InternalError) => void,
): void {
  const waiter: Waiter<K> = { kind, request: null, onApplied: () => {}, onFailed };
  proposals.propose<K>(kind, KINDS[kind].codec.create(), NO_IDENTITY, waiter);
}

test('a member of etcd 3.7 is never sent a request of the v2 API, nor one of 3.4 a later one', () => {
  assert.match(
    refusal('v2', '3.0', ['3.7', '3.5'])!,
    /a member runs 3\.7 and could not read the request \(v2\)/,
  );
  assert.match(refusal('clusterMemberAttrSet', '3.0', ['3.7', '3.4'])!, /a member runs 3\.4/);
  assert.match(refusal('downgradeInfoSet', '3.4', ['3.4', OURS])!, /a member runs 3\.4/);
  assert.equal(refusal('v2', '3.4', ['3.4', '3.6', OURS]), null);
  assert.equal(refusal('clusterMemberAttrSet', '3.5', ['3.5', '3.7', OURS]), null);
});

test('no kind of request ever leaves where a member is known that can not read it', () => {
  const releases = ['3.4', '3.5', '3.6', '3.7'];
  const kinds = [...(Object.keys(KINDS) as Kind[]), 'v2' as const];
  for (const kind of kinds) {
    const { name, lowest, highest } = ENTRY_KINDS.get(kind === 'v2' ? V2_FIELD : KINDS[kind].field)!;
    for (const release of releases) {
      const { minor } = parseVersion(`${release}.0`)!;
      const isRead = minor >= lowest.minor && (highest === null || minor <= highest.minor);
      const found = refusal(kind, '3.0', [OURS, release, null]);
      assert.equal(found === null, isRead, `${name} with ${release}: ${found}`);
    }
  }
});

test('a cluster of 3.4 is left to etcd 3.4: nothing gets into its log that 3.4 could not read', () => {
  assert.match(refusal('downgradeInfoSet', '3.4', [])!, /the cluster is at 3\.4/);
  assert.match(refusal('clusterMemberAttrSet', '3.4', [OURS])!, /the cluster is at 3\.4/);
  assert.equal(refusal('clusterVersionSet', '3.4', [OURS]), null, 'unless it is raised');
  assert.equal(refusal('clusterMemberAttrSet', '3.4', ['3.7']), null, 'or 3.7 is in it');
});

test('a downgrade to 3.4 can be given up', () => {
  const { proposals, proposed, membership } = proposer('3.4', [OURS]);
  membership.setDowngrade({ enabled: true, targetVersion: '3.4.0' }, { put: () => {}, delete: () => {} });
  proposeEmpty(proposals, 'downgradeInfoSet', () => {});
  assert.equal(proposed.length, 1);
});
