/** The record of all simulations on disk, or one of some of them, and the page that is made of the first. */
import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { addRecord, addResult, newRecord, recordPage, type SimulationRecord } from './record.ts';
import type { SimulationResult } from './simulation.ts';

const RECORD = new URL('../../../docs/simulation-record.json', import.meta.url);
const PAGE = new URL('../../../docs/simulation-record.md', import.meta.url);
const SEEDS = new URL('seeds.json', import.meta.url);

export class RecordFile {
  readonly #path: string | URL;
  readonly #record: SimulationRecord;
  #cpu = process.cpuUsage();

  /** @param path of a record of its own, without a page; the one in the documentation unless told. */
  constructor(path: string | null = null) {
    this.#path = path ?? RECORD;
    this.#record = existsSync(this.#path) ? read(this.#path) : newRecord();
  }

  /** Written at once: a run of hours may be ended at any time. Of this process alone the processor time is known. */
  add(result: SimulationResult, world: string): void {
    const { user, system } = process.cpuUsage(this.#cpu);
    this.#cpu = process.cpuUsage();
    addResult(this.#record, result, world, (user + system) / 1000);
    this.#write();
  }

  /** Adds what stands in the record at `path`. */
  merge(path: string): void {
    addRecord(this.#record, read(path));
    this.#write();
  }

  #write(): void {
    replace(this.#path, `${JSON.stringify(this.#record, null, 2)}\n`);
    if (this.#path !== RECORD) return;
    const { seeds } = JSON.parse(readFileSync(SEEDS, 'utf8')) as {
      seeds: { readonly seed: number; readonly minutes: number; readonly found: string }[];
    };
    replace(PAGE, recordPage(this.#record, seeds));
  }
}

function read(path: string | URL): SimulationRecord {
  return JSON.parse(readFileSync(path, 'utf8')) as SimulationRecord;
}

/** Whoever reads meanwhile finds the whole of it. */
function replace(path: string | URL, text: string): void {
  const aside = path instanceof URL ? new URL(`${path.href}.tmp`) : `${path}.tmp`;
  writeFileSync(aside, text);
  renameSync(aside, path);
}
