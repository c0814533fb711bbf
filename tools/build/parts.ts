/**
 * Packages that a program needs for some of what it does, in files of their own: as text in the bundle they would be read, and kept in memory,
 * by every process. What stands in one part shares the packages that it stands on; no package may be in two.
 */
import { type BuildOptions, build, type Plugin } from 'esbuild';

/** The packages of each part, as the sources import them. */
export type Parts = Readonly<Record<string, readonly string[]>>;

/** Leaves the packages of `parts` to the bundle's `require`. */
export function withoutParts(parts: Parts): Plugin {
  const packages = new Set(Object.values(parts).flat());
  return {
    name: 'parts',
    setup(setUp) {
      setUp.onResolve({ filter: /^[^./]/ }, ({ path }) =>
        packages.has(path) ? { path, external: true } : null,
      );
    },
  };
}

/** The text of a part: a module of CommonJS whose exports are its packages, by their names. */
export async function buildPart(
  packages: readonly string[],
  options: BuildOptions & { readonly absWorkingDir: string },
): Promise<Uint8Array> {
  const entries = packages.map(
    (name) => `  get ${JSON.stringify(name)}() { return require(${JSON.stringify(name)}); },`,
  );
  const { outputFiles } = await build({
    ...options,
    stdin: { contents: `module.exports = {\n${entries.join('\n')}\n};`, resolveDir: options.absWorkingDir },
    format: 'cjs',
    write: false,
    sourcemap: false,
  });
  return outputFiles![0]!.contents;
}
