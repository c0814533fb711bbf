/**
 * Configuration changes as they stand in log entries. The older form ({@link ConfChange}) holds one change; the newer
 * one ({@link ConfChangeV2}) any number, and says how to get from the old configuration to the new. An entry of the
 * newer kind without any data means: leave the joint configuration.
 */
import {
  ConfChange,
  ConfChangeSingle,
  ConfChangeTransition,
  ConfChangeType,
  ConfChangeV2,
  decodeConfChange,
  decodeConfChangeV2,
  Entry,
  EntryType,
  encodeConfChange,
  encodeConfChangeV2,
} from '@etcd/api/raftpb';
import type { Config } from '../tracker/config.ts';
import { ConfChangeError, type ConfChangeResult, changeSimple, enterJoint, leaveJoint } from './changer.ts';

export type AnyConfChange = ConfChange | ConfChangeV2;

/** The same change in the newer form. */
export function toConfChangeV2(change: AnyConfChange): ConfChangeV2 {
  if (change instanceof ConfChangeV2) return change;
  const single = new ConfChangeSingle();
  single.type = change.type;
  single.nodeId = change.nodeId;
  const v2 = new ConfChangeV2();
  v2.changes = [single];
  v2.context = change.context;
  return v2;
}

/** An entry that proposes `change`; null proposes to leave the joint configuration. */
export function confChangeEntry(change: AnyConfChange | null): Entry {
  const entry = new Entry();
  if (change instanceof ConfChange) {
    entry.type = EntryType.EntryConfChange;
    entry.data = encodeConfChange(change);
  } else {
    entry.type = EntryType.EntryConfChangeV2;
    // An entry without payload is never refused for its size.
    if (change !== null) entry.data = encodeConfChangeV2(change);
  }
  return entry;
}

/** The change that an entry holds; null if it is no configuration change. Malformed data throws `DecodeError`. */
export function decodeConfChangeEntry(entry: Entry): AnyConfChange | null {
  if (entry.type === EntryType.EntryConfChange) return decodeConfChange(entry.data);
  if (entry.type === EntryType.EntryConfChangeV2) return decodeConfChangeV2(entry.data);
  return null;
}

/** Whether the change leaves a joint configuration: it says nothing at all, but for its context. */
export function leavesJoint(change: ConfChangeV2): boolean {
  return change.transition === ConfChangeTransition.ConfChangeTransitionAuto && change.changes.length === 0;
}

/** The configuration that follows from `change`. What the rules forbid throws {@link ConfChangeError}. */
export function applyConfChange(config: Config, change: ConfChangeV2): ConfChangeResult {
  if (leavesJoint(change)) return leaveJoint(config);
  switch (change.transition) {
    case ConfChangeTransition.ConfChangeTransitionAuto:
      // Several changes could be simple ones too, depending on the configuration; joint consensus always works.
      if (change.changes.length > 1) return enterJoint(config, true, change.changes);
      return changeSimple(config, change.changes);
    case ConfChangeTransition.ConfChangeTransitionJointImplicit:
      return enterJoint(config, true, change.changes);
    case ConfChangeTransition.ConfChangeTransitionJointExplicit:
      return enterJoint(config, false, change.changes);
    default:
      throw new ConfChangeError(`unknown transition: ${change.transition}`);
  }
}

const LETTERS: ReadonlyMap<number, string> = new Map<number, string>([
  [ConfChangeType.ConfChangeAddNode, 'v'],
  [ConfChangeType.ConfChangeAddLearnerNode, 'l'],
  [ConfChangeType.ConfChangeRemoveNode, 'r'],
  [ConfChangeType.ConfChangeUpdateNode, 'u'],
]);

/** Changes in short: `v1 l2 r3 u4` makes 1 a voter, 2 a learner, removes 3 and updates 4. */
export function formatChanges(changes: readonly ConfChangeSingle[]): string {
  return changes.map(({ type, nodeId }) => `${LETTERS.get(type) ?? 'unknown'}${nodeId}`).join(' ');
}

/** The inverse of {@link formatChanges}. Anything else is a {@link ConfChangeError}. */
export function parseChanges(text: string): ConfChangeSingle[] {
  const tokens = text.trim().split(' ');
  if (tokens[0] === '') return [];
  return tokens.map((token) => {
    if (token.length < 2) throw new ConfChangeError(`unknown token ${token}`);
    const type = [...LETTERS].find(([, letter]) => letter === token[0])?.[0];
    if (type === undefined) throw new ConfChangeError(`unknown input: ${token}`);
    const id = token.slice(1);
    if (!/^\d+$/.test(id)) throw new ConfChangeError(`invalid node id: ${id}`);
    const change = new ConfChangeSingle();
    change.type = type;
    change.nodeId = BigInt(id);
    return change;
  });
}
