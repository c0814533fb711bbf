/** The record of all simulations on disk, and the page that is made of it. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { addResult, newRecord, recordPage, type SimulationRecord } from './record.ts';
import type { SimulationResult } from './simulation.ts';

const RECORD = new URL('../../../docs/simulation-record.json', import.meta.url);
const PAGE = new URL('../../../docs/simulation-record.md', import.meta.url);
const SEEDS = new URL('seeds.json', import.meta.url);

export class RecordFile {
  readonly #record: SimulationRecord;
  readonly #cpu = process.cpuUsage();

  constructor() {
    this.#record = existsSync(RECORD)
      ? (JSON.parse(readFileSync(RECORD, 'utf8')) as SimulationRecord)
      : newRecord();
  }

  add(result: SimulationResult, world: string): void {
    addResult(this.#record, result, world);
  }

  /** Of this process alone the time is known. */
  write(): void {
    const { user, system } = process.cpuUsage(this.#cpu);
    this.#record.cpuMs += Math.round((user + system) / 1000);
    const { seeds } = JSON.parse(readFileSync(SEEDS, 'utf8')) as {
      seeds: { readonly seed: number; readonly minutes: number; readonly found: string }[];
    };
    writeFileSync(RECORD, `${JSON.stringify(this.#record, null, 2)}\n`);
    writeFileSync(PAGE, recordPage(this.#record, seeds));
  }
}
