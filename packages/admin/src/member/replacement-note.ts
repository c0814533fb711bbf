/**
 * What is known of a replacement that is under way, in a file: whoever begins again finds there which member was meant when the cluster
 * does not have it any more. It is written, and synced, before the first change.
 */
import { closeSync, fsyncSync, openSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ClusterError } from '../cluster/cluster-error.ts';
import { readIfThere, writeWhole } from '../cluster/files.ts';

export interface ReplacementNote {
  readonly clusterId: bigint;
  readonly name: string;
  /** Of the member that goes. */
  readonly oldId: bigint;
  /** Of the member that comes. */
  readonly peerUrls: readonly string[];
}

/** Keeps one note for each member of each cluster. */
export interface NoteKeeper {
  /** Throws {@link ClusterError} for one that can not be read. */
  find(clusterId: bigint, name: string): ReplacementNote | null;
  write(note: ReplacementNote): void;
  remove(note: ReplacementNote): void;
}

const PRIVATE_MODE = 0o600;

export class NoteFiles implements NoteKeeper {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  find(clusterId: bigint, name: string): ReplacementNote | null {
    const path = this.#path(clusterId, name);
    const text = readIfThere(path);
    if (text === null) return null;
    const note = parseNote(text);
    if (note === null || note.clusterId !== clusterId || note.name !== name) {
      throw new ClusterError(`${path} is no note of a replacement; remove it if it is nobody's`);
    }
    return note;
  }

  write(note: ReplacementNote): void {
    const { clusterId, name, oldId, peerUrls } = note;
    const text = { clusterId: String(clusterId), name, oldId: String(oldId), peerUrls };
    writeWhole(this.#path(clusterId, name), `${JSON.stringify(text, null, 2)}\n`, PRIVATE_MODE);
    this.#sync();
  }

  remove({ clusterId, name }: ReplacementNote): void {
    rmSync(this.#path(clusterId, name), { force: true });
  }

  /** Names may be anything; a file is called by what is safe in one. */
  #path(clusterId: bigint, name: string): string {
    return join(this.#directory, `replace-${clusterId.toString(16)}-${encodeURIComponent(name)}.json`);
  }

  /** The name of a file is safe when its directory is. */
  #sync(): void {
    const directory = openSync(this.#directory, 'r');
    fsyncSync(directory);
    closeSync(directory);
  }
}

function parseNote(text: string): ReplacementNote | null {
  try {
    const { clusterId, name, oldId, peerUrls } = JSON.parse(text) as Record<string, unknown>;
    const isRight =
      typeof clusterId === 'string' &&
      typeof name === 'string' &&
      typeof oldId === 'string' &&
      Array.isArray(peerUrls) &&
      peerUrls.length > 0 &&
      peerUrls.every((url) => typeof url === 'string');
    if (!isRight) return null;
    return { clusterId: BigInt(clusterId), name, oldId: BigInt(oldId), peerUrls: peerUrls as string[] };
  } catch {
    return null;
  }
}
