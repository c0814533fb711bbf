/**
 * Loads the simulation with sources of the members that are changed in memory: limits become variables, which each world draws, and a bug may be
 * planted in a line of the code. Every plant has a copy of its own of all modules, so that one process can try many.
 */
import { registerHooks } from 'node:module';
import { SIZES, sizeKey } from './sizes.ts';
import { SOURCE_PLANTS, type SourceEdit } from './source-plants.ts';

type Loaded = Pick<typeof import('./simulation.ts'), 'simulate'> &
  Pick<typeof import('./plant.ts'), 'PLANTS' | 'RARE_PLANTS'>;

const PACKAGES = new URL('../../', import.meta.url).href;
const REGISTRY = new URL('size-registry.ts', import.meta.url).href;
const QUERY = /[?]simulated=([\w-]*)$/;
/** Modules of a simulation without a planted line. */
const NONE = '';

let isHooked = false;

/** @param plant a name in {@link SOURCE_PLANTS}. */
export async function loadSimulation(plant: string = NONE): Promise<Loaded> {
  if (plant !== NONE && !Object.hasOwn(SOURCE_PLANTS, plant))
    throw new Error(`no line is planted as ${plant}`);
  if (!isHooked) hook();
  isHooked = true;
  const simulation = `./simulation.ts?simulated=${plant}`;
  const plants = `./plant.ts?simulated=${plant}`;
  const { simulate } = (await import(simulation)) as typeof import('./simulation.ts');
  const { PLANTS, RARE_PLANTS } = (await import(plants)) as typeof import('./plant.ts');
  return { simulate, PLANTS, RARE_PLANTS };
}

function hook(): void {
  registerHooks({
    resolve(specifier, context, nextResolve) {
      const resolved = nextResolve(specifier, context);
      const query = QUERY.exec(context.parentURL ?? '')?.[0];
      const isOurs = resolved.url.startsWith(PACKAGES) && !QUERY.test(resolved.url);
      return query === undefined || !isOurs ? resolved : { ...resolved, url: `${resolved.url}${query}` };
    },
    load(url, context, nextLoad) {
      const loaded = nextLoad(url, context);
      const [query, plant] = QUERY.exec(url) ?? [];
      if (query === undefined || !url.startsWith(PACKAGES)) return loaded;
      const file = url.slice(PACKAGES.length, -query.length);
      const edits: readonly SourceEdit[] = SOURCE_PLANTS[plant!]?.edits ?? [];
      let source = String(loaded.source);
      for (const edit of edits) if (edit.file === file) source = replaceOnce(source, edit);
      return { ...loaded, source: withSizes(source, file, query) };
    },
  });
}

/** Constants become variables, and the module says where they can be set. */
function withSizes(source: string, file: string, query: string): string {
  const rows = SIZES.filter((row) => row.file === file);
  if (rows.length === 0) return source;
  const declared = rows.reduce((text, { name }) => {
    const typed = `const ${name}: number = `;
    const from = text.includes(typed) ? typed : `const ${name} = `;
    return replaceOnce(text, { file, from, to: `let ${name} = ` });
  }, source);
  const told = rows.map(
    (row) => `registerSize('${sizeKey(row)}', ${row.name}, (value) => { ${row.name} = value; });`,
  );
  return [declared, `import { registerSize } from '${REGISTRY}${query}';`, ...told].join('\n');
}

function replaceOnce(source: string, { file, from, to }: SourceEdit): string {
  const parts = source.split(from);
  if (parts.length === 2) return parts.join(to);
  throw new Error(`${file} has "${from}" ${parts.length - 1} times: the change is to be brought up to date`);
}
