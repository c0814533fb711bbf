/** The format `fields`: a line for each field of an answer, `"Name" : value`. */
import { PermissionType } from '@etcd/api/authpb';
import { AlarmType, type ResponseHeader, type ResponseOp, type TxnResponse } from '@etcd/api/etcdserverpb';
import { EventType, type KeyValue } from '@etcd/api/mvccpb';
import { goQuote, goQuoteBytes } from '@etcd/host/cli';
import { type Printer, type Results, unsupported } from './printer.ts';
import { hexId } from './rows.ts';
import { wideId } from './simple.ts';

const no = unsupported('fields');

type Line = string | boolean | number | bigint;

export function fieldsPrinter(isHex: boolean): Printer {
  const fields = new Fields(isHex);
  const headOnly = ({
    response,
  }: {
    readonly response: { readonly header: ResponseHeader | null };
  }): string => fields.head(response.header);
  return {
    ...keys(fields),
    ...leases(fields),
    ...cluster(fields),
    roleAdd: headOnly,
    roleGet: ({ response }) =>
      fields.head(response.header) +
      response.perm
        .map(
          ({ permType, key, rangeEnd }) =>
            // Two blanks: scripts that cut at columns know it so.
            `"PermType" :  ${nameOf(PermissionType, permType)}\n${line('Key', goQuoteBytes(key))}` +
            line('RangeEnd', goQuoteBytes(rangeEnd)),
        )
        .join(''),
    roleDelete: headOnly,
    roleList: ({ response }) => fields.head(response.header) + names('Roles', response.roles),
    roleGrantPermission: headOnly,
    roleRevokePermission: headOnly,
    userAdd: headOnly,
    userGet: no,
    userList: no,
    userChangePassword: headOnly,
    userGrantRole: headOnly,
    userRevokeRole: headOnly,
    userDelete: headOnly,
    authStatus: no,
  };
}

function line(name: string, value: Line): string {
  return `"${name}" : ${value}\n`;
}

function names(title: string, list: readonly string[]): string {
  return `"${title}" :${list.map((name) => ` ${goQuote(name)}`).join('')}\n`;
}

function nameOf(table: Readonly<Record<string, number>>, value: number): string {
  return Object.keys(table).find((name) => table[name] === value) ?? String(value);
}

class Fields {
  readonly #isHex: boolean;

  constructor(isHex: boolean) {
    this.#isHex = isHex;
  }

  /** The revision is left out where there is none. */
  head(header: ResponseHeader | null): string {
    const { clusterId = 0n, memberId = 0n, revision = 0, raftTerm = 0 } = header ?? {};
    const revisionLine = revision > 0 ? line('Revision', revision) : '';
    return (
      this.member('ClusterID', clusterId) +
      this.member('MemberID', memberId) +
      revisionLine +
      line('RaftTerm', raftTerm)
    );
  }

