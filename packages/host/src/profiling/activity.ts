/** What this process is busy with, for whoever would ask a Go program for its goroutines and threads. */
import { readdirSync, readFileSync } from 'node:fs';

/** What keeps the event loop waiting, by kind: sockets, timers, files, requests to the system. */
export function activeResources(): ReadonlyMap<string, number> {
  return countOf(process.getActiveResourcesInfo());
}

/** The threads of the process by their names; empty where the system does not tell. */
export function threadNames(): ReadonlyMap<string, number> {
  const directory = '/proc/self/task';
  try {
    return countOf(
      readdirSync(directory).map((id) => readFileSync(`${directory}/${id}/comm`, 'utf8').trimEnd()),
    );
  } catch {
    return new Map();
  }
}

function countOf(names: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return new Map([...counts].sort(([, a], [, b]) => b - a));
}
