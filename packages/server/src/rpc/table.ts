/**
 * All RPCs of a member, one row for each method of the generated services: what it needs, whether a learner and a member
 * with wrong data serve it, and what runs. A method without a row, a row without a method, and a row that takes or answers
 * anything but what its method does, do not compile. `docs/rpcs.md` is written from this table.
 */
import { RPC_ERRORS } from '@etcd/api';
import {
  AuthService,
  ClusterService,
  ElectionService,
  HealthService,
  KvService,
  LeaseService,
  LockService,
  MaintenanceService,
  WatchService,
} from '@etcd/api/services';
import { type AnyRpc, type Rows, rpcsOf } from './row.ts';
import {
  ASKS_FOR_LEASE,
  CHANGES_AUTH,
  DELETES_LOCK_KEY,
  DELETES_RANGE,
  DOES_TXN,
  ENTERS_QUEUE,
  LISTS_LEASES,
  PUTS_LEADER_KEY,
  READS_AUTH,
  READS_OR_SETS_ALARM,
  READS_QUEUE,
  READS_RANGE,
  READS_ROLE,
  READS_USER,
  RENEWS_LEASE,
  REVOKES_LEASE,
  WATCHES_RANGE,
  WRITES_KEY,
} from './verdicts.ts';

const REFUSED = { onLearner: 'refused', whenFenced: 'refused' } as const;
/** What a member with wrong data still does: says how it is, and lets the membership be changed. */
const WHEN_FENCED = { onLearner: 'refused', whenFenced: 'served' } as const;
const ALWAYS = { onLearner: 'served', whenFenced: 'served' } as const;

const KV: Rows<typeof KvService> = {
  range: {
    needs: READS_RANGE,
    onLearner: { words: 'serializable only', if: ({ serializable }) => serializable },
    whenFenced: 'refused',
    run: ({ kv }, call, request, identity) => kv.range(call, request, identity),
  },
  rangeStream: {
    needs: READS_RANGE,
    ...REFUSED,
    run: ({ kv }, call, request, identity) => kv.rangeStream(call, request, identity),
  },
  put: {
    needs: WRITES_KEY,
    ...REFUSED,
    run: ({ kv }, call, request, identity, bytes, start, end) =>
      kv.put(call, request, identity, bytes, start, end),
  },
  deleteRange: {
    needs: DELETES_RANGE,
    ...REFUSED,
    run: ({ kv }, call, request, identity, bytes, start, end) =>
      kv.deleteRange(call, request, identity, bytes, start, end),
  },
  txn: {
    needs: DOES_TXN,
    ...REFUSED,
    tooDeep: RPC_ERRORS.ErrGRPCTooManyOps,
    run: ({ kv }, call, request, identity, bytes, start, end) =>
      kv.txn(call, request, identity, bytes, start, end),
  },
  compact: {
    needs: 'admin',
    ...REFUSED,
    run: ({ kv }, call, request, identity) => kv.compact(call, request, identity),
  },
};

const WATCH: Rows<typeof WatchService> = {
  watch: { needs: WATCHES_RANGE, ...REFUSED, run: ({ watch }, call) => watch.open(call) },
};

const LEASE: Rows<typeof LeaseService> = {
  leaseGrant: {
    needs: 'user',
    ...REFUSED,
    run: ({ lease }, call, request, identity) => lease.grant(call, request, identity),
  },
  leaseRevoke: {
    needs: REVOKES_LEASE,
    ...REFUSED,
    run: ({ lease }, call, request, identity) => lease.revoke(call, request, identity),
  },
  leaseKeepAlive: { needs: RENEWS_LEASE, ...REFUSED, run: ({ lease }, call) => lease.keepAlive(call) },
  leaseTimeToLive: {
    needs: ASKS_FOR_LEASE,
    ...REFUSED,
    run: ({ lease }, call, request, identity) => lease.timeToLive(call, request, identity),
  },
  leaseLeases: { needs: LISTS_LEASES, ...REFUSED, run: ({ lease }, call) => lease.list(call) },
};

const CLUSTER: Rows<typeof ClusterService> = {
  memberAdd: {
    needs: 'admin',
    ...WHEN_FENCED,
    run: ({ cluster }, call, request) => cluster.add(call, request),
  },
  memberRemove: {
    needs: 'admin',
    ...WHEN_FENCED,
    run: ({ cluster }, call, request) => cluster.remove(call, request),
  },
  memberUpdate: {
    needs: 'admin',
    ...WHEN_FENCED,
    run: ({ cluster }, call, request) => cluster.update(call, request),
  },
  memberList: {
    needs: 'user',
    ...WHEN_FENCED,
    run: ({ cluster }, call, request) => cluster.list(call, request),
  },
  memberPromote: {
    needs: 'admin',
    ...WHEN_FENCED,
    run: ({ cluster }, call, request) => cluster.promote(call, request),
  },
};

const MAINTENANCE: Rows<typeof MaintenanceService> = {
  alarm: {
    needs: READS_OR_SETS_ALARM,
    ...WHEN_FENCED,
    run: ({ maintenance }, call, request, identity) => maintenance.alarm(call, request, identity),
  },
  status: { needs: 'user', ...ALWAYS, run: ({ maintenance }, call) => maintenance.status(call) },
  defragment: {
    needs: 'admin',
    ...WHEN_FENCED,
    run: ({ maintenance }, call) => maintenance.defragment(call),
  },
  hash: {
    needs: 'admin',
    ...WHEN_FENCED,
    run: ({ maintenance }, call, _request, identity) => maintenance.hash(call, identity),
  },
  hashKv: {
    needs: 'admin',
    ...WHEN_FENCED,
    run: ({ maintenance }, call, request, identity) => maintenance.hashKv(call, request, identity),
  },
  snapshot: {
    needs: 'admin',
    onLearner: 'served',
    // A copy of wrong data is of no use.
    whenFenced: 'refused',
    run: ({ maintenance }, call, _request, identity) => maintenance.snapshot(call, identity),
  },
  moveLeader: {
    needs: 'admin',
    ...WHEN_FENCED,
    run: ({ maintenance }, call, request) => maintenance.moveLeader(call, request),
  },
  downgrade: {
    needs: 'admin',
    ...WHEN_FENCED,
    run: ({ maintenance }, call, request, identity) => maintenance.downgrade(call, request, identity),
  },
};

