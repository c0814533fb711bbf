/** Loaded before everything else into a process that runs tests: one source has a mutant, which stands in the environment. */
import { registerHooks } from 'node:module';
import type { Mutant } from './find-mutants.ts';

/** As JSON: the URL of the source, and what is changed in it. */
export interface PlantedMutant {
  readonly url: string;
  readonly start: number;
  readonly end: number;
  readonly to: string;
}

export function plantedOf({ file, start, end, source }: Mutant, root: string): PlantedMutant {
  return { url: new URL(file, `file://${root}`).href, start, end, to: source };
}

export const MUTANT_VARIABLE = 'MUTANT_TO_PLANT';

const text = process.env[MUTANT_VARIABLE];
if (text !== undefined) {
  const { url, start, end, to } = JSON.parse(text) as PlantedMutant;
  registerHooks({
    load(loading, context, nextLoad) {
      const loaded = nextLoad(loading, context);
      // Simulated members load their sources under addresses with a query of their own.
      if (loading.split('?', 1)[0] !== url) return loaded;
      const source = String(loaded.source);
      return { ...loaded, source: source.slice(0, start) + to + source.slice(end) };
    },
  });
}
