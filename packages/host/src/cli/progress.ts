/** How far something is, on stderr and only on a terminal. */
import type { SingleBar } from 'cli-progress';
import { humanBytes } from './human-bytes.ts';

export class Progress {
  readonly #bar: SingleBar | null;

  constructor(bar: SingleBar | null) {
    this.#bar = bar;
  }

  /** The bar is loaded only where somebody sees it. */
  static async start(what: string, unit: 'bytes' | 'items' | 'keys' | 'members'): Promise<Progress> {
    if (process.stderr.isTTY !== true) return new Progress(null);
    const { default: progress } = await import('cli-progress');
    const bar = new progress.SingleBar(
      {
        format: `${what} [{bar}] {percentage}% {value} / {total}${unit === 'bytes' || unit === 'items' ? '' : ` ${unit}`}`,
        formatValue: (value, _options, type) =>
          unit === 'bytes' && type !== 'percentage' ? humanBytes(value) : String(value),
        clearOnComplete: true,
        hideCursor: true,
      },
      progress.Presets.legacy,
    );
    bar.start(0, 0);
    return new Progress(bar);
  }

  update(done: number, total: number): void {
    this.#bar?.setTotal(total);
    this.#bar?.update(done);
  }

  /** Takes the bar away before a line is printed; the next update shows it again. */
  clear(): void {
    if (this.#bar !== null) process.stderr.write('\r\x1b[K');
  }

  end(): void {
    this.#bar?.stop();
  }
}
