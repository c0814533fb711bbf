/** The format `simple`: for people, and for scripts that take a value as it is. */
import { type Permission, PermissionType } from '@etcd/api/authpb';
import {
  type AlarmResponse,
  AlarmType,
  type AuthRoleGetResponse,
  type TxnResponse,
} from '@etcd/api/etcdserverpb';
import { type Event, EventType, type KeyValue } from '@etcd/api/mvccpb';
import { equalBytes } from '@etcd/base';
import { prefixEnd } from '@etcd/client';
import { drawCommaRows, type Terminal } from '@etcd/host/cli';
import type { Printer, Results } from './printer.ts';
import { hashRows, hexId, memberRows, statusRows } from './rows.ts';

const NEWLINE = Buffer.from('\n');
const ROOT = 'root';

export function simplePrinter(isHex: boolean, terminal: Terminal): Printer {
  const pairs = new PairPrinter(isHex);
  return { ...KEYS(pairs), ...LEASES, ...MEMBERS, ...LISTS(terminal), ...AUTH };
}

/** Pairs are bytes, so what holds them is put together from bytes. */
class PairPrinter {
  readonly #isHex: boolean;

  constructor(isHex: boolean) {
    this.#isHex = isHex;
  }

  pair({ key, value }: KeyValue, valueOnly = false): Buffer {
    const lines = valueOnly ? [value] : [key, value];
    return Buffer.concat(lines.flatMap((line) => [this.#bytes(line), NEWLINE]));
  }

  pairs(list: readonly (KeyValue | null)[], valueOnly = false): Buffer {
    return Buffer.concat(list.map((pair) => (pair === null ? Buffer.alloc(0) : this.pair(pair, valueOnly))));
  }

  #bytes(bytes: Uint8Array): Uint8Array {
    if (!this.#isHex) return bytes;
    return Buffer.from(Buffer.from(bytes).toString('hex').replace(/../g, '\\x$&'));
  }
}

type Part<Kind extends keyof Results> = Pick<Printer, Kind>;

const KEYS = (pairs: PairPrinter): Part<'del' | 'get' | 'put' | 'txn' | 'watch'> => ({
  del: ({ response }) => joined(`${response.deleted}\n`, pairs.pairs(response.prevKvs)),
  get: ({ response, valueOnly }) => pairs.pairs(response.kvs, valueOnly),
  put: ({ response }) => joined('OK\n', pairs.pairs([response.prevKv])),
  txn: ({ response }) => transaction(response, pairs),
  watch: ({ response }) => Buffer.concat(response.events.map((event) => watched(event, pairs))),
});

function joined(text: string, bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(text), bytes]);
}

function transaction({ succeeded, responses }: TxnResponse, pairs: PairPrinter): Buffer {
  const parts: Buffer[] = [Buffer.from(succeeded ? 'SUCCESS\n' : 'FAILURE\n')];
  for (const { responseDeleteRange, responsePut, responseRange, responseTxn } of responses) {
    parts.push(NEWLINE);
    if (responseDeleteRange !== null) {
      parts.push(joined(`${responseDeleteRange.deleted}\n`, pairs.pairs(responseDeleteRange.prevKvs)));
    } else if (responsePut !== null) parts.push(joined('OK\n', pairs.pairs([responsePut.prevKv])));
    else if (responseRange !== null) parts.push(pairs.pairs(responseRange.kvs));
    else if (responseTxn !== null) parts.push(transaction(responseTxn, pairs));
  }
  return Buffer.concat(parts);
}

function watched({ type, kv, prevKv }: Event, pairs: PairPrinter): Buffer {
  return joined(type === EventType.DELETE ? 'DELETE\n' : 'PUT\n', pairs.pairs([prevKv, kv]));
}

/** An id in 16 digits. */
export function wideId(id: bigint, filler = '0'): string {
  return hexId(id).padStart(16, filler);
}

const LEASES: Part<'leaseGrant' | 'leaseRevoke' | 'leaseKeepAlive' | 'leaseTimeToLive' | 'leaseList'> = {
  leaseGrant: ({ response: { id, ttl } }) => `lease ${wideId(id)} granted with TTL(${ttl}s)\n`,
  leaseRevoke: ({ id }) => `lease ${wideId(id)} revoked\n`,
  leaseKeepAlive: ({ response: { id, ttl } }) => `lease ${wideId(id)} keepalived with TTL(${ttl})\n`,
  leaseTimeToLive: ({ response: { id, ttl, grantedTtl, keys }, withKeys }) => {
    if (grantedTtl === 0 && ttl === -1) return `lease ${wideId(id)} already expired\n`;
    const line = `lease ${wideId(id)} granted with TTL(${grantedTtl}s), remaining(${ttl}s)`;
    if (!withKeys) return `${line}\n`;
    const names = keys.flatMap((key, i) => (i === 0 ? [key] : [Buffer.from(' '), key]));
    return Buffer.concat([Buffer.from(`${line}, attached keys([`), ...names, Buffer.from('])\n')]);
  },
  leaseList: ({ response: { leases } }) =>
    `found ${leases.length} leases\n${leases.map(({ id }) => `${wideId(id)}\n`).join('')}`,
};

function clusterOf({ header }: { readonly header: { readonly clusterId: bigint } | null }): string {
  return wideId(header?.clusterId ?? 0n, ' ');
}

const MEMBERS: Part<
  'memberAdd' | 'memberRemove' | 'memberUpdate' | 'memberPromote' | 'moveLeader' | 'downgrade' | 'alarm'
> = {
  memberAdd: ({ response }) => {
    const learner = response.member?.isLearner === true ? ' as learner' : '';
    return `Member ${wideId(response.member?.id ?? 0n, ' ')} added${learner} to cluster ${clusterOf(response)}\n`;
  },
  memberRemove: ({ id, response }) =>
    `Member ${wideId(id, ' ')} removed from cluster ${clusterOf(response)}\n`,
  memberUpdate: ({ id, response }) => `Member ${wideId(id, ' ')} updated in cluster ${clusterOf(response)}\n`,
  memberPromote: ({ id, response }) =>
    `Member ${wideId(id, ' ')} promoted in cluster ${clusterOf(response)}\n`,
  moveLeader: ({ leader, target }) => `Leadership transferred from ${hexId(leader)} to ${hexId(target)}\n`,
  downgrade: ({ step, response }) => `Downgrade ${step} success, cluster version ${response.version}\n`,
  alarm: ({ response }) => alarms(response),
};

function alarms(response: AlarmResponse): string {
  const names = Object.keys(AlarmType);
  return response.alarms
    .map(({ memberId, alarm }) => `memberID:${memberId} alarm:${names[alarm] ?? alarm} \n`)
    .join('');
}

const LISTS = (
  terminal: Terminal,
): Part<'memberList' | 'endpointHealth' | 'endpointStatus' | 'endpointHash'> => ({
  memberList: ({ response }) => drawCommaRows(memberRows(response), terminal),
  // Those that are not healthy are told on stderr.
  endpointHealth: (list) =>
    list
      .filter(({ error }) => error === '')
      .map(({ endpoint, took }) => {
        const health = terminal.paint('green', 'healthy');
        return `${endpoint} is ${health}: successfully committed proposal: took = ${took}\n`;
      })
      .join(''),
  endpointStatus: (list) => drawCommaRows(statusRows(list), terminal),
  endpointHash: (list) => drawCommaRows(hashRows(list), terminal),
});

const AUTH: Part<
  | 'roleAdd'
  | 'roleGet'
  | 'roleDelete'
  | 'roleList'
  | 'roleGrantPermission'
  | 'roleRevokePermission'
  | 'userAdd'
  | 'userGet'
  | 'userList'
  | 'userChangePassword'
  | 'userGrantRole'
  | 'userRevokeRole'
  | 'userDelete'
  | 'authStatus'
> = {
  roleAdd: ({ role }) => `Role ${role} created\n`,
  roleGet: ({ role, response }) => roleText(role, response),
  roleDelete: ({ role }) => `Role ${role} deleted\n`,
  roleList: ({ response }) => response.roles.map((role) => `${role}\n`).join(''),
  roleGrantPermission: ({ role }) => `Role ${role} updated\n`,
  roleRevokePermission: ({ role, key, rangeEnd }) => {
    const what =
      rangeEnd.length === 0
        ? [Buffer.from('key '), key]
        : isOpen(rangeEnd)
          ? [Buffer.from('range ['), key, Buffer.from(', <open ended>')]
          : [Buffer.from('range ['), key, Buffer.from(', '), rangeEnd, Buffer.from(')')];
    return Buffer.concat([
      Buffer.from('Permission of '),
      ...what,
      Buffer.from(` is revoked from role ${role}\n`),
    ]);
  },
  userAdd: ({ user }) => `User ${user} created\n`,
  userGet: ({ user, response }) =>
    `User: ${user}\nRoles:${response.roles.map((role) => ` ${role}`).join('')}\n`,
  userList: ({ response }) => response.users.map((user) => `${user}\n`).join(''),
  userChangePassword: () => 'Password updated\n',
  userGrantRole: ({ user, role }) => `Role ${role} is granted to user ${user}\n`,
  userRevokeRole: ({ user, role }) => `Role ${role} is revoked from user ${user}\n`,
  userDelete: ({ user }) => `User ${user} deleted\n`,
  authStatus: ({ response }) =>
    `Authentication Status: ${response.enabled}\nAuthRevision: ${response.authRevision}\n`,
};

function isOpen(end: Uint8Array): boolean {
  return end.length === 1 && end[0] === 0;
}

function roleText(role: string, { perm }: AuthRoleGetResponse): Buffer {
  const lines: Uint8Array[] = [Buffer.from(`Role ${role}\n`)];
  for (const [title, kind] of [
    ['KV Read:\n', PermissionType.READ],
    ['KV Write:\n', PermissionType.WRITE],
  ] as const) {
    lines.push(Buffer.from(title));
    // The root role may do everything, though nothing of it is written down.
    if (role === ROOT && perm.length === 0) lines.push(Buffer.from('\t[, <open ended>\n'));
    for (const permission of perm) {
      const { permType } = permission;
      if (permType === kind || permType === PermissionType.READWRITE) lines.push(permissionText(permission));
    }
  }
  return Buffer.concat(lines);
}

function permissionText({ key, rangeEnd }: Permission): Buffer {
  const text = (part: string): Buffer => Buffer.from(part);
  if (rangeEnd.length === 0) return Buffer.concat([text('\t'), key, text('\n')]);
  const end = isOpen(rangeEnd) ? [text('<open ended>')] : [rangeEnd, text(')')];
  const isPrefix = key.length > 0 && equalBytes(prefixEnd(key), rangeEnd);
  const prefix = isPrefix ? [text(' (prefix '), key, text(')')] : [];
  return Buffer.concat([text('\t['), key, text(', '), ...end, ...prefix, text('\n')]);
}
