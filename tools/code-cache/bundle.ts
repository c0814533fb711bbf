/** A bundle that is run here so that V8 compiles what it needs, and the code that comes of it. */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { Script } from 'node:vm';

export class Bundle {
  readonly #path: string;
  readonly #script: Script;

  constructor(path: string) {
    this.#path = path;
    this.#script = new Script(readFileSync(path, 'latin1'), { filename: path });
  }

  /** Runs it as if it had been called with these arguments, the program's name first. */
  start(...args: readonly string[]): void {
    process.argv.splice(1, process.argv.length, ...args);
    const module = { exports: {} };
    const run = this.#script.runInThisContext();
    run(createRequire(this.#path), pathToFileURL(this.#path).href, module, module.exports);
  }

  /** {@link start}, until it would end the process: its end is not ours. */
  async run(...args: readonly string[]): Promise<void> {
    const { exit } = process;
    await new Promise<void>((resolve) => {
      process.exit = (() => resolve()) as unknown as typeof process.exit;
      this.start(...args);
    });
    process.exit = exit;
  }

  /** Writes the code that V8 has made of it, as a whole or not at all. */
  save(target: string): void {
    const temporary = `${target}.tmp`;
    writeFileSync(temporary, this.#script.createCachedData());
    renameSync(temporary, target);
  }
}

/** Does the work of a program here that makes such a file, in a directory that is removed at the end; then the process ends. */
export function main(directory: string, work: () => Promise<void>): void {
  const cleaned = work().finally(() => rmSync(directory, { recursive: true }));
  cleaned.then(
    () => process.exit(0),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
}
