/**
 * The membership as etcd up to 3.5 reads it: the v2 store, one JSON tree that is the data of every raft snapshot.
 *
 *     /0/members/<id>/raftAttributes   {"peerURLs":[…],"isLearner":true}
 *     /0/members/<id>/attributes       {"name":…,"clientURLs":[…]}, once the member has started
 *     /0/removed_members/<id>          empty
 *     /0/version                       3.5.0
 *     /1                               the keys of v2 clients
 */
import { assert, utf8ToBytes } from '@etcd/base';
import { NO_DOWNGRADE } from './cluster-version.ts';
import { goString, isObject, type JsonObject, parseObject } from './go-json.ts';
import {
  attributesJson,
  compareIds,
  formatId,
  type Member,
  parseAttributes,
  parseId,
  parseRaftAttributes,
  raftAttributesJson,
} from './member.ts';
import { type MembershipState, mustParseVersion } from './membership-buckets.ts';
import { MembershipError } from './membership-error.ts';
import { formatVersion } from './semantic-version.ts';

export interface V2Store {
  readonly state: MembershipState;
  /** Keys of v2 clients are in it, which etcd from 3.6 on refuses to drop silently. */
  readonly hasUserKeys: boolean;
}

const WHAT = 'v2 store';
const NO_EVENTS = emptyEventQueue(1000);
const NO_STATS =
  '{"getsSuccess":0,"getsFail":0,"setsSuccess":0,"setsFail":0,"deleteSuccess":0,"deleteFail":0,"updateSuccess":0,"updateFail":0,"createSuccess":0,"createFail":0,"compareAndSwapSuccess":0,"compareAndSwapFail":0,"compareAndDeleteSuccess":0,"compareAndDeleteFail":0,"expireCount":0,"watchers":0}';

/** The data of a raft snapshot. */
export function encodeV2Store(state: MembershipState): Uint8Array {
  const writer = new TreeWriter();
  const members = [...state.members].sort((a, b) => compareIds(a.id, b.id));
  const removedIds = [...state.removedIds].sort(compareIds);
  for (const member of members) writeMember(writer, member);
  for (const id of removedIds) writer.put(`/0/removed_members/${formatId(id)}`, '');
  if (state.version !== null) writer.put('/0/version', formatVersion(state.version));
  return utf8ToBytes(writer.finish());
}

/** A store with other members, and none that were removed: its version and the keys of v2 clients stay. */
export function withMembers(data: Uint8Array, members: readonly Member[]): Uint8Array {
  const { state } = decodeV2Store(data);
  const store = parseObject(data, WHAT);
  const made = parseObject(encodeV2Store({ ...state, members, removedIds: [] }), WHAT);
  const root = store['Root'];
  assert(isObject(root) && isObject(root['Children']), 'v2 store: it has been decoded');
  const children = { ...root['Children'], '0': childrenOf(made['Root'])['0'] };
  return utf8ToBytes(JSON.stringify({ ...store, Root: { ...root, Children: children } }));
}

/** Throws {@link MembershipError}. A downgrade is not in it. */
export function decodeV2Store(data: Uint8Array): V2Store {
  const root = childrenOf(parseObject(data, WHAT)['Root']);
  const cluster = childrenOf(root['0']);
  const members = Object.entries(childrenOf(cluster['members'])).map(([name, node]) => memberOf(name, node));
  const removedIds = Object.keys(childrenOf(cluster['removed_members'])).map(mustParseId);
  const version = cluster['version'] === undefined ? null : mustParseVersion(textOf(cluster['version']));
  return {
    state: { members, removedIds, version, downgrade: NO_DOWNGRADE },
    hasUserKeys: Object.keys(childrenOf(root['1'])).length > 0,
  };
}

function writeMember(writer: TreeWriter, member: Member): void {
  const path = `/0/members/${formatId(member.id)}`;
  writer.put(`${path}/raftAttributes`, raftAttributesJson(member));
  if (member.name === '' && member.clientUrls.length === 0) return;
  writer.put(`${path}/attributes`, attributesJson(member));
}

interface TreeNode {
  readonly path: string;
  readonly index: number;
  readonly value: string;
  /** null for a leaf. */
  readonly children: Map<string, TreeNode> | null;
}

