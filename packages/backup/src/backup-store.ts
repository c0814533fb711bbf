/** The backups of a store: those that have metadata, which come last. A file without is one that was never finished. */
import { Readable } from 'node:stream';
import type { Revision } from '@etcd/api';
import { BackupError } from './backup-error.ts';
import { type Content, collect } from './content.ts';
import { type BackupMetadata, inOrder, metadataName, parseBackupName, parseMetadata } from './metadata.ts';
import type { ObjectStore } from './object-store.ts';

const METADATA = /^(etcd-.*\.db(?:\.gz|\.zst)?(?:\.age)?)\.json$/;
const CHANGES = 'changes';
/** Metadata that are read at once. */
const CONCURRENT_READS = 8;
const MAX_METADATA_BYTES = 1 << 20;

export interface StoredBackup extends BackupMetadata {
  /** False: the file is not as long as it was when it was written. */
  readonly isWhole: boolean;
}

export class BackupStore {
  readonly objects: ObjectStore;
  /** Where the segments of the change log lie. */
  readonly changes: ObjectStore;

  constructor(objects: ObjectStore) {
    this.objects = objects;
    this.changes = objects.below(CHANGES);
  }

  get address(): string {
    return this.objects.address;
  }

  /** Throws {@link BackupError}. */
  prepare(): Promise<void> {
    return this.objects.prepare();
  }

  /** Of all that are whole, the newest last. Throws {@link BackupError}. */
  async list(): Promise<StoredBackup[]> {
    const files = await this.#files();
    const names = [...files.keys()];
    const all: StoredBackup[] = [];
    for (let at = 0; at < names.length; at += CONCURRENT_READS) {
      const some = names.slice(at, at + CONCURRENT_READS);
      const found = await Promise.all(some.map((name) => this.#metadataIfThere(name)));
      for (const one of found) {
        if (one !== null) all.push({ ...one, isWhole: files.get(one.name) === one.storedBytes });
      }
    }
    return all.sort(inOrder);
  }

  /** When the newest of a cluster was made (milliseconds since 1970), and its revision, by the names alone; null: there is none. */
  async newest(
    clusterId: string,
  ): Promise<{ readonly createdMs: number; readonly revision: Revision } | null> {
    let newest: { createdMs: number; revision: Revision } | null = null;
    for (const name of (await this.#files()).keys()) {
      const found = parseBackupName(name);
      if (found?.clusterId !== clusterId) continue;
      if (newest === null || found.createdMs > newest.createdMs) newest = found;
    }
    return newest;
  }

  /** By name; without one, the newest. Throws {@link BackupError}. */
  async find(name: string): Promise<BackupMetadata> {
    if (name !== '') {
      // Of the others none matters: what is wrong with one of them must not keep anybody from this one.
      if ((await this.#files()).has(name)) return await this.#metadataOf(name);
      throw new BackupError(`${this.address}: no backup ${name}`);
    }
    const newest = (await this.list()).at(-1);
    if (newest === undefined) throw new BackupError(`${this.address}: there is no backup`);
    return newest;
  }

  read(name: string): Promise<Content> {
    return this.objects.read(name);
  }

  write(name: string, content: Content, signal?: AbortSignal): Promise<void> {
    return this.objects.write(name, content, signal);
  }

  async writeMetadata(metadata: BackupMetadata): Promise<void> {
    const content = Buffer.from(`${JSON.stringify(metadata, null, 2)}\n`);
    await this.objects.write(metadataName(metadata.name), Readable.from([content]));
  }

  /** The metadata first: what is left when that is all there was time for is no backup. */
  async remove({ name }: BackupMetadata): Promise<void> {
    await this.objects.remove(metadataName(name));
    await this.objects.remove(name);
  }

  async discard(name: string): Promise<void> {
    await this.objects.remove(name);
  }

  /** Those that have metadata, with their lengths. */
  async #files(): Promise<Map<string, number>> {
    const all = await this.objects.files();
    const files = new Map<string, number>();
    for (const path of all.keys()) {
      const name = METADATA.exec(path)?.[1] ?? '';
      const length = all.get(name);
      if (length !== undefined) files.set(name, length);
    }
    return files;
  }

  /** Null for one that somebody has removed since its name was read. */
  async #metadataIfThere(name: string): Promise<BackupMetadata | null> {
    try {
      return await this.#metadataOf(name);
    } catch (error) {
      if ((await this.#files()).has(name)) throw error;
      return null;
    }
  }

  /** The file's own name counts, not what its metadata say: who copies a backup has two of them. */
  async #metadataOf(name: string): Promise<BackupMetadata> {
    const path = metadataName(name);
    const content = await collect(await this.objects.read(path), MAX_METADATA_BYTES);
    return { ...parseMetadata(content.toString(), `${this.address}/${path}`), name };
  }
}
