/** A signal that is aborted when somebody asks the program to end, which may then tidy up. */
export function onInterrupt(): AbortSignal {
  const controller = new AbortController();
  const stop = (): void => controller.abort(new Error('context canceled'));
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  return controller.signal;
}

/** Resolves when one of `signals` is aborted. */
export function firstAborted(...signals: readonly (AbortSignal | undefined)[]): Promise<AbortSignal> {
  return new Promise((resolve) => {
    for (const signal of signals) {
      if (signal === undefined) continue;
      if (signal.aborted) resolve(signal);
      else signal.addEventListener('abort', () => resolve(signal));
    }
  });
}