/** Builds the tree as a store would have that was given these keys one after the other. */
class TreeWriter {
  readonly #root: TreeNode = { path: '/', index: 0, value: '', children: new Map() };
  #index = 0;

  constructor() {
    // The two namespaces that every store is made with.
    for (const name of ['0', '1']) this.#root.children!.set(name, directory(`/${name}`, 0));
  }

  put(path: string, value: string): void {
    assert(path.startsWith('/0/'), 'v2 store: a path outside of the namespace of members');
    const names = path.slice(1).split('/');
    const name = names.pop()!;
    this.#index++;
    let node = this.#root;
    for (const part of names) {
      const parentPath = node.path === '/' ? '' : node.path;
      assert(node.children !== null, 'v2 store: a value has something below it');
      const child = node.children.get(part) ?? directory(`${parentPath}/${part}`, this.#index);
      node.children.set(part, child);
      node = child;
    }
    assert(node.children?.has(name) === false, 'v2 store: a key is written twice');
    node.children.set(name, { path, index: this.#index, value, children: null });
  }

  finish(): string {
    const hub = `{"EventHistory":{"Queue":${NO_EVENTS},"StartIndex":0,"LastIndex":0}}`;
    const tail = `"CurrentIndex":${this.#index},"Stats":${NO_STATS},"CurrentVersion":2`;
    return `{"Root":${nodeJson(this.#root)},"WatcherHub":${hub},${tail}}`;
  }
}

function directory(path: string, index: number): TreeNode {
  return { path, index, value: '', children: new Map() };
}

function nodeJson({ path, index, value, children }: TreeNode): string {
  const indices = `"CreatedIndex":${index},"ModifiedIndex":${index}`;
  const content = `"ExpireTime":"0001-01-01T00:00:00Z","Value":${goString(value)}`;
  return `{"Path":${goString(path)},${indices},${content},"Children":${childrenJson(children)}}`;
}

/** Names in order, as Go writes maps. */
function childrenJson(children: TreeNode['children']): string {
  if (children === null) return 'null';
  const names = [...children.keys()].sort();
  return `{${names.map((name) => `${goString(name)}:${nodeJson(children.get(name)!)}`).join(',')}}`;
}

/** etcd writes into the queue in place: it needs all of its slots. */
function emptyEventQueue(capacity: number): string {
  const slots = new Array<string>(capacity).fill('null').join(',');
  return `{"Events":[${slots}],"Size":0,"Front":0,"Back":0,"Capacity":${capacity}}`;
}

// Reading.

function memberOf(name: string, node: unknown): Member {
  const id = mustParseId(name);
  let raftAttributes: string | null = null;
  let attributes: string | null = null;
  for (const [key, child] of Object.entries(childrenOf(node))) {
    if (key === 'raftAttributes') raftAttributes = textOf(child);
    else if (key === 'attributes') attributes = textOf(child);
    else throw new MembershipError('malformed', `unknown key ${JSON.stringify(key)} of member ${name}`);
  }
  if (raftAttributes === null) {
    throw new MembershipError('malformed', `raftAttributes key doesn't exist of member ${name}`);
  }
  const own = attributes === null ? { name: '', clientUrls: [] } : parseAttributes(attributes);
  return { id, ...own, ...parseRaftAttributes(raftAttributes) };
}

/** Hidden nodes, whose names begin with `_`, count as absent. */
function childrenOf(node: unknown): JsonObject {
  if (node === undefined) return {};
  if (!isObject(node)) throw new MembershipError('malformed', `failed to unmarshal ${WHAT}: not a node`);
  const children = node['Children'] ?? {};
  if (!isObject(children))
    throw new MembershipError('malformed', `failed to unmarshal ${WHAT}: not children`);
  return Object.fromEntries(Object.entries(children).filter(([name]) => !name.startsWith('_')));
}

function textOf(node: unknown): string {
  const value = isObject(node) ? node['Value'] : null;
  if (typeof value !== 'string') {
    throw new MembershipError('malformed', `failed to unmarshal ${WHAT}: a node without value`);
  }
  return value;
}

function mustParseId(name: string): bigint {
  const id = parseId(name);
  if (id === null) {
    throw new MembershipError('malformed', `failed to parse member id from key ${JSON.stringify(name)}`);
  }
  return id;
}
