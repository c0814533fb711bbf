/**
 * The format `json`: answers as Go's encoding/json writes the messages' structs. Names are those of the `.proto` files, zero values
 * are left out, 64-bit numbers are numbers, bytes are base64, enums are numbers.
 */
import type { Codec, MessageDescriptor } from '@etcd/api';
import { MESSAGES } from '@etcd/api/descriptors';
import * as pb from '@etcd/api/etcdserverpb';
import { EventCodec } from '@etcd/api/mvccpb';
import { assert } from '@etcd/base';
import type { Printer, Results } from './printer.ts';
import { hexId } from './rows.ts';

/** Characters that may not stand in a page of HTML, or in JavaScript, as they are. */
const ESCAPED = /[<>&\u2028\u2029]/g;

export function jsonPrinter(isHex: boolean): Printer {
  const members = isHex ? hexMembers : wholeMembers;
  return { ...WHOLE, ...LEASES, ...ENDPOINTS, ...members };
}

function text(value: string): string {
  return JSON.stringify(value.toWellFormed()).replace(
    ESCAPED,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function bytes(value: Uint8Array): string {
  return `"${Buffer.from(value).toString('base64')}"`;
}

function object(fields: readonly (readonly [string, string])[]): string {
  return `{${fields.map(([name, value]) => `${text(name)}:${value}`).join(',')}}`;
}

function descriptorOf(name: string): MessageDescriptor {
  const descriptor = MESSAGES.get(name);
  assert(descriptor !== undefined, 'every message has a descriptor');
  return descriptor;
}

/** The fields of a message that are not zero. */
function fieldsOf(descriptor: MessageDescriptor, message: object): [string, string][] {
  const fields: [string, string][] = [];
  for (const { name, property, kind, type, isRepeated } of descriptor.fields) {
    const value: unknown = Reflect.get(message, property);
    if (!isRepeated) {
      const written = scalar(kind, type, value);
      if (written !== null) fields.push([name, written]);
    } else if (Array.isArray(value) && value.length > 0) {
      const items = value.map((item: unknown) => scalar(kind, type, item) ?? zero(kind));
      fields.push([name, `[${items.join(',')}]`]);
    }
  }
  return fields;
}

function scalar(kind: string, type: string, value: unknown): string | null {
  if (
    value === null ||
    value === undefined ||
    value === false ||
    value === 0 ||
    value === 0n ||
    value === ''
  ) {
    return null;
  }
  if (kind === 'message') return messageJson(descriptorOf(type), value);
  if (value instanceof Uint8Array) return value.length === 0 ? null : bytes(value);
  return typeof value === 'string' ? text(value) : String(value);
}

function zero(kind: string): string {
  if (kind === 'bytes' || kind === 'string' || kind === 'lossyString') return '""';
  return kind === 'bool' ? 'false' : '0';
}

function messageJson(descriptor: MessageDescriptor, value: unknown): string {
  assert(typeof value === 'object' && value !== null, 'a message is an object');
  if (descriptor.name === 'etcdserverpb.ResponseOp') return operationJson(value);
  return object(fieldsOf(descriptor, value));
}

/** What Go's oneof is to encoding/json: a field named after the interface, and in it the one that is set. */
function operationJson(value: object): string {
  const inner = fieldsOf(descriptorOf('etcdserverpb.ResponseOp'), value);
  return object([['Response', object(inner)]]);
}

function whole<Response extends object>(
  codec: Codec<Response>,
): (result: { readonly response: Response }) => string {
  return ({ response }) => `${messageJson(descriptorOf(codec.name), response)}\n`;
}

type Part<Kind extends keyof Results> = Pick<Printer, Kind>;

const WHOLE: Omit<Printer, keyof typeof LEASES | keyof typeof ENDPOINTS | keyof typeof hexMembers> = {
  del: whole(pb.DeleteRangeResponseCodec),
  get: whole(pb.RangeResponseCodec),
  put: whole(pb.PutResponseCodec),
  txn: whole(pb.TxnResponseCodec),
  watch: ({ response }) => {
    const event = descriptorOf(EventCodec.name);
    const events = response.events.map((item) => messageJson(event, item));
    const { header, compactRevision, canceled, created, cancelReason } = response;
    return `${object([
      ['Header', header === null ? 'null' : messageJson(descriptorOf(pb.ResponseHeaderCodec.name), header)],
      ['Events', events.length === 0 ? 'null' : `[${events.join(',')}]`],
      ['CompactRevision', String(compactRevision)],
      ['Canceled', String(canceled)],
      ['Created', String(created)],
      ['CancelReason', text(cancelReason)],
    ])}\n`;
  },
  leaseRevoke: whole(pb.LeaseRevokeResponseCodec),
  moveLeader: whole(pb.MoveLeaderResponseCodec),
  downgrade: whole(pb.DowngradeResponseCodec),
  alarm: whole(pb.AlarmResponseCodec),
  roleAdd: whole(pb.AuthRoleAddResponseCodec),
  roleGet: whole(pb.AuthRoleGetResponseCodec),
  roleDelete: whole(pb.AuthRoleDeleteResponseCodec),
  roleList: whole(pb.AuthRoleListResponseCodec),
  roleGrantPermission: whole(pb.AuthRoleGrantPermissionResponseCodec),
  roleRevokePermission: whole(pb.AuthRoleRevokePermissionResponseCodec),
  userAdd: whole(pb.AuthUserAddResponseCodec),
  userGet: whole(pb.AuthUserGetResponseCodec),
  userList: whole(pb.AuthUserListResponseCodec),
  userChangePassword: whole(pb.AuthUserChangePasswordResponseCodec),
  userGrantRole: whole(pb.AuthUserGrantRoleResponseCodec),
  userRevokeRole: whole(pb.AuthUserRevokeRoleResponseCodec),
  userDelete: whole(pb.AuthUserDeleteResponseCodec),
  authStatus: whole(pb.AuthStatusResponseCodec),
};

/** Answers about leases have the fields of their header among their own. */
function flat(header: pb.ResponseHeader | null, fields: readonly (readonly [string, string])[]): string {
  const head = header === null ? [] : fieldsOf(descriptorOf(pb.ResponseHeaderCodec.name), header);
  return `${object([...head, ...fields])}\n`;
}

const LEASES: Part<'leaseGrant' | 'leaseKeepAlive' | 'leaseTimeToLive' | 'leaseList'> = {
  leaseGrant: ({ response: { header, id, ttl, error } }) =>
    flat(header, [
      ['ID', String(id)],
      ['TTL', String(ttl)],
      ['Error', text(error)],
    ]),
  leaseKeepAlive: ({ response: { header, id, ttl } }) =>
    flat(header, [
      ['ID', String(id)],
      ['TTL', String(ttl)],
    ]),
  leaseTimeToLive: ({ response: { header, id, ttl, grantedTtl, keys } }) =>
    flat(header, [
      ['id', String(id)],
      ['ttl', String(ttl)],
      ['granted-ttl', String(grantedTtl)],
      ['keys', keys.length === 0 ? 'null' : `[${keys.map(bytes).join(',')}]`],
    ]),
  leaseList: ({ response: { header, leases } }) =>
    flat(header, [['leases', `[${leases.map(({ id }) => object([['id', String(id)]])).join(',')}]`]]),
};

const ENDPOINTS: Part<'endpointHealth' | 'endpointStatus' | 'endpointHash'> = {
  endpointHealth: (list) =>
    array(
      list.map(({ endpoint, isHealthy, took, error }) =>
        object([
          ['endpoint', text(endpoint)],
          ['health', String(isHealthy)],
          ['took', text(took)],
          ...(error === '' ? [] : [['error', text(error)] as const]),
        ]),
      ),
    ),
  endpointStatus: (list) =>
    array(list.map(({ endpoint, status }) => ofEndpoint(endpoint, 'Status', pb.StatusResponseCodec, status))),
  endpointHash: (list) =>
    array(list.map(({ endpoint, hash }) => ofEndpoint(endpoint, 'HashKV', pb.HashKVResponseCodec, hash))),
};

function array(items: readonly string[]): string {
  return items.length === 0 ? 'null\n' : `[${items.join(',')}]\n`;
}

function ofEndpoint<Response extends object>(
  endpoint: string,
  name: string,
  codec: Codec<Response>,
  response: Response,
): string {
  return object([
    ['Endpoint', text(endpoint)],
    [name, messageJson(descriptorOf(codec.name), response)],
  ]);
}

const wholeMembers: Part<'memberAdd' | 'memberRemove' | 'memberUpdate' | 'memberPromote' | 'memberList'> = {
  memberAdd: whole(pb.MemberAddResponseCodec),
  memberRemove: whole(pb.MemberRemoveResponseCodec),
  memberUpdate: whole(pb.MemberUpdateResponseCodec),
  memberPromote: whole(pb.MemberPromoteResponseCodec),
  memberList: whole(pb.MemberListResponseCodec),
};

/** With `--hex`, the ids of members are strings. */
const hexMembers: typeof wholeMembers = {
  memberAdd: ({ response: { header, member, members } }) =>
    `${object([
      ['header', hexHeader(header)],
      ['member', member === null ? 'null' : hexMember(member)],
      ['members', `[${members.map(hexMember).join(',')}]`],
    ])}\n`,
  memberRemove: ({ response }) => hexMemberList(response),
  memberUpdate: ({ response }) => hexMemberList(response),
  memberPromote: ({ response }) => hexMemberList(response),
  memberList: ({ response }) => hexMemberList(response),
};

function hexMemberList({
  header,
  members,
}: {
  header: pb.ResponseHeader | null;
  members: pb.Member[];
}): string {
  return `${object([
    ['header', hexHeader(header)],
    ['members', `[${members.map(hexMember).join(',')}]`],
  ])}\n`;
}

function hexHeader(header: pb.ResponseHeader | null): string {
  if (header === null) return 'null';
  const rest = fieldsOf(descriptorOf(pb.ResponseHeaderCodec.name), header).filter(
    ([name]) => !name.endsWith('_id'),
  );
  return object([
    ['cluster_id', text(hexId(header.clusterId))],
    ['member_id', text(hexId(header.memberId))],
    ...rest,
  ]);
}

function hexMember(member: pb.Member): string {
  const rest = fieldsOf(descriptorOf(pb.MemberCodec.name), member).filter(([name]) => name !== 'ID');
  return object([['ID', text(hexId(member.id))], ...rest]);
}
