/** Lines as Go's standard log writes them, which people grep for: `2026/11/29 17:01:06 The defragmentation is successful.` */

export class JobLog {
  readonly #write: (line: string) => void;
  readonly #now: () => Date;

  constructor(write: (line: string) => void, now: () => Date = () => new Date()) {
    this.#write = write;
    this.#now = now;
  }

  line(text: string): void {
    this.#write(`${stamp(this.#now())} ${text}`);
  }
}

/** In the time of this place. */
function stamp(date: Date): string {
  const two = (number: number): string => String(number).padStart(2, '0');
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('/');
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')}`;
}