const AUTH: Rows<typeof AuthService> = {
  authEnable: {
    needs: CHANGES_AUTH,
    ...REFUSED,
    run: ({ auth }, call, request, identity) => auth.enable(call, request, identity),
  },
  authDisable: {
    needs: CHANGES_AUTH,
    ...REFUSED,
    run: ({ auth }, call, request, identity) => auth.disable(call, request, identity),
  },
  authStatus: {
    needs: 'nothing',
    ...REFUSED,
    run: ({ auth }, call) => auth.status(call),
  },
  authenticate: {
    needs: 'nothing',
    ...REFUSED,
    run: ({ auth }, call, request) => auth.authenticate(call, request),
  },
  userAdd: {
    needs: CHANGES_AUTH,
    ...REFUSED,
    run: ({ auth }, call, request, identity) => auth.addUser(call, request, identity),
  },
  userGet: {
    needs: READS_USER,
    ...REFUSED,
    run: ({ auth }, call, request, identity) => auth.getUser(call, request, identity),
  },
  userList: {
    needs: READS_AUTH,
    ...REFUSED,
    run: ({ auth }, call, request, identity) => auth.listUsers(call, request, identity),
  },
  userDelete: {
    needs: CHANGES_AUTH,
    ...REFUSED,
    run: ({ auth }, call, request, identity) => auth.deleteUser(call, request, identity),
  },
  userChangePassword: {
    needs: CHANGES_AUTH,
    ...REFUSED,
    run: ({ auth }, call, request, identity) => auth.changePassword(call, request, identity),
  },
  userGrantRole: {
    needs: CHANGES_AUTH,
    ...REFUSED,
    run: ({ auth }, call, request, identity) => auth.grantRole(call, request, identity),
  },
  userRevokeRole: {
    needs: CHANGES_AUTH,
    ...REFUSED,
    run: ({ auth }, call, request, identity) => auth.revokeRole(call, request, identity),
  },
  roleAdd: {
    needs: CHANGES_AUTH,
    ...REFUSED,
    run: ({ auth }, call, request, identity) => auth.addRole(call, request, identity),
  },
  roleGet: {
    needs: READS_ROLE,
    ...REFUSED,
    run: ({ auth }, call, request, identity) => auth.getRole(call, request, identity),
  },
  roleList: {
    needs: READS_AUTH,
    ...REFUSED,
    run: ({ auth }, call, request, identity) => auth.listRoles(call, request, identity),
  },
  roleDelete: {
    needs: CHANGES_AUTH,
    ...REFUSED,
    run: ({ auth }, call, request, identity) => auth.deleteRole(call, request, identity),
  },
  roleGrantPermission: {
    needs: CHANGES_AUTH,
    ...REFUSED,
    run: ({ auth }, call, request, identity) => auth.grantPermission(call, request, identity),
  },
  roleRevokePermission: {
    needs: CHANGES_AUTH,
    ...REFUSED,
    run: ({ auth }, call, request, identity) => auth.revokePermission(call, request, identity),
  },
};

const LOCK: Rows<typeof LockService> = {
  lock: { needs: ENTERS_QUEUE, ...REFUSED, run: ({ lock }, call, request) => lock.lock(call, request) },
  unlock: {
    needs: DELETES_LOCK_KEY,
    ...REFUSED,
    run: ({ lock }, call, request) => lock.unlock(call, request),
  },
};

const ELECTION: Rows<typeof ElectionService> = {
  campaign: {
    needs: ENTERS_QUEUE,
    ...REFUSED,
    run: ({ election }, call, request) => election.campaign(call, request),
  },
  proclaim: {
    needs: PUTS_LEADER_KEY,
    ...REFUSED,
    run: ({ election }, call, request) => election.proclaim(call, request),
  },
  leader: {
    needs: READS_QUEUE,
    ...REFUSED,
    run: ({ election }, call, request) => election.leader(call, request),
  },
  observe: {
    needs: READS_QUEUE,
    ...REFUSED,
    run: ({ election }, call, request) => election.observe(call, request),
  },
  resign: {
    needs: PUTS_LEADER_KEY,
    ...REFUSED,
    run: ({ election }, call, request) => election.resign(call, request),
  },
};

const HEALTH: Rows<typeof HealthService> = {
  check: { needs: 'nothing', ...ALWAYS, run: ({ health }, call, request) => health.check(call, request) },
  list: { needs: 'nothing', ...ALWAYS, run: ({ health }, call) => health.list(call) },
  watch: { needs: 'nothing', ...ALWAYS, run: ({ health }, call, request) => health.watch(call, request) },
};

export const RPC_TABLE: readonly AnyRpc[] = [
  ...rpcsOf(KvService, KV),
  ...rpcsOf(WatchService, WATCH),
  ...rpcsOf(LeaseService, LEASE),
  ...rpcsOf(ClusterService, CLUSTER),
  ...rpcsOf(MaintenanceService, MAINTENANCE),
  ...rpcsOf(AuthService, AUTH),
  ...rpcsOf(LockService, LOCK),
  ...rpcsOf(ElectionService, ELECTION),
  ...rpcsOf(HealthService, HEALTH),
];
