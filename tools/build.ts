/**
 * Bundles each program into one file under `dist/`: a program then starts about as fast as Node itself, where loading
 * hundreds of source modules costs most of a second. Packages whose files must stay where they are (native
 * libraries) are left out of the bundle.
 */
import { existsSync } from 'node:fs';
import { build } from 'esbuild';

const PROGRAMS: Readonly<Record<string, string>> = {
  etcd: 'packages/etcd/src/main.ts',
  // A thread of it, which starts from a file of its own.
  'bcrypt-worker': 'packages/server/src/auth/bcrypt-worker.ts',
};

const root = new URL('..', import.meta.url).pathname;

for (const [name, entry] of Object.entries(PROGRAMS)) {
  if (!existsSync(`${root}${entry}`)) continue;
  await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile: `dist/${name}.mjs`,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    sourcemap: 'external',
    legalComments: 'none',
    external: ['koffi'],
    // CommonJS dependencies inside an ES module bundle still call require().
    banner: {
      js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
    },
    logLevel: 'warning',
  });
}
