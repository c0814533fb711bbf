/**
 * Puts together what an image holds: the programs, Node, and the packages that they load.
 *
 *     node tools/image.ts <directory>     a root file system's part, in a directory that is not there yet; after npm run build
 *
 * Everything lies in `/opt/etcd`, with links from `/usr/local/bin`, where Go etcd's image has its programs, too.
 */
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
} from 'node:fs';
import { dirname, join } from 'node:path';

/** What no bundle has: those of `external` in tools/build.ts. */
const PACKAGES = ['koffi', '@aws-sdk/client-s3', '@aws-sdk/lib-storage'] as const;
const HOME = 'opt/etcd';
/** Go etcd's image has these. They belong to the user of the image, once it is built. */
const DATA_DIRECTORIES = ['var/etcd', 'var/lib/etcd'] as const;

const root = new URL('..', import.meta.url).pathname;

interface Manifest {
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** Throws where the programs are not built. */
export function makeImageRoot(directory: string): void {
  const home = join(directory, HOME);
  const links = join(directory, 'usr/local/bin');
  mkdirSync(home, { recursive: true });
  mkdirSync(links, { recursive: true });
  for (const each of DATA_DIRECTORIES) {
    mkdirSync(join(directory, each), { recursive: true });
    chmodSync(join(directory, each), 0o700);
  }
  cpSync(`${root}bin`, join(home, 'bin'), { recursive: true });
  for (const program of readdirSync(`${root}bin`)) {
    if (!existsSync(`${root}dist/${program}.cjs`)) throw new Error(`${program} is not built: npm run build`);
    symlinkSync(`../../../${HOME}/bin/${program}`, join(links, program));
  }
  cpSync(`${root}dist`, join(home, 'dist'), {
    recursive: true,
    filter: (path) => !path.endsWith('.map') && !path.endsWith('/api-pages'),
  });
  copyFileSync(`${root}LICENSE`, join(home, 'LICENSE'));
  const node = join(home, 'node_modules/node/bin');
  mkdirSync(node, { recursive: true });
  copyFileSync(`${root}node_modules/node/bin/node`, join(node, 'node'));
  chmodSync(join(node, 'node'), 0o755);
  for (const path of packagesOf(PACKAGES)) copyPackage(path, home);
}

/** Without the packages in it: those that are needed are in the list themselves. */
function copyPackage(path: string, home: string): void {
  const from = root + path;
  const within = join(from, 'node_modules');
  cpSync(from, join(home, path), { recursive: true, filter: (file) => file !== within });
}

/** Paths in this checkout of packages and of all that they depend on, as Node would find them. */
function packagesOf(names: readonly string[]): ReadonlySet<string> {
  const found = new Set<string>();
  const add = (name: string, from: string, isOptional: boolean): void => {
    const path = findPackage(name, from);
    if (path === null) {
      // Native libraries for other systems.
      if (isOptional) return;
      throw new Error(`${name} is not installed`);
    }
    if (found.has(path)) return;
    found.add(path);
    const { dependencies = {}, optionalDependencies = {} } = JSON.parse(
      readFileSync(`${root}${path}/package.json`, 'utf8'),
    ) as Manifest;
    for (const each of Object.keys(optionalDependencies)) add(each, path, true);
    for (const each of Object.keys(dependencies)) {
      if (!(each in optionalDependencies)) add(each, path, false);
    }
  };
  for (const name of names) add(name, '.', false);
  return found;
}

function findPackage(name: string, from: string): string | null {
  for (let at = from; ; at = dirname(at)) {
    const path = join(at, 'node_modules', name);
    if (existsSync(`${root}${path}/package.json`)) return path;
    if (at === '.') return null;
  }
}

if (import.meta.main) {
  const [directory] = process.argv.slice(2);
  if (directory === undefined || existsSync(directory)) {
    console.error('usage: node tools/image.ts <directory that is not there yet>');
    process.exit(1);
  }
  makeImageRoot(directory);
}
