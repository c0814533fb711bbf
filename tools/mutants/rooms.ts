/** What can be mutated: the core of the member, room by room, each with the tests that have to find it. */
import { globSync } from 'node:fs';

const ROOT = new URL('../..', import.meta.url).pathname;

export interface Room {
  readonly sources: readonly string[];
  readonly tests: readonly string[];
  /** Of rooms that stand on it: run against what its own tests let pass. */
  readonly moreTests: readonly string[];
}

interface Place {
  readonly folder: string;
  /** Parts of it that are rooms of their own, or not of the program. */
  readonly without?: RegExp;
  /** Tests that are about something else, or look for what fuzzing and simulation look for, at length. */
  readonly withoutTests?: RegExp;
  /** Whose tests are tests of this one as well. */
  readonly users?: readonly string[];
}

const SERVER = 'packages/server/src';
/** Where the tests have whole members. */
const MEMBER: readonly string[] = ['member', 'cluster', 'request', 'boot', 'integrity'].map(
  (room) => `${SERVER}/${room}`,
);

const PLACES: Readonly<Record<string, Place>> = {
  raft: { folder: 'packages/raft/src', withoutTests: /mutants|simulation/, users: [`${SERVER}/consensus`] },
  apply: { folder: `${SERVER}/apply`, users: MEMBER },
  wal: { folder: 'packages/storage/src/wal' },
  snap: { folder: 'packages/storage/src/snap' },
  backend: { folder: 'packages/storage/src/backend' },
  bbolt: { folder: 'packages/bbolt/src', withoutTests: /interop|fuzz/ },
  mvcc: { folder: 'packages/storage/src/mvcc', without: /\/watch\//, withoutTests: /\/watch\// },
  watch: { folder: 'packages/storage/src/mvcc/watch' },
  lease: { folder: 'packages/storage/src/lease', users: [`${SERVER}/apply`, `${SERVER}/cluster`] },
  auth: { folder: 'packages/storage/src/auth', users: [`${SERVER}/apply`, `${SERVER}/auth`] },
  membership: { folder: 'packages/storage/src/membership', users: MEMBER },
  consensus: { folder: `${SERVER}/consensus`, users: MEMBER },
};

const NO_SOURCE = /\.test\.ts$|\.bench\.ts$|\/testing\/|\/rafttest\/|\/index\.ts$/;

export const ROOM_NAMES: readonly string[] = Object.keys(PLACES);

export function roomOf(name: string): Room {
  const place = PLACES[name];
  if (place === undefined) throw new Error(`no room is named ${name}; there are ${ROOM_NAMES.join(', ')}`);
  const filesIn = (folder: string): string[] => globSync(`${folder}/**/*.ts`, { cwd: ROOT }).sort();
  const files = filesIn(place.folder);
  return {
    sources: files.filter((file) => !NO_SOURCE.test(file) && place.without?.test(file) !== true),
    tests: files.filter((file) => file.endsWith('.test.ts') && place.withoutTests?.test(file) !== true),
    moreTests: (place.users ?? []).flatMap(filesIn).filter((file) => file.endsWith('.test.ts')),
  };
}
