/**
 * Mutants that make the same program: no answer, file, message, bound or error differs, whatever is asked. They stand in `equivalents/`, a file for each
 * room, each with the reason; a test says when the line that one is about has changed. They are run like all others: one that a test finds is none.
 */
import { existsSync, readFileSync } from 'node:fs';
import { keyOf, type MutantName } from './find-mutants.ts';

export interface Equivalent extends MutantName {
  readonly reason: string;
}

const FOLDER = new URL('./equivalents/', import.meta.url).pathname;

export function readEquivalents(room: string): Equivalent[] {
  const path = `${FOLDER}${room}.json`;
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as Equivalent[]) : [];
}

export function equivalentKeys(room: string): ReadonlySet<string> {
  return new Set(readEquivalents(room).map(keyOf));
}
