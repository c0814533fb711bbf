/**
 * The names of raftpb's enum values, as logs and scripts show them.
 */
import { ConfChangeTransition, ConfChangeType, EntryType, MessageType } from '@etcd/api/raftpb';

const MESSAGE_TYPES = invert(MessageType);
const ENTRY_TYPES = invert(EntryType);
const CONF_CHANGE_TYPES = invert(ConfChangeType);
const TRANSITIONS = invert(ConfChangeTransition);

export function messageTypeName(type: number): string {
  return MESSAGE_TYPES.get(type) ?? String(type);
}

export function entryTypeName(type: number): string {
  return ENTRY_TYPES.get(type) ?? String(type);
}

export function confChangeTypeName(type: number): string {
  return CONF_CHANGE_TYPES.get(type) ?? String(type);
}

export function confChangeTransitionName(transition: number): string {
  return TRANSITIONS.get(transition) ?? String(transition);
}

function invert(values: Readonly<Record<string, number>>): ReadonlyMap<number, string> {
  return new Map(Object.entries(values).map(([name, value]) => [value, name]));
}
