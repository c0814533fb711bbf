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

/** In the order in which each has only those before it. */
const PUBLISHED = ['base', 'api', 'raft', 'bbolt', 'transport', 'client'] as const;
/** What some code in a package loads when it is needed, and runs without where it is not there. */
const OPTIONAL: Readonly<Record<string, readonly string[]>> = { base: ['koffi'] };

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

function pack(target: string, names: readonly string[]): void {
  mkdirSync(target, { recursive: true });
  const staging = mkdtempSync(join(tmpdir(), 'etcd-pack-'));
  try {
    const modules = join(staging, 'node_modules');
    mkdirSync(modules);
    for (const each of Object.values(OPTIONAL).flat())
      symlinkSync(`${root}node_modules/${each}`, join(modules, each));
    for (const name of PUBLISHED) {
      if (!names.includes(name)) continue;
      const staged = stage(name, modules);
      process.stdout.write(run(staged, 'npm', ['pack', '--silent', `--pack-destination=${target}`]));
    }
  } finally {
    rmSync(staging, { recursive: true });
  }
}

const [directory, ...names] = process.argv.slice(2);
if (directory === undefined) throw new Error('usage: node tools/pack.ts <directory> [package …]');
pack(resolve(directory), names.length === 0 ? PUBLISHED : names);
