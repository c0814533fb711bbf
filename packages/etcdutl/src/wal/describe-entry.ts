/** An entry of the log in one line: what it asks for, without what nobody should read. */
import { DecodeError } from '@etcd/api';
import { decodeInternalRaftRequest, decodeRequest } from '@etcd/api/etcdserverpb';
import {
  ConfChangeType,
  decodeConfChange,
  decodeConfChangeV2,
  type Entry,
  EntryType,
} from '@etcd/api/raftpb';
import { goQuoteBytes } from '@etcd/host/cli';
import { formatId } from '@etcd/storage/membership';

/** Of requests about users; tokens let in whoever has them. */
const SECRETS: ReadonlySet<string> = new Set(['password', 'hashedPassword', 'simpleToken']);
const CHANGES: Readonly<Record<number, string>> = {
  [ConfChangeType.ConfChangeAddNode]: 'add',
  [ConfChangeType.ConfChangeRemoveNode]: 'remove',
  [ConfChangeType.ConfChangeUpdateNode]: 'update',
  [ConfChangeType.ConfChangeAddLearnerNode]: 'add learner',
};

/** As `put {"key":"a","value":"1"}`. */
export function describeEntry({ type, data }: Entry): string {
  try {
    if (type === EntryType.EntryConfChange) return describeChange([decodeConfChange(data)]);
    if (type === EntryType.EntryConfChangeV2) return describeChange(decodeConfChangeV2(data).changes);
    return data.length === 0 ? 'nothing' : describeRequest(data);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
    return `${data.length} bytes that are no request`;
  }
}

function describeChange(changes: readonly { readonly type: number; readonly nodeId: bigint }[]): string {
  return changes.map(({ type, nodeId }) => `${CHANGES[type] ?? type} member ${formatId(nodeId)}`).join(', ');
}

function describeRequest(data: Uint8Array): string {
  const envelope = decodedEnvelope(data);
  // A request of the v2 API may stand by itself.
  if (envelope === null) return `v2 ${jsonOf(decodeRequest(data))}`;
  const named = Object.entries(envelope).find(
    ([name, value]) => !['header', 'id', 'unknown'].includes(name) && value !== null,
  );
  return named === undefined ? `unknown ${data.length} bytes` : `${named[0]} ${jsonOf(named[1])}`;
}

function decodedEnvelope(data: Uint8Array): ReturnType<typeof decodeInternalRaftRequest> | null {
  try {
    return decodeInternalRaftRequest(data);
  } catch (error) {
    if (error instanceof DecodeError) return null;
    throw error;
  }
}

/** Without what is at its default. */
function jsonOf(request: object): string {
  if (request instanceof Uint8Array) return goQuoteBytes(request);
  if (Array.isArray(request)) return `[${request.map((item) => valueText(item)).join(',')}]`;
  const fields = Object.entries(request).flatMap(([name, value]) => {
    if (isDefault(value)) return [];
    return `${JSON.stringify(name)}:${SECRETS.has(name) ? '"…"' : valueText(value)}`;
  });
  return `{${fields.join(',')}}`;
}

function valueText(value: unknown): string {
  if (typeof value === 'object' && value !== null) return jsonOf(value);
  return typeof value === 'bigint' ? String(value) : JSON.stringify(value);
}

function isDefault(value: unknown): boolean {
  if (value instanceof Uint8Array || Array.isArray(value)) return value.length === 0;
  return value === null || value === 0 || value === 0n || value === '' || value === false;
}
