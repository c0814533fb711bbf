/** Results of simulations as text: a line for each, a report for one that went wrong, a summary of many. */
import type { SimulationResult } from './simulation.ts';

export function resultLine(result: SimulationResult): string {
  const facts = [
    `members=${result.members}`,
    `simulated=${(result.simulatedMs / 60_000).toFixed(1)}min`,
    `answers=${result.okCount}`,
    `errors=${result.failedCount}`,
    `faults=${result.faultCount}`,
    `revision=${result.revision}`,
    `entries=${result.entryCount}`,
    `leaders=${result.leaderCount}`,
    `events=${result.eventCount}`,
    `reads=${result.readCount}`,
    `snapshots=${result.snapshotCount}`,
    `trace=${result.traceHash}`,
  ];
  return `${result.violation === null ? 'ok  ' : 'FAIL'} seed=${result.seed} ${facts.join(' ')}`;
}

/** @param options the options with which it is run again. */
export function violationReport({ seed, violation, tail }: SimulationResult, options: string): string {
  if (violation === null) return '';
  const { property, details, atMs } = violation;
  return [
    ...tail,
    '',
    `seed ${seed} violates ${property} after ${(atMs / 1000).toFixed(3)} simulated seconds:`,
    details,
    `again: npm run sim -- --seed ${seed} ${options} --trace`,
    '',
  ].join('\n');
}

export class Summary {
  #seedCount = 0;
  #violationCount = 0;
  #simulatedMs = 0;
  #okCount = 0;
  #faultCount = 0;
  #snapshotCount = 0;
  #leaderCount = 0;
  #messageCount = 0;

  add(result: SimulationResult): void {
    this.#seedCount++;
    if (result.violation !== null) this.#violationCount++;
    this.#simulatedMs += result.simulatedMs;
    this.#okCount += result.okCount;
    this.#faultCount += result.faultCount;
    this.#snapshotCount += result.snapshotCount;
    this.#leaderCount += result.leaderCount;
    this.#messageCount += result.messageCount;
  }

  get violationCount(): number {
    return this.#violationCount;
  }

  text(elapsedMs: number): string {
    const minutes = this.#simulatedMs / 60_000;
    return [
      `${this.#seedCount} seeds, ${this.#violationCount} violations`,
      `${Math.round(minutes)} simulated minutes in ${Math.round(elapsedMs / 1000)} s`,
      `${this.#okCount} answers judged`,
      `${this.#faultCount} faults`,
      `${this.#leaderCount} terms with a leader`,
      `${this.#snapshotCount} databases sent to followers`,
      `${this.#messageCount} messages delivered`,
    ].join('; ');
  }
}
