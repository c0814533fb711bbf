/**
 * Makes npm packages of what others may use: compiled JavaScript with types, and the sources beside it for debuggers.
 *
 *     node tools/pack.ts <directory> [package …]     packages are named by their folder; all that are published unless told
 *
 * In the workspace a package's `exports` name its sources, so that everything runs unbuilt. In what is packed they name the compiled
 * files, and the sources under the condition `source`. Each package is compiled against those before it as they are packed, so
 * what would not compile for others does not get packed.
 */
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';

/** In the order in which each has only those before it. */
const PUBLISHED = ['base', 'api', 'raft', 'bbolt', 'transport', 'client'] as const;
/** Packed as one file each, for what they stand on is not published: entry points by the file that they become. */
const BUNDLED: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'test-server': {
    index: 'packages/test-server/src/index.ts',
    // A thread of the server's, found beside it.
    'bcrypt-worker': 'packages/server/src/auth/bcrypt-worker.ts',
  },
};
/** What some code in a package loads when it is needed, and runs without where it is not there. */
const OPTIONAL: Readonly<Record<string, readonly string[]>> = { base: ['koffi'], 'test-server': ['koffi'] };

const root = new URL('..', import.meta.url).pathname;

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly exports: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** The manifest as it is published. */
function publishedManifest(manifest: Manifest, optional: readonly string[]): object {
  const { name, version, license, dependencies } = manifest;
  const exported = Object.entries(manifest.exports)
    // What is there for this repository's tests is no promise to others.
    .filter(([path]) => path !== './testing')
    .map(([path, source]) => {
      const built = source.replace('./src/', './dist/').replace(/\.ts$/, '');
      return [path, { source, types: `${built}.d.ts`, default: `${built}.js` }];
    });
  const repository = JSON.parse(readFileSync(`${root}package.json`, 'utf8')) as {
    dependencies: Record<string, string>;
  };
  return {
    name,
    version,
    license,
    type: 'module',
    engines: { node: '>=24' },
    exports: Object.fromEntries(exported),
    files: ['dist', 'src', 'README.md'],
    dependencies,
    peerDependencies: Object.fromEntries(optional.map((each) => [each, repository.dependencies[each]])),
    peerDependenciesMeta: Object.fromEntries(optional.map((each) => [each, { optional: true }])),
  };
}

function compilerOptions(): object {
  return {
    extends: `${root}tsconfig.base.json`,
    compilerOptions: {
      noEmit: false,
      allowImportingTsExtensions: false,
      rewriteRelativeImportExtensions: true,
      declaration: true,
      declarationMap: true,
      sourceMap: true,
      types: ['node'],
      typeRoots: [`${root}node_modules/@types`],
      rootDir: 'src',
      outDir: 'dist',
    },
    include: ['src/**/*.ts'],
  };
}

function run(directory: string, program: string, args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program, args, { cwd: directory, encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')} in ${directory}:\n${stdout}${stderr}`);
  return stdout;
}

/** Tests, benchmarks, and what only they use. */
function isPublished(path: string): boolean {
  return !/\.(test|bench)\.ts$|\/src\/(testing|rafttest)(\/|$)/.test(path);
}

function stage(name: string, modules: string): string {
  const source = `${root}packages/${name}`;
  const target = join(modules, '@etcd', name);
  mkdirSync(target, { recursive: true });
  cpSync(`${source}/src`, `${target}/src`, { recursive: true, filter: isPublished });
  cpSync(`${source}/README.md`, `${target}/README.md`, { force: true });
  const manifest = JSON.parse(readFileSync(`${source}/package.json`, 'utf8')) as Manifest;
  const published = publishedManifest(manifest, OPTIONAL[name] ?? []);
  writeFileSync(`${target}/package.json`, `${JSON.stringify(published, null, 2)}\n`);
  writeFileSync(`${target}/tsconfig.json`, JSON.stringify(compilerOptions()));
  run(target, `${root}node_modules/.bin/tsc`, ['-p', '.']);
  return target;
}

/** What a bundle goes without: large, and of no use to who tests an application. */
const ABSENT: readonly string[] = ['@aws-sdk/client-s3', '@aws-sdk/lib-storage'];

/** {@link stage} of a package that is one file, with the types of what it exports. */
async function stageBundle(
  name: string,
  modules: string,
  entries: Readonly<Record<string, string>>,
): Promise<string> {
  const target = join(modules, '@etcd', name);
  for (const [file, entry] of Object.entries(entries)) {
    const isIndex = file === 'index';
    await build({
      absWorkingDir: root,
      entryPoints: [entry],
      outfile: join(target, 'dist', isIndex ? 'index.js' : `${file}.mjs`),
      bundle: true,
      platform: 'node',
      target: 'node24',
      format: 'esm',
      legalComments: 'eof',
      external: ['koffi'],
      alias: Object.fromEntries(ABSENT.map((each) => [each, `${root}tools/absent.cjs`])),
      logLevel: 'warning',
      // CommonJS dependencies inside an ES module bundle still call require().
      banner: {
        js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
      },
    });
  }
  const types = join(modules, 'types');
  const flags = [
    '--ignoreConfig',
    '--declaration',
    '--emitDeclarationOnly',
    '--rootDir',
    root,
    '--outDir',
    types,
  ];
  const options = ['--target', 'es2024', '--lib', 'es2024,esnext', '--module', 'nodenext', '--types', 'node'];
  const more = ['--allowImportingTsExtensions', '--skipLibCheck', '--strict', '--erasableSyntaxOnly'];
  run(root, `${root}node_modules/.bin/tsc`, [...flags, ...options, ...more, `packages/${name}/src/index.ts`]);
  cpSync(join(types, `packages/${name}/src/index.d.ts`), `${target}/dist/index.d.ts`);
  cpSync(`${root}packages/${name}/README.md`, `${target}/README.md`);
  const manifest = JSON.parse(readFileSync(`${root}packages/${name}/package.json`, 'utf8')) as Manifest;
  const published = {
    ...publishedManifest({ ...manifest, dependencies: {} }, OPTIONAL[name] ?? []),
    exports: { '.': { types: './dist/index.d.ts', default: './dist/index.js' } },
    files: ['dist', 'README.md'],
  };
  writeFileSync(`${target}/package.json`, `${JSON.stringify(published, null, 2)}\n`);
  return target;
}

async function pack(target: string, names: readonly string[]): Promise<void> {
  mkdirSync(target, { recursive: true });
  const staging = mkdtempSync(join(tmpdir(), 'etcd-pack-'));
  try {
    const modules = join(staging, 'node_modules');
    mkdirSync(modules);
    for (const each of new Set(Object.values(OPTIONAL).flat()))
      symlinkSync(`${root}node_modules/${each}`, join(modules, each));
    for (const name of [...PUBLISHED, ...Object.keys(BUNDLED)]) {
      if (names.length > 0 && !names.includes(name)) continue;
      const entries = BUNDLED[name];
      const staged = entries === undefined ? stage(name, modules) : await stageBundle(name, modules, entries);
      process.stdout.write(run(staged, 'npm', ['pack', '--silent', `--pack-destination=${target}`]));
    }
  } finally {
    rmSync(staging, { recursive: true });
  }
}

const [directory, ...names] = process.argv.slice(2);
if (directory === undefined) throw new Error('usage: node tools/pack.ts <directory> [package …]');
await pack(resolve(directory), names);
