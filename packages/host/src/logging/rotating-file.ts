/**
 * A log file that begins anew when it is full, as lumberjack, which etcd uses, has it: the old one is renamed after the moment, and what
 * is too old or too many of those goes, or is compressed. Lines are written at once, as by {@link DescriptorSink}; only what is done to old
 * files takes its time.
 *
 * A file that can't be begun anew is gone on with: losing lines would be worse than a file that is too large.
 */
import fs from 'node:fs';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import type { Clock } from '@etcd/base';
import { DescriptorSink, writeDescriptor } from './descriptor-sink.ts';
import type { LogSink } from './log-sink.ts';

export interface LogRotation {
  /** When a file is full; 0: {@link DEFAULT_MEGABYTES}. */
  readonly maxSizeMegabytes: number;
  /** Days after which old files go; 0: never. */
  readonly maxAgeDays: number;
  /** Old files that stay; 0: all. */
  readonly maxBackups: number;
  /** Whether old files are named by the local time; else by UTC. */
  readonly isLocalTime: boolean;
  readonly isCompressed: boolean;
}

export interface RotatingFileOptions {
  readonly path: string;
  readonly rotation: LogRotation;
  readonly clock: Clock;
  /** Milliseconds since 1970. */
  readonly wallMs: () => number;
  /** As `Date.getTimezoneOffset`. */
  readonly timezoneOffsetMinutes: (wallMs: number) => number;
}

const DEFAULT_MEGABYTES = 100;
const MEGABYTE = 1024 * 1024;
const DAY_MS = 24 * 3600 * 1000;
const DIRECTORY_MODE = 0o755;
const NEW_FILE_MODE = 0o600;
const COMPRESSED = '.gz';
/** What stands between the name and the extension of an old file. */
const STAMP = /^-(\d{4})-(\d\d)-(\d\d)T(\d\d)-(\d\d)-(\d\d)\.(\d{3})$/;

export class RotatingFile implements LogSink {
  readonly #options: RotatingFileOptions;
  readonly #maxBytes: number;
  readonly #directory: string;
  /** The file's name up to its extension, and that. */
  readonly #stem: string;
  readonly #extension: string;
  #descriptor: number;
  #sink: DescriptorSink;
  #sizeBytes: number;
  /** Lines lost by files that are closed. */
  #lostBefore = 0;
  /** What is being done to old files; one thing at a time. */
  #tidying: Promise<void> | null = null;
  #tidyAgain = false;

