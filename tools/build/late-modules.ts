/**
 * Modules that a program's start does not need, in a bundle: they are evaluated when something of them is used, not when they are imported.
 *
 * An import of one gets an object that has its exports as getters. So what an export is must not be asked for while modules are evaluated
 * (`class extends` asks), or the module is evaluated then; nothing else changes.
 */
import { builtinModules } from 'node:module';
import type { Plugin } from 'esbuild';

/** Modules of Node's and packages; what they export is read from the ones that are installed here. */
export type LateModules = readonly string[];

/** The module itself, as seen from the one in its place. */
const REAL = 'late:';

/** @param resolveDir where the packages are found. */
export function lateModules(names: LateModules, resolveDir: string): Plugin {
  const builtins = new Set(builtinModules);
  return {
    name: 'late-modules',
    setup(build) {
      build.onResolve({ filter: /^[^./]/ }, ({ path, namespace, kind, importer }) => {
        const name = path.replace(/^node:/, '');
        // Packages take their modules of Node's apart when they are evaluated: that would be now.
        if (!names.includes(name) || importer.includes('/node_modules/') || namespace === REAL) return null;
        return kind === 'import-statement' ? { path: name, namespace: REAL } : null;
      });
      build.onLoad({ filter: /.*/, namespace: REAL }, async ({ path }) => {
        const source = builtins.has(path) ? `node:${path}` : path;
        const exported = Object.keys((await import(source)) as object).filter((key) => key !== 'default');
        const getters = exported.map((key) => `get ${key}() { return real().${key}; },`);
        const contents = [
          'let found;',
          `const real = () => (found ??= require(${JSON.stringify(source)}));`,
          `module.exports = { ${getters.join(' ')} };`,
        ];
        return { contents: contents.join('\n'), loader: 'js', resolveDir };
      });
    },
  };
}
