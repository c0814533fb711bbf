/**
 * Members, their identities and their JSON.
 */

import type { ClusterId, MemberId } from '@etcd/api';
import { ConfChange, ConfChangeType } from '@etcd/api/raftpb';
import { assert, utf8ToBytes } from '@etcd/base';
// Loading Node's own for one hash is a tenth of what a start costs.
import { sha1 } from '@noble/hashes/legacy.js';
import {
  boolField,
  goString,
  goStrings,
  idField,
  isObject,
  type JsonObject,
  parseObject,
  stringField,
  stringsField,
} from './go-json.ts';
import { MembershipError } from './membership-error.ts';

/** What raft knows of a member; changed through configuration changes only. */
export interface RaftAttributes {
  /** Sorted when the member is made; otherwise as given. */
  readonly peerUrls: readonly string[];
  readonly isLearner: boolean;
}

/** What a member says of itself once it runs. */
export interface Attributes {
  /** Empty until the member has started. */
  readonly name: string;
  readonly clientUrls: readonly string[];
}

/** Never changed: a change makes another one. */
export interface Member extends RaftAttributes, Attributes {
  readonly id: MemberId;
}

/** What a configuration change that adds or promotes carries. */
export interface ConfigChangeContext {
  readonly member: Member;
  /** Adding a voter and promoting a learner are the same type of change. */
  readonly isPromote: boolean;
}

/** A member that is about to be added: no name, no client URLs. */
export function newMember(id: MemberId, raft: RaftAttributes, name = ''): Member {
  return { id, name, peerUrls: raft.peerUrls, clientUrls: [], isLearner: raft.isLearner };
}

/** Whether it ever ran: only then is its name known. */
export function isStarted(member: Member): boolean {
  return member.name !== '';
}

/** Unpadded lower hex, as everywhere in etcd. */
export function formatId(id: bigint): string {
  return id.toString(16);
}

/** null if `text` is no identity in hex. */
export function parseId(text: string): bigint | null {
  return /^[0-9a-fA-F]{1,16}$/.test(text) ? BigInt(`0x${text}`) : null;
}

/**
 * The identity of a member with these peer URLs: founding members of one cluster share its token; one that is added
 * later has no token but the time, in Unix seconds, so that no identity comes twice.
 */
export function computeMemberId(peerUrls: readonly string[], token: string, unixSeconds?: number): MemberId {
  assert(
    unixSeconds === undefined || Number.isSafeInteger(unixSeconds),
    'member: a time that is no number of seconds',
  );
  const time = unixSeconds === undefined ? '' : String(unixSeconds);
  return hashId(utf8ToBytes([...peerUrls].sort().join('') + token + time));
}

/** The identity of the cluster that these members found. */
export function computeClusterId(memberIds: readonly MemberId[]): ClusterId {
  const bytes = new Uint8Array(8 * memberIds.length);
  const view = new DataView(bytes.buffer);
  const sorted = [...memberIds].sort(compareIds);
  for (const [i, id] of sorted.entries()) {
    assert(i === 0 || id !== sorted[i - 1], 'member: two members of one id');
    view.setBigUint64(8 * i, id);
  }
  return hashId(bytes);
}

export function compareIds(a: bigint, b: bigint): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** `{"id":…}` as Go marshals a Member. A change of raft attributes only has nothing else in it. */
export function memberJson(member: Member): string {
  return `{${memberFields(member)}}`;
}

export function configChangeContextJson({ member, isPromote }: ConfigChangeContext): string {
  return `{${memberFields(member)},"isPromote":${isPromote}}`;
}

export function raftAttributesJson(raft: RaftAttributes): string {
  return `{${raftFields(raft)}}`;
}

export function attributesJson(attributes: Attributes): string {
  return `{${attributesFields(attributes).slice(1)}}`;
}

export function parseMember(text: string | Uint8Array): Member {
  return memberOf(parseObject(text, 'member'));
}