  /** Throws the system's error when the file can't be opened. */
  constructor(options: RotatingFileOptions) {
    this.#options = options;
    this.#maxBytes = (options.rotation.maxSizeMegabytes || DEFAULT_MEGABYTES) * MEGABYTE;
    const { dir, name, ext } = path.parse(options.path);
    this.#directory = dir === '' ? '.' : dir;
    this.#stem = name;
    this.#extension = ext;
    fs.mkdirSync(this.#directory, { recursive: true, mode: DIRECTORY_MODE });
    this.#descriptor = fs.openSync(options.path, 'a', NEW_FILE_MODE);
    this.#sizeBytes = fs.fstatSync(this.#descriptor).size;
    this.#sink = this.#newSink();
    this.#tidy();
  }

  write(line: string): void {
    const lengthBytes = Buffer.byteLength(line);
    if (this.#sizeBytes > 0 && this.#sizeBytes + lengthBytes > this.#maxBytes) {
      this.#rotate(lengthBytes);
    }
    this.#sizeBytes += lengthBytes;
    this.#sink.write(line);
  }

  flushSync(): void {
    this.#sink.flushSync();
  }

  lostCount(): number {
    return this.#lostBefore + this.#sink.lostCount();
  }

  /** Resolves when nothing is being done to old files. */
  async idle(): Promise<void> {
    while (this.#tidying !== null) await this.#tidying;
  }

  #newSink(): DescriptorSink {
    const { clock } = this.#options;
    const calls = { pollWritable: () => true, write: writeDescriptor };
    return new DescriptorSink({ descriptor: this.#descriptor, isRegularFile: true, clock, calls });
  }

  #rotate(lengthBytes: number): void {
    try {
      const { size, mode } = fs.fstatSync(this.#descriptor);
      // Lines that a full disk did not take, or that somebody cut off, make no file full.
      this.#sizeBytes = size;
      if (size === 0 || size + lengthBytes <= this.#maxBytes) return;
      const next = this.#beginAnew(mode & 0o777);
      this.#sink.flushSync();
      this.#lostBefore += this.#sink.lostCount();
      fs.closeSync(this.#descriptor);
      this.#descriptor = next;
      this.#sink = this.#newSink();
      this.#tidy();
    } catch {
      // The old descriptor still takes lines; the next attempt comes when as much again is written.
    }
    this.#sizeBytes = 0;
  }

  /** Puts the file aside. Returns the descriptor of one that has its name; where there is none to be had the old one gets it back. */
  #beginAnew(mode: number): number {
    const { path: current } = this.#options;
    // Somebody may have moved the file away.
    const backup = fs.existsSync(current) ? this.#backupPath() : null;
    if (backup !== null) fs.renameSync(current, backup);
    try {
      return fs.openSync(current, 'a', mode);
    } catch (error) {
      // What is still written to must not pass for an old file, which goes or is compressed.
      if (backup !== null) fs.renameSync(backup, current);
      throw error;
    }
  }

  #backupPath(): string {
    const { rotation, wallMs, timezoneOffsetMinutes } = this.#options;
    const nowMs = wallMs();
    const offsetMs = rotation.isLocalTime ? timezoneOffsetMinutes(nowMs) * 60_000 : 0;
    // Two in one millisecond must not become one.
    for (let shownMs = nowMs - offsetMs; ; shownMs++) {
      const stamp = new Date(shownMs).toISOString().slice(0, -1).replaceAll(':', '-');
      const candidate = path.join(this.#directory, `${this.#stem}-${stamp}${this.#extension}`);
      if (!fs.existsSync(candidate) && !fs.existsSync(candidate + COMPRESSED)) return candidate;
    }
  }

  /** Looks after old files, now or when the last look is over. */
  #tidy(): void {
    this.#tidyAgain = true;
    if (this.#tidying !== null) return;
    this.#tidying = this.#tidyAll().finally(() => {
      this.#tidying = null;
    });
  }

  async #tidyAll(): Promise<void> {
    while (this.#tidyAgain) {
      this.#tidyAgain = false;
      // A file that stays is no reason to stop logging; it is looked at again after the next rotation.
      await this.#tidyOnce().catch(() => {});
    }
  }

  async #tidyOnce(): Promise<void> {
    const { maxAgeDays, maxBackups, isCompressed } = this.#options.rotation;
    if (maxAgeDays === 0 && maxBackups === 0 && !isCompressed) return;
    const backups = this.#backupsNewestFirst(await fs.promises.readdir(this.#directory));
    const oldestMs = this.#options.wallMs() - maxAgeDays * DAY_MS;
    const kept = backups.filter(({ shownMs }, i) => {
      const isOneOfTheLast = maxBackups === 0 || i < maxBackups;
      return isOneOfTheLast && (maxAgeDays === 0 || shownMs >= oldestMs);
    });
    const keptNames = new Set(kept.flatMap(({ names }) => names));
    for (const name of backups.flatMap(({ names }) => names)) {
      if (!keptNames.has(name)) await fs.promises.rm(path.join(this.#directory, name), { force: true });
    }
    if (!isCompressed) return;
    for (const name of keptNames) if (!name.endsWith(COMPRESSED)) await this.#compress(name);
  }

  /** Old files by their moment; one that was being compressed when the process died has two names. */
  #backupsNewestFirst(names: readonly string[]): { shownMs: number; names: string[] }[] {
    const byMoment = new Map<number, string[]>();
    for (const name of names) {
      const shownMs = this.#momentOf(name);
      if (shownMs !== null) byMoment.set(shownMs, [...(byMoment.get(shownMs) ?? []), name]);
    }
    return [...byMoment]
      .map(([shownMs, found]) => ({ shownMs, names: found }))
      .sort((a, b) => b.shownMs - a.shownMs);
  }

  /** When a file was put aside, by its name; null: it is none of ours. */
  #momentOf(name: string): number | null {
    const plain = name.endsWith(COMPRESSED) ? name.slice(0, -COMPRESSED.length) : name;
    if (!plain.startsWith(this.#stem) || !plain.endsWith(this.#extension)) return null;
    const stamp = STAMP.exec(plain.slice(this.#stem.length, plain.length - this.#extension.length));
    if (stamp === null) return null;
    const [year, month, day, hour, minute, second, ms] = stamp.slice(1).map(Number);
    return Date.UTC(year!, month! - 1, day!, hour!, minute!, second!, ms!);
  }

  async #compress(name: string): Promise<void> {
    const source = path.join(this.#directory, name);
    const { mode } = await fs.promises.stat(source);
    const target = source + COMPRESSED;
    await pipeline(
      fs.createReadStream(source),
      createGzip(),
      fs.createWriteStream(target, { mode: mode & 0o777 }),
    );
    await fs.promises.rm(source);
  }
}
