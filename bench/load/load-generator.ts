/** A load generator as its parent sees it: a process that does one job at a time. */
import { type ChildProcess, fork } from 'node:child_process';
import type { Job, JobResult } from './job.ts';

type Answer = { readonly result: JobResult } | { readonly error: string };

/** Large answers must not make the generator's heap the bottleneck. */
const NODE_OPTIONS = ['--max-semi-space-size=32'];

export class LoadGenerator {
  readonly #child: ChildProcess;

  constructor() {
    this.#child = fork(new URL('worker.ts', import.meta.url), [], { execArgv: NODE_OPTIONS });
  }

  run(job: Job): Promise<JobResult> {
    return new Promise((resolve, reject) => {
      const onExit = (): void => reject(new Error('the load generator has ended'));
      this.#child.once('exit', onExit);
      this.#child.once('message', (answer: Answer) => {
        this.#child.off('exit', onExit);
        if ('result' in answer) resolve(answer.result);
        else reject(new Error(answer.error));
      });
      this.#child.send(job);
    });
  }

  close(): void {
    this.#child.disconnect();
  }
}