/** A list of members as members tell it to each other, in order of their ids. */
export function membersJson(members: readonly Member[]): string {
  const sorted = [...members].sort((a, b) => compareIds(a.id, b.id));
  return `[${sorted.map(memberJson).join(',')}]`;
}

/** Throws {@link MembershipError}. */
export function parseMembers(text: string): Member[] {
  const { members } = parseObject(`{"members":${text}}`, 'members');
  if (!Array.isArray(members))
    throw new MembershipError('malformed', 'failed to unmarshal members: not a list');
  return members.map((member: unknown) => {
    if (!isObject(member))
      throw new MembershipError('malformed', 'failed to unmarshal members: not an object');
    return memberOf(member);
  });
}

export function parseConfigChangeContext(text: Uint8Array): ConfigChangeContext {
  const object = parseObject(text, 'confChangeContext');
  return { member: memberOf(object), isPromote: boolField(object, 'isPromote', 'confChangeContext') };
}

export function parseRaftAttributes(text: string): RaftAttributes {
  return raftAttributesOf(parseObject(text, 'raftAttributes'));
}

export function parseAttributes(text: string): Attributes {
  return attributesOf(parseObject(text, 'attributes'));
}

// The changes that a member proposes.

export function addMemberChange(member: Member): ConfChange {
  const type = member.isLearner ? ConfChangeType.ConfChangeAddLearnerNode : ConfChangeType.ConfChangeAddNode;
  return new ConfChange({ type, nodeId: member.id, context: utf8ToBytes(memberJson(member)) });
}

export function promoteMemberChange(id: MemberId): ConfChange {
  const member = newMember(id, { peerUrls: [], isLearner: false });
  const context = utf8ToBytes(configChangeContextJson({ member, isPromote: true }));
  return new ConfChange({ type: ConfChangeType.ConfChangeAddNode, nodeId: id, context });
}

export function updateMemberChange(id: MemberId, peerUrls: readonly string[]): ConfChange {
  const context = utf8ToBytes(memberJson(newMember(id, { peerUrls, isLearner: false })));
  return new ConfChange({ type: ConfChangeType.ConfChangeUpdateNode, nodeId: id, context });
}

export function removeMemberChange(id: MemberId): ConfChange {
  return new ConfChange({ type: ConfChangeType.ConfChangeRemoveNode, nodeId: id });
}

function hashId(bytes: Uint8Array): bigint {
  const { buffer, byteOffset } = sha1(bytes);
  return new DataView(buffer, byteOffset).getBigUint64(0);
}

function memberFields(member: Member): string {
  return `"id":${member.id},${raftFields(member)}${attributesFields(member)}`;
}

function raftFields({ peerUrls, isLearner }: RaftAttributes): string {
  // Go's nil list is null, and a member always has peer URLs unless nobody set them.
  const urls = peerUrls.length === 0 ? 'null' : goStrings(peerUrls);
  return `"peerURLs":${urls}${isLearner ? ',"isLearner":true' : ''}`;
}

/** With a comma before each field. */
function attributesFields({ name, clientUrls }: Attributes): string {
  const nameField = name === '' ? '' : `,"name":${goString(name)}`;
  const urlsField = clientUrls.length === 0 ? '' : `,"clientURLs":${goStrings(clientUrls)}`;
  return nameField + urlsField;
}

function memberOf(object: JsonObject): Member {
  const id = idField(object, 'id', 'member');
  return { id, ...raftAttributesOf(object), ...attributesOf(object) };
}

function raftAttributesOf(object: JsonObject): RaftAttributes {
  const peerUrls = stringsField(object, 'peerURLs', 'raftAttributes');
  return { peerUrls, isLearner: boolField(object, 'isLearner', 'raftAttributes') };
}

function attributesOf(object: JsonObject): Attributes {
  const name = stringField(object, 'name', 'attributes');
  return { name, clientUrls: stringsField(object, 'clientURLs', 'attributes') };
}
