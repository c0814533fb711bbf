/**
 * Bundles each program into one file under `dist/`: a program then starts about as fast as Node itself, where loading
 * hundreds of source modules costs most of a second. Packages whose files must stay where they are (native
 * libraries) are left out of the bundle.
 *
 * Beside the bundle lies V8's code for it, made by a run that has done what it is for (`code-cache/`): nothing is compiled again at
 * a start. Both carry a hash of the bundle in their names, so that they can't belong to different programs; the small file under the
 * program's own name puts them together, and goes without the code if there is none, or V8 is another.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { type BuildOptions, build } from 'esbuild';
import { type LateModules, lateModules } from './build/late-modules.ts';
import { buildPart, type Parts, withoutParts } from './build/parts.ts';

/** Those whose start counts have a run at build time, in `code-cache/`. */
const PROGRAMS: Readonly<Record<string, string>> = {
  etcd: 'packages/etcd/src/main.ts',
  etcdctl: 'packages/etcdctl/src/main.ts',
  etcdutl: 'packages/etcdutl/src/main.ts',
  'etcd-defrag': 'packages/defrag/src/main.ts',
  etcdadm: 'packages/admin/src/main.ts',
  'etcd-operator': 'packages/operator/src/main.ts',
};
/** What starts from a file of its own. */
const OTHERS: Readonly<Record<string, string>> = {
  // A thread of etcd.
  'bcrypt-worker': 'packages/server/src/auth/bcrypt-worker.ts',
};

/** What etcd has for flags that few give, for its other commands, and for secure members. */
const PARTS: Readonly<Record<string, Parts>> = {
  etcd: {
    yaml: ['yaml'],
    x509: ['reflect-metadata', '@peculiar/x509', '@peculiar/asn1-schema', '@peculiar/asn1-x509'],
    ws: ['ws'],
    tracing: [
      '@opentelemetry/api',
      '@opentelemetry/core',
      '@opentelemetry/otlp-transformer',
      '@opentelemetry/resources',
      '@opentelemetry/sdk-trace',
    ],
    age: ['age-encryption'],
    croner: ['croner'],
    jose: ['jose'],
    'pprof-format': ['pprof-format'],
    'cli-progress': ['cli-progress'],
    'prom-client': ['prom-client'],
  },
};
/** What etcd uses of Node, and of packages in the bundle, and not at every start. */
const LATE: Readonly<Record<string, LateModules>> = {
  etcd: [
    'crypto',
    'http',
    'https',
    'tls',
    'zlib',
    'perf_hooks',
    'worker_threads',
    'dns',
    'dns/promises',
    'bcryptjs',
    'jose',
  ],
};

const HASH_LENGTH = 16;
const LINE_LIMIT = 120;
const CACHE_TIMEOUT_MS = 60_000;

const root = new URL('..', import.meta.url).pathname;
const dist = `${root}dist`;

/** What `etcd --version` says it was built from. */
const gitSha = JSON.stringify(process.env['GIT_SHA']) ?? 'undefined';

const COMMON = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node24',
  sourcemap: 'external',
  legalComments: 'none',
  external: ['koffi', '@aws-sdk/*'],
  logLevel: 'warning',
} satisfies BuildOptions;

/** Names of the files of a program in `dist/`. */
interface ProgramFiles {
  readonly program: string;
  readonly code: string;
  /** By package: the file of the part that has it. */
  readonly parts: Readonly<Record<string, string>>;
}

/** The bundle as a function of what a module gets from Node. Only ASCII, so that reading it is copying it. */
async function buildProgram(name: string, entry: string): Promise<void> {
  const parts = PARTS[name] ?? {};
  const result = await build({
    ...COMMON,
    plugins: [lateModules(LATE[name] ?? [], root), withoutParts(parts)],
    entryPoints: [entry],
    outfile: `dist/${name}.cjs`,
    write: false,
    format: 'cjs',
    // Every process keeps its text in memory. Lines stay short enough to say where something happened.
    minifyWhitespace: true,
    lineLimit: LINE_LIMIT,
    charset: 'ascii',
    supported: { 'dynamic-import': false },
    define: { 'import.meta.url': 'moduleUrl', 'import.meta.main': 'false', BUILD_GIT_SHA: gitSha },
    banner: { js: '(function (require, moduleUrl, module, exports) {' },
    footer: { js: '})' },
  });
  const [map, bundle] = result.outputFiles;
  const texts = new Map<string, Uint8Array>();
  for (const [part, packages] of Object.entries(parts)) texts.set(part, await buildPart(packages, COMMON));
  const digest = createHash('sha256').update(bundle!.contents);
  for (const text of texts.values()) digest.update(text);
  const hash = digest.digest('hex').slice(0, HASH_LENGTH);
  const partFile = (part: string): string => `${name}-${hash}.${part}.cjs`;
  const files: ProgramFiles = {
    program: `${name}-${hash}.js`,
    code: `${name}-${hash}.code`,
    parts: Object.fromEntries(
      Object.entries(parts).flatMap(([part, packages]) => packages.map((each) => [each, partFile(part)])),
    ),
  };
  for (const file of readdirSync(dist)) {
    // One program's name may begin with another's.
    const [, owner, fileHash] = /^(.*)-([0-9a-f]{16})\./.exec(file) ?? [];
    if (owner === name && fileHash !== hash) rmSync(`${dist}/${file}`);
  }
  for (const [part, text] of texts) writeFileSync(`${dist}/${partFile(part)}`, text);
  writeFileSync(`${dist}/${files.program}`, bundle!.contents);
  writeFileSync(`${dist}/${files.program}.map`, map!.contents);
  if (!existsSync(`${dist}/${files.code}`)) makeCode(name, files.program, files.code);
  writeFileSync(`${dist}/${name}.cjs`, starter(files));
}

/** Without it the program starts all the same, only slower. */
function makeCode(name: string, program: string, code: string): void {
  const run = `${root}tools/code-cache/${name}.ts`;
  if (!existsSync(run)) return;
  const args = [run, `${dist}/${program}`, `${dist}/${code}`];
  const made = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: CACHE_TIMEOUT_MS });
  if (made.status !== 0) console.warn(`${program}: no code was made for it: ${made.stderr || made.error}`);
}

function starter({ program, code, parts }: ProgramFiles): string {
  return `'use strict';
const fs = require('node:fs');
const vm = require('node:vm');
const filename = \`\${__dirname}/${program}\`;
let cachedData;
try {
  cachedData = fs.readFileSync(\`\${__dirname}/${code}\`);
} catch {}
const script = new vm.Script(fs.readFileSync(filename, 'latin1'), { filename, cachedData });
// V8 has a copy; as much memory as this lies otherwise there until something is collected.
cachedData?.buffer.transfer(0);
const parts = ${JSON.stringify(parts)};
const load = (name) => (Object.hasOwn(parts, name) ? require(\`\${__dirname}/\${parts[name]}\`)[name] : require(name));
script.runInThisContext()(load, require('node:url').pathToFileURL(filename).href, module, exports);
`;
}

mkdirSync(dist, { recursive: true });
for (const [name, entry] of Object.entries(OTHERS)) {
  if (!existsSync(`${root}${entry}`)) continue;
  await build({
    ...COMMON,
    entryPoints: [entry],
    outfile: `dist/${name}.mjs`,
    format: 'esm',
    // CommonJS dependencies inside an ES module bundle still call require().
    banner: {
      js: "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);",
    },
  });
}
for (const [name, entry] of Object.entries(PROGRAMS)) await buildProgram(name, entry);
