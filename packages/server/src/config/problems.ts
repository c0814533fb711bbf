/** The mistakes of one configuration, gathered so that all of them are told at once. */
import { ConfigError } from './config-error.ts';

export class Problems {
  readonly #errors: ConfigError[] = [];
  readonly #describe: (error: ConfigError) => ConfigError;

  /** @param describe adds where a mistake stands, if that is known */
  constructor(describe: (error: ConfigError) => ConfigError = (error) => error) {
    this.#describe = describe;
  }

  add(error: ConfigError): void {
    // One mistake may be in the way of two checks.
    if (this.#errors.some(({ message }) => message === error.message)) return;
    this.#errors.push(error);
  }

  /** The result of `check`; undefined where it throws a {@link ConfigError}, which is kept. */
  attempt<T>(check: () => T): T | undefined {
    try {
      return check();
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      for (const each of error.all) this.add(this.#describe(each));
      return undefined;
    }
  }

  throwIfAny(): void {
    const [first, ...others] = this.#errors;
    if (first !== undefined) throw new ConfigError(first.code, first.message, others);
  }
}
