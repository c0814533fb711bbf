/** What can be mutated: the core of the member, room by room, each with the tests that have to find it. */
import { globSync } from 'node:fs';

const ROOT = new URL('../..', import.meta.url).pathname;

export interface Room {
  readonly sources: readonly string[];
  readonly tests: readonly string[];
}

interface Place {
  readonly folder: string;
  /** Parts of it that are rooms of their own, or not of the program. */
  readonly without?: RegExp;
  /** Tests that are about something else, or look for what fuzzing and simulation look for, at length. */
  readonly withoutTests?: RegExp;
}

const PLACES: Readonly<Record<string, Place>> = {
  raft: { folder: 'packages/raft/src', withoutTests: /mutants|simulation/ },
  apply: { folder: 'packages/server/src/apply' },
  wal: { folder: 'packages/storage/src/wal' },
  snap: { folder: 'packages/storage/src/snap' },
  backend: { folder: 'packages/storage/src/backend' },
  bbolt: { folder: 'packages/bbolt/src', withoutTests: /interop|fuzz/ },
  mvcc: { folder: 'packages/storage/src/mvcc', without: /\/watch\//, withoutTests: /\/watch\// },
  watch: { folder: 'packages/storage/src/mvcc/watch' },
  lease: { folder: 'packages/storage/src/lease' },
  auth: { folder: 'packages/storage/src/auth' },
  membership: { folder: 'packages/storage/src/membership' },
  consensus: { folder: 'packages/server/src/consensus' },
};

const NO_SOURCE = /\.test\.ts$|\.bench\.ts$|\/testing\/|\/rafttest\/|\/index\.ts$/;

export const ROOM_NAMES: readonly string[] = Object.keys(PLACES);

export function roomOf(name: string): Room {
  const place = PLACES[name];
  if (place === undefined) throw new Error(`no room is named ${name}; there are ${ROOM_NAMES.join(', ')}`);
  const files = globSync(`${place.folder}/**/*.ts`, { cwd: ROOT }).sort();
  return {
    sources: files.filter((file) => !NO_SOURCE.test(file) && place.without?.test(file) !== true),
    tests: files.filter((file) => file.endsWith('.test.ts') && place.withoutTests?.test(file) !== true),
  };
}
