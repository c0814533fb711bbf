/** A directory of patches, each in a file called `target[suffix][+patchtype].extension`, as kubeadm reads it. */
import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { checkNames, type Json } from './json.ts';
import { PatchError } from './patch-error.ts';
import { plainValue } from './plain-value.ts';

const PATCH_TYPES = ['json', 'merge', 'strategic'] as const;
export type PatchType = (typeof PATCH_TYPES)[number];

const TARGETS = [
  'etcd',
  'kube-apiserver',
  'kube-controller-manager',
  'kube-scheduler',
  'kubeletconfiguration',
  'corednsdeployment',
];
const EXTENSIONS = ['json', 'yaml'];
const EXTENSION = new RegExp(`.+\\.(${EXTENSIONS.join('|')})$`);
const NAME = new RegExp(`^(${TARGETS.join('|')})([^.+\\n]*)?(\\+)?(${PATCH_TYPES.join('|')})?`);

export interface PatchFile {
  readonly target: string;
  readonly type: PatchType;
  /** In the order in which they are applied. */
  readonly patches: readonly Json[];
}

/** Reads the directory and those in it, in the order of names. Throws {@link PatchError}; `line` hears what is found. */
export function readPatches(directory: string, line: (text: string) => void): PatchFile[] {
  line(`[patches] Reading patches from path ${JSON.stringify(directory)}`);
  const files: PatchFile[] = [];
  const found: string[] = [];
  const ignored: string[] = [];
  try {
    for (const path of filesIn(directory)) {
      const name = basename(path);
      const { target, type, warning } = parseName(name);
      const text = warning === null ? readText(path) : '';
      if (text === '') {
        line(
          `[patches] ${warning === null ? `Ignoring empty file: "${name}"` : `Ignoring file "${name}": ${warning}`}`,
        );
        ignored.push(name);
      } else {
        files.push({ target, type, patches: parsePatches(text) });
        found.push(name);
      }
    }
  } catch (error) {
    if (!(error instanceof PatchError)) throw error;
    throw new PatchError(
      `could not list patch files for path ${JSON.stringify(directory)}: ${error.message}`,
    );
  }
  if (found.length > 0) line(`[patches] Found the following patch files: [${found.join(' ')}]`);
  if (ignored.length > 0) line(`[patches] Ignored the following files: [${ignored.join(' ')}]`);
  return files;
}

function filesIn(directory: string): string[] {
  const stat = lstatSync(directory, { throwIfNoEntry: false });
  if (stat === undefined) throw new PatchError(`lstat ${directory}: no such file or directory`);
  if (!stat.isDirectory())
    throw new PatchError(`getPatchSetsFromPath ${basename(directory)}: not a directory`);
  return walk(directory);
}

function walk(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true })
    .toSorted((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)))
    .flatMap((entry) => {
      const path = join(directory, entry.name);
      return entry.isDirectory() ? walk(path) : [path];
    });
}

interface ParsedName {
  readonly target: string;
  readonly type: PatchType;
  /** Why the file is passed over. */
  readonly warning: string | null;
}

function parseName(name: string): ParsedName {
  const ignored = { target: '', type: 'strategic' } as const;
  if (!EXTENSION.test(name)) {
    return { ...ignored, warning: `the file extension must be one of [${EXTENSIONS.join(' ')}]` };
  }
  const match = NAME.exec(name);
  if (match === null) return { ...ignored, warning: `unknown target, must be one of [${TARGETS.join(' ')}]` };
  const [, target, , plus, type] = match;
  if (plus !== undefined && type === undefined) {
    throw new PatchError(
      `unknown or missing patch type after '+', must be one of [${PATCH_TYPES.join(' ')}]`,
    );
  }
  return { target: target!, type: (type as PatchType | undefined) ?? 'strategic', warning: null };
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? `open ${path}: no such file or directory` : message;
    throw new PatchError(`could not read the file ${JSON.stringify(path)}: ${reason}`);
  }
}

function parsePatches(text: string): Json[] {
  const patches: Json[] = [];
  for (const document of parseAllDocuments(text)) {
    const refused = (problem: string): PatchError =>
      new PatchError(`could not convert patch to JSON:\n${text.trim()}\n: ${problem.split('\n')[0]}`);
    const [problem] = document.errors ?? [];
    if (problem !== undefined) throw refused(problem.message);
    let patch: Json;
    try {
      patch = plainValue(document) as Json;
    } catch (error) {
      throw refused((error as Error).message);
    }
    checkNames(patch);
    if (patch !== null) patches.push(patch);
  }
  return patches;
}