  member(name: string, id: bigint): string {
    return line(name, this.#isHex ? hexId(id) : BigInt.asUintN(64, id));
  }

  lease(name: string, id: bigint): string {
    return line(name, this.#isHex ? wideId(id) : id);
  }

  pair(prefix: string, pair: KeyValue | null): string {
    if (pair === null) return '';
    return (
      line(`${prefix}Key`, goQuoteBytes(pair.key)) +
      line(`${prefix}CreateRevision`, pair.createRevision) +
      line(`${prefix}ModRevision`, pair.modRevision) +
      line(`${prefix}Version`, pair.version) +
      line(`${prefix}Value`, goQuoteBytes(pair.value)) +
      this.lease(`${prefix}Lease`, pair.lease)
    );
  }
}

type Part<Kind extends keyof Results> = Pick<Printer, Kind>;

function keys(fields: Fields): Part<'del' | 'get' | 'put' | 'txn' | 'watch'> {
  const part: Part<'del' | 'get' | 'put'> = {
    del: ({ response }) =>
      fields.head(response.header) +
      line('Deleted', response.deleted) +
      response.prevKvs.map((pair) => fields.pair('Prev', pair)).join(''),
    get: ({ response }) =>
      fields.head(response.header) +
      response.kvs.map((pair) => fields.pair('', pair)).join('') +
      line('More', response.more) +
      line('Count', response.count),
    put: ({ response }) => fields.head(response.header) + fields.pair('Prev', response.prevKv),
  };
  const operation = ({
    responseDeleteRange,
    responsePut,
    responseRange,
    responseTxn,
  }: ResponseOp): string => {
    if (responseDeleteRange !== null) return String(part.del({ response: responseDeleteRange }));
    if (responsePut !== null) return String(part.put({ response: responsePut }));
    if (responseRange !== null) return String(part.get({ response: responseRange }));
    return responseTxn === null ? '' : transaction(responseTxn);
  };
  const transaction = ({ header, succeeded, responses }: TxnResponse): string =>
    fields.head(header) + line('Succeeded', succeeded) + responses.map(operation).join('');
  return {
    ...part,
    txn: ({ response }) => transaction(response),
    watch: ({ response: { header, events } }) =>
      fields.head(header) +
      events
        .map(
          ({ type, kv, prevKv }) =>
            line('Type', nameOf(EventType, type)) + fields.pair('Prev', prevKv) + fields.pair('', kv),
        )
        .join(''),
  };
}

function leases(
  fields: Fields,
): Part<'leaseGrant' | 'leaseRevoke' | 'leaseKeepAlive' | 'leaseTimeToLive' | 'leaseList'> {
  return {
    leaseGrant: ({ response: { header, id, ttl } }) =>
      fields.head(header) + fields.lease('ID', id) + line('TTL', ttl),
    leaseRevoke: ({ response }) => fields.head(response.header),
    leaseKeepAlive: ({ response: { header, id, ttl } }) =>
      fields.head(header) + fields.lease('ID', id) + line('TTL', ttl),
    leaseTimeToLive: ({ response: { header, id, ttl, grantedTtl, keys: attached } }) =>
      fields.head(header) +
      fields.lease('ID', id) +
      line('TTL', ttl) +
      line('GrantedTTL', grantedTtl) +
      attached.map((key) => line('Key', goQuoteBytes(key))).join(''),
    leaseList: ({ response }) =>
      fields.head(response.header) + response.leases.map(({ id }) => fields.lease('ID', id)).join(''),
  };
}

function cluster(
  fields: Fields,
): Part<
  | 'memberAdd'
  | 'memberRemove'
  | 'memberUpdate'
  | 'memberPromote'
  | 'memberList'
  | 'endpointHealth'
  | 'endpointStatus'
  | 'endpointHash'
  | 'moveLeader'
  | 'downgrade'
  | 'alarm'
> {
  return {
    memberAdd: no,
    memberRemove: no,
    memberUpdate: no,
    memberPromote: no,
    memberList: ({ response }) =>
      fields.head(response.header) +
      response.members
        .map(
          ({ id, name, peerUrls, clientUrls, isLearner }) =>
            fields.member('ID', id) +
            line('Name', goQuote(name)) +
            peerUrls.map((url) => line('PeerURL', goQuote(url))).join('') +
            clientUrls.map((url) => line('ClientURL', goQuote(url))).join('') +
            line('IsLearner', isLearner),
        )
        .map((text) => `${text}\n`)
        .join(''),
    endpointHealth: (list) =>
      list
        .map(
          ({ endpoint, isHealthy, took, error }) =>
            `${line('Endpoint', goQuote(endpoint))}${line('Health', isHealthy)}${line('Took', took)}${line('Error', error)}\n`,
        )
        .join(''),
    endpointStatus: (list) => list.map((item) => endpointStatus(fields, item)).join(''),
    endpointHash: (list) =>
      list
        .map(
          ({ endpoint, hash }) =>
            `${fields.head(hash.header)}${line('Endpoint', goQuote(endpoint))}${line('Hash', hash.hash)}` +
            `${line('HashRevision', hash.hashRevision)}\n`,
        )
        .join(''),
    moveLeader: no,
    downgrade: no,
    alarm: ({ response }) =>
      fields.head(response.header) +
      response.alarms
        .map(
          ({ memberId, alarm }) =>
            `${fields.member('MemberID', memberId)}${line('AlarmType', nameOf(AlarmType, alarm))}\n`,
        )
        .join(''),
  };
}

function endpointStatus(fields: Fields, { endpoint, status }: Results['endpointStatus'][number]): string {
  return [
    fields.head(status.header),
    line('Version', goQuote(status.version)),
    line('StorageVersion', goQuote(status.storageVersion)),
    line('DBSize', status.dbSize),
    line('DBSizeInUse', status.dbSizeInUse),
    line('DBSizeQuota', status.dbSizeQuota),
    line('Leader', status.leader),
    line('IsLearner', status.isLearner),
    line('RaftIndex', status.raftIndex),
    line('RaftAppliedIndex', status.raftAppliedIndex),
    line('Errors', `[${status.errors.join(' ')}]`),
    line('Endpoint', goQuote(endpoint)),
    line('DowngradeTargetVersion', goQuote(status.downgradeInfo?.targetVersion ?? '')),
    line('DowngradeEnabled', status.downgradeInfo?.enabled ?? false),
    '\n',
  ].join('');
}
